"""The engine's process: in a session of its own, so that a terminal's Ctrl-C reaches it once, and through us."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from types import FrameType
from typing import IO, Any

from pulumi.automation import PulumiCommand
from pulumi.automation._cmd import CommandResult  # private names: tested with the pinned SDK
from pulumi.automation.errors import create_command_error
from semver import VersionInfo

from mlplat.engine.binary import Binary

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
ONCE = "ending: what has begun is waited for, and nothing more is begun; once more ends it at once"
AGAIN = "ending at once: what had begun may be half done; if the stack stays locked, `mlplat state unlock`"
Line = Callable[[str], Any]


class Command(PulumiCommand):
    """The `pulumi` program, whose running operations are ended in order by a signal."""

    def __init__(self, binary: Binary, say: Callable[[str], None]) -> None:
        # The base class would look for `pulumi` below a folder `bin`, and ask for its version once more.
        self.command, self.version, self.say = str(binary.path), VersionInfo.parse(binary.version), say
        self.interrupted = 0
        self._times = 0
        self._running: subprocess.Popen[str] | None = None

    def run(
        self,
        args: list[str],
        cwd: str,
        additional_env: Mapping[str, str],
        on_output: Line | None = None,
        on_error: Line | None = None,
    ) -> CommandResult:
        """Run a command to its end. Raises the SDK's `CommandError` with what it said.

        After a signal nothing more is begun.
        """
        with self._passing_on():
            if self.ended():
                raise create_command_error(CommandResult(stdout="", stderr="interrupted", code=1))
            with subprocess.Popen(
                [self.command, "--non-interactive", *args],
                cwd=cwd,
                env={**os.environ, **additional_env, "PULUMI_AUTOMATION_API": "true", **_only_looking(args)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                errors="replace",
                start_new_session=True,
            ) as process:
                self._running = process
                # A signal that came while the process was being made was passed on to nobody.
                if self.ended():
                    process.send_signal(signal.SIGINT)
                said, wrong = _follow(process.stdout, on_output), _follow(process.stderr, on_error)
                code = _ended(process)
                result = CommandResult(stdout=said(), stderr=wrong(), code=code)
                self._running = None
        if code != 0:
            raise create_command_error(result)
        return result

    def ended(self) -> bool:
        """Tell whether a signal has come."""
        return self._times > 0

    @contextlib.contextmanager
    def _passing_on(self) -> Iterator[None]:
        # Only a main thread may handle signals, and only it gets them.
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._pass_on) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _pass_on(self, number: int, _frame: FrameType | None) -> None:
        self.interrupted = self.interrupted or number
        self._times += 1
        running = self._running
        if running is None or running.poll() is not None:
            return
        running.send_signal(signal.SIGINT)
        self.say(AGAIN if self._times > 1 else ONCE)


def _ended(process: subprocess.Popen[str]) -> int:
    """Wait for the end of a process; return its code.

    A signal that another thread takes, or that comes just before the wait, does not wake this one: it looks up for it.
    """
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(timeout=60)


def _only_looking(args: list[str]) -> dict[str, str]:
    # Somebody's wish for no questions is refused by the engine where nothing would be asked.
    return {"PULUMI_SKIP_CONFIRMATIONS": "false"} if "--preview-only" in args else {}


def _follow(stream: IO[str] | None, line: Line | None) -> Callable[[], str]:
    lines: list[str] = []

    def read() -> None:
        for text in stream or ():
            lines.append(text.rstrip())
            if line:
                line(lines[-1])

    reader = threading.Thread(target=read, daemon=True)
    reader.start()

    def rest() -> str:
        reader.join()
        return "\n".join(lines)

    return rest
