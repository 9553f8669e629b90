"""Time that no set clock moves: seconds since the computer started, and how long a process has run.

Wall clocks jump: somebody sets them, a virtual machine is resumed, daylight saving is misconfigured. An age must not.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

_START_FIELD = 19
"""Of /proc/PID/stat behind the command's name, counted from 0: when it started, in ticks since the computer did."""


def uptime() -> float:
    """Return the seconds since the computer started, sleep included where the system counts it."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def age(pid: int) -> float | None:
    """Return how many seconds a process has run; None for one that is not there."""
    with contextlib.suppress(OSError):
        if Path("/proc/self/stat").exists():
            # The name stands in parentheses, and may hold some itself.
            fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
            return max(0.0, uptime() - int(fields[_START_FIELD]) / os.sysconf("SC_CLK_TCK"))
        return _age_elsewhere(pid)
    return None


def _age_elsewhere(pid: int) -> float | None:
    import psutil

    try:
        return max(0.0, time.time() - psutil.Process(pid).create_time())
    except psutil.Error:
        return None


def told(seconds: float) -> str:
    """Write a duration for people, in one unit: `12 s`, `3 min`, `5 h`, `2 d`."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"
