"""A run's process: in a group of its own, its output in a file, its end asked for politely and then not."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import BinaryIO

import psutil

from mlplat.runs.store import Run

POLL = 0.1  # seconds between two looks at a run's output
PATIENCE = ((signal.SIGINT, 15.0), (signal.SIGTERM, 5.0), (signal.SIGKILL, 0.0))
"""What a run is sent when it is to end, each with the seconds after which the next one follows."""


def execute(
    run: Run, command: Sequence[str], *, folder: Path, variables: Mapping[str, str], line: Callable[[str], None]
) -> int:
    """Run a command to its end and return its exit code; `line` gets every line of its output.

    The output goes to the run's log and is read from there, so that the run survives whoever watches it. An interrupt
    (or a hang-up, or a request to end) of this process is passed on, a second one ends the run at once; the run is then
    marked as cancelled.
    """
    with run.log.open("wb") as log:
        child = subprocess.Popen(
            command,
            cwd=folder,
            env=dict(variables),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            process_group=0,
        )
    with _passing_on(run, child), run.log.open("rb") as output:
        try:
            # Only now: whoever ends this process for what its record says finds it passing that on.
            run.started_as(child.pid)
            while child.poll() is None:
                _read(output, line)
                time.sleep(POLL)
        finally:
            _signal(child.pid, signal.SIGKILL)  # what its tasks left behind
            child.wait()
        _read(output, line, last=True)
    return child.returncode


@contextlib.contextmanager
def _passing_on(run: Run, child: subprocess.Popen[bytes]) -> Iterator[None]:
    def ask(_number: int, _frame: FrameType | None) -> None:
        if run.cancel_file.exists():
            _signal(child.pid, signal.SIGKILL)
        else:
            run.cancel_file.touch()
            _signal(child.pid, signal.SIGINT)
            signal.setitimer(signal.ITIMER_REAL, PATIENCE[0][1])

    def insist(_number: int, _frame: FrameType | None) -> None:
        _signal(child.pid, signal.SIGKILL)

    handlers = {signal.SIGINT: ask, signal.SIGTERM: ask, signal.SIGHUP: ask, signal.SIGALRM: insist}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)


def attached(command: Sequence[str], *, folder: Path, variables: Mapping[str, str]) -> int:
    """Run a command on this terminal and return its exit code; interrupts are the command's alone."""
    # A function, not SIG_IGN: the child would inherit that.
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        return subprocess.run(command, cwd=folder, env=dict(variables), check=False).returncode
    finally:
        signal.signal(signal.SIGINT, before)


def cancel(run: Run) -> bool:
    """End a run, with all its tasks; tell whether there was anything to end."""
    process = run.process()
    if process is None:
        return False
    run.cancel_file.touch()
    group = os.getpgid(process.pid)
    for number, seconds in PATIENCE:
        _signal(group, number)
        with contextlib.suppress(psutil.TimeoutExpired):
            process.wait(seconds or None)
            break
    _signal(group, signal.SIGKILL)
    return True


def _signal(group: int, number: signal.Signals) -> None:
    # macOS answers EPERM for a group of which only a zombie is left.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _read(output: BinaryIO, line: Callable[[str], None], *, last: bool = False) -> None:
    """Hand over the lines that are whole by now; the last time the rest as well."""
    while True:
        at = output.tell()
        raw = output.readline()
        if not raw or not (raw.endswith(b"\n") or last):
            output.seek(at)
            return
        line(raw.decode(errors="replace").rstrip("\r\n"))
