"""How a controller's process ends: asked to, it finishes its pass, and is left where it is when that takes too long."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def asked(stop: threading.Event, seconds: float) -> Iterator[None]:
    """Set `stop` on SIGTERM and SIGINT, and leave with 0 when the body has not ended `seconds` later."""

    def end(_signal: int, _frame: FrameType | None) -> None:
        stop.set()
        signal.setitimer(signal.ITIMER_REAL, seconds)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGALRM, _leave)
    try:
        yield
    finally:
        # It has ended by itself: an interpreter that is being torn down has nobody left to take the alarm.
        signal.setitimer(signal.ITIMER_REAL, 0)


def _leave(_signal: int, _frame: FrameType | None) -> None:
    # Whatever is waited for, threads included, the next controller goes on from the documents.
    sys.stderr.flush()
    os._exit(0)
