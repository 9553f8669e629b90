"""A step of what is measured inside one process: its time, and the most memory that the process had during it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil

LOOK_SECONDS = 0.02


@contextmanager
def timed(steps: list[dict[str, Any]], name: str, rows: int) -> Iterator[None]:
    """Time a step, and note the most memory that this process had during it."""
    process, over, most = psutil.Process(), threading.Event(), [0]

    def watch() -> None:
        ended = False
        while not ended:
            # Looked at once more at the end: a step that kept this thread waiting may hold the most just then.
            ended = over.wait(LOOK_SECONDS)
            most[0] = max(most[0], process.memory_info().rss)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    begun = time.perf_counter()
    try:
        yield
    finally:
        seconds = time.perf_counter() - begun
        over.set()
        thread.join()
    steps.append({"step": name, "rows": rows, "seconds": round(seconds, 3), "bytes": most[0]})
