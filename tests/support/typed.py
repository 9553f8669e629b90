"""The command line as it is typed without a terminal."""

from __future__ import annotations

import subprocess
import sys


def mlplat(*argv: str) -> str:
    """Run the command line without a terminal; return exit code, stdout and stderr as one text."""
    command = [sys.executable, "-m", "mlplat", *argv]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    return f"exit {done.returncode}\n--- stdout\n{done.stdout}--- stderr\n{done.stderr}"
