"""Put a computer back as it was after a test cluster, whatever ended the tests: a process that outlives them.

It reads steps from its standard input, a JSON list a line, and does them, last first, once that input ends: closed by
the tests, or by the kernel when they were killed. Steps are `end PID`, `run ARGV…`, `containers SOCKET`,
`unmount FOLDER` and `prune NAME`.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

SECONDS = 15
"""Longest that a process may take to end on SIGTERM before it is killed."""


def main() -> int:
    """Do every step that was read, last first; return 1 when one could not be done."""
    # Ctrl-C and a killed group must not end the one that cleans up.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    failed = 0
    for verb, *arguments in reversed([_known(json.loads(line)) for line in sys.stdin]):
        try:
            STEPS[str(verb)](*arguments)
        except (OSError, subprocess.SubprocessError) as error:
            failed = 1
            sys.stdout.write(f"{verb} {' '.join(map(str, arguments))}: {error}\n")
    return failed


def end(pid: int, started: str) -> None:
    """End a process that the tests started, by its id; one that got the id later is let be."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if _started(pid) == started:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        if _until_gone(pid, started):
            return


def containers(socket: str) -> None:
    """End every container of a containerd, its shims with them: they outlive containerd itself."""
    ctr = ["ctr", "-a", socket, "-n", "k8s.io"]
    listed = subprocess.run([*ctr, "tasks", "ls", "-q"], capture_output=True, text=True, timeout=30, check=False)
    for task in listed.stdout.split():
        subprocess.run([*ctr, "tasks", "rm", "-f", task], capture_output=True, timeout=30, check=False)


def unmount(folder: str) -> None:
    """Unmount all that lies under a folder, the deepest first."""
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines()]
    for mount in sorted((each for each in mounts if each.startswith(f"{folder}/")), reverse=True):
        subprocess.run(["umount", "-l", mount], capture_output=True, timeout=30, check=True)


def run(*argv: str) -> None:
    """Run a command whose failure says that there is nothing left to do."""
    subprocess.run(argv, capture_output=True, timeout=60, check=False)


def prune(name: str) -> None:
    """Remove control groups of a name, which nothing is in any more."""
    root = Path("/sys/fs/cgroup")
    for top in [*root.glob(name), *root.glob(f"*/{name}")]:
        for folder, _, _ in os.walk(top, topdown=False):
            _rmdir(Path(folder))


def _rmdir(folder: Path) -> None:
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            return folder.rmdir()
        except FileNotFoundError:
            return None
        except OSError:
            # A process that was killed is in its group until the kernel is done with it.
            if time.monotonic() > deadline:
                raise
        time.sleep(0.05)


def _known(step: list[str | int]) -> list[str | int]:
    # Asked as soon as the step arrives, while the process is surely the one that was meant.
    return [*step, _started(int(step[1]))] if step[0] == "end" else step


def _started(pid: int) -> str:
    """Return when a process began, in the kernel's own count; empty when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return ""
    # One that ended, and that its parent did not ask for yet, is gone too.
    return "" if fields[0] == "Z" else fields[19]


def _until_gone(pid: int, started: str) -> bool:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        if _started(pid) != started:
            return True
        time.sleep(0.05)
    return False


STEPS: dict[str, Callable[..., None]] = {
    "end": end,
    "run": run,
    "containers": containers,
    "unmount": unmount,
    "prune": prune,
}

if __name__ == "__main__":
    sys.exit(main())
