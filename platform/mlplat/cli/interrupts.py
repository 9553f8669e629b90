"""Ctrl-C, a hang-up and SIGTERM are one thing to a command: it ends in order, and says what it leaves."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from types import FrameType

from mlplat.cli.console import say

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(KeyboardInterrupt):
    """A signal that asks the command to end."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextlib.contextmanager
def in_order(left: str) -> Iterator[None]:
    """End the body in order on a signal: locks go, installers end, `left` is said.

    The exit code is 128 and the signal's number.
    """
    # What the handler needs: while the body imports it, it would find half of it.
    import psutil  # noqa: F401

    before = {number: signal.signal(number, _raise) for number in SIGNALS}
    try:
        yield
    except Interrupted as ended:
        say(f"interrupted: {left}")
        sys.exit(128 + ended.number)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Let a Ctrl-C wait for the end of the body, which imports models.

    pydantic swallows one that comes while it builds a model: the command would go on as if nobody had pressed anything.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _raise(number: int, _frame: FrameType | None) -> None:
    # A second one would cut the cleaning short. What is left then is what a kill leaves, and the next `up` knows that.
    _end_installers()
    raise Interrupted(number)


def _end_installers() -> None:
    import psutil

    # The shell sends Ctrl-C to them as well, but nobody else does. What was meant to outlive us has its own session.
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error, OSError):
            if os.getsid(child.pid) == os.getsid(0):
                child.terminate()
