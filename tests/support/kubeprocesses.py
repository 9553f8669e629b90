"""The programs of one test cluster: started with a log each, waited for, and ended even when the tests are killed."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

import kubeguard
from commands import PATIENCE

TAIL = 25
"""Lines of a log that a failure shows."""


class Processes:
    """Programs that belong together; they end last first, when the block ends or this process does."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Processes:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._guard = subprocess.Popen(
            [sys.executable, kubeguard.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        said, _ = self._guard.communicate(timeout=PATIENCE * 180)
        for process in self.running.values():
            process.wait(timeout=PATIENCE * 30)
        assert self._guard.returncode == 0, f"the test cluster left something behind: {said}"

    def undo(self, step: str, *arguments: str | int) -> None:
        """Have a step of `kubeguard` done at the end, before those that were said earlier."""
        assert self._guard.stdin
        self._guard.stdin.write(json.dumps([step, *arguments]) + "\n")
        self._guard.stdin.flush()

    def start(self, name: str, *argv: str | Path) -> None:
        """Start a program in a session of its own, its output into `<name>.log`."""
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [str(each) for each in argv],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
            )
        self.undo("end", process.pid)
        self.running[name] = process

    def end(self, *names: str) -> None:
        """End some programs now."""
        for name in names:
            process = self.running.pop(name)
            process.terminate()
            process.wait(timeout=PATIENCE * 30)

    def log(self, name: str) -> str:
        """Return what a program has written."""
        return (self.folder / f"{name}.log").read_text(encoding="utf-8", errors="replace")

    def wait(self, name: str, ready: Callable[[], bool], seconds: float = 60) -> None:
        """Wait until a program is ready; fails with the end of its log when it ends, or after `seconds`."""
        seconds *= PATIENCE
        deadline = time.monotonic() + seconds
        while not ready():
            code = self.running[name].poll()
            assert code is None, f"{name} ended with {code}: {self._tail(name)}"
            assert time.monotonic() < deadline, f"{name} was not ready within {seconds:.0f} s: {self._tail(name)}"
            time.sleep(0.05)

    def _tail(self, name: str) -> str:
        return "\n".join(["", *self.log(name).splitlines()[-TAIL:]])


def run(argv: Sequence[str | Path], seconds: float = 120) -> str:
    """Run a command to its end and return its output; fails with all it said."""
    done = subprocess.run(
        argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=PATIENCE * seconds, check=False
    )
    assert done.returncode == 0, f"{' '.join(map(str, argv))}: {done.stdout}"
    return done.stdout
