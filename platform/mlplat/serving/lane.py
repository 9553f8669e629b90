"""Where predictions run, and how many requests are admitted.

A prediction holds the interpreter for most of its time, so threads make no model faster: handing a request of 1 ms to a
thread costs up to another millisecond of processor time, and a third of the throughput under load. On the event loop,
though, a model of 50 ms would keep every health check waiting. So each size of request is measured: those known to be
short run on the loop, the others, and those not known yet, in one thread beside it, in the order in which they came.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

SHORT_SECONDS = 0.002
"""Expected time up to which a prediction runs on the loop: about what a health check waits for one of them."""
WEIGHT = 0.25
"""Weight of the newest measurement in a size's expected time: one pause does not send a size to the thread for long."""


class Busy(Exception):  # noqa: N818 - a state, not a failure
    """As many requests as may be admitted are."""


class Lane:
    """Admits a bounded number of requests and runs their predictions one at a time."""

    def __init__(self, waiting: int) -> None:
        self._limit, self._admitted = waiting, 0
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="predict")
        self._expected: dict[int, float] = {}

    @property
    def admitted(self) -> int:
        """Requests that are admitted and not answered."""
        return self._admitted

    @contextmanager
    def admit(self) -> Iterator[None]:
        """Take a place for one request. Raises `Busy` when none is left."""
        if self._admitted >= self._limit:
            raise Busy
        self._admitted += 1
        try:
            yield
        finally:
            self._admitted -= 1

    def is_short(self, size: int) -> bool:
        """Tell whether a request of `size` bytes is expected to be answered within `SHORT_SECONDS`."""
        return self._expected.get(size.bit_length(), float("inf")) < SHORT_SECONDS

    async def run(self, size: int, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run the prediction of a request of `size` bytes and return what it returns."""
        if self.is_short(size):
            return self.measured(size, function, *args, **kwargs)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, lambda: self.measured(size, function, *args, **kwargs))

    def measured(self, size: int, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a prediction here and remember how long it took; one that fails teaches nothing."""
        started = time.perf_counter()
        result = function(*args, **kwargs)
        spent, kind = time.perf_counter() - started, size.bit_length()
        self._expected[kind] = WEIGHT * spent + (1 - WEIGHT) * self._expected.get(kind, spent)
        return result

    def close(self) -> None:
        """End the thread once it has done what it was given."""
        self._thread.shutdown(wait=True)
