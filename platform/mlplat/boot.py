"""Which start of the computer this is: what a time since then is only good together with."""

from __future__ import annotations

import functools
import subprocess
import sys
from pathlib import Path

LINUX = Path("/proc/sys/kernel/random/boot_id")


@functools.cache
def boot() -> str:
    """Return a name that another start of the computer does not have; empty where the system gives none."""
    try:
        if sys.platform == "darwin":
            command = ["sysctl", "-n", "kern.bootsessionuuid"]
            return subprocess.run(command, capture_output=True, text=True, check=True, timeout=5).stdout.strip()
        return LINUX.read_text().strip()
    except (OSError, subprocess.SubprocessError):
        return ""
