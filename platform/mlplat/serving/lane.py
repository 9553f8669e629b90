"""Where predictions run, in which order, and how many wait.

A prediction holds the interpreter for most of its time, so threads make no model faster: handing a request of 1 ms to a
thread costs up to another millisecond of processor time, and a third of the throughput under load. On the event loop,
though, a model of 50 ms would keep every health check waiting. So each size of request is measured: those known to be
short run on the loop, a slice of time a turn, with whatever else is to be read and answered between two slices; the
others, and those not known yet, run in one thread beside it. Both queues are in the order in which requests came.

What is short and waits already is computed together, as many at a time as fit into a slice: a call of scikit-learn
takes about as long for thirty rows as for one. Nothing ever waits for company.

A queue is as long as what waits in it takes: a request is refused when those before it are expected to keep it waiting
for longer than `seconds`. A fixed number of places cannot do that, since 64 requests are 3 ms of one model and a minute
of another; a wait of a second is about what a caller bears before it asks again, which only makes the queue longer. A
queue that is empty takes anything, or a model slower than that would never answer.
"""

from __future__ import annotations

import asyncio
import math
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

SHORT_SECONDS = 0.002
"""Expected time up to which a prediction runs on the loop: about what a health check waits for one of them."""
SLICE_SECONDS = 0.002
"""Time after which the loop turns to other things while predictions wait: one more is begun before it at most."""
MOST_TOGETHER = 64
"""Requests computed at a time: behind them most of a call's own time is shared out."""
WEIGHT = 0.25
"""Weight of the newest measurement in a size's mean time."""
RISE = 0.05
"""Weight of a measurement above a size's usual time, which it can double at most: one pause of the computer must not
send a quick model to the thread, where it takes longer for being there."""
FALL = 0.5
"""Weight of a measurement below it."""
KINDS = 128


class Busy(Exception):  # noqa: N818 - a state, not a failure
    """What waits is enough for the time that a request may wait."""

    def __init__(self, seconds: float) -> None:
        self.seconds = max(1, math.ceil(seconds))
        """After which to come again."""
        super().__init__()


class Task(Protocol):
    """One prediction, from its admission to its end."""

    kind: int
    """Requests of one kind, below `KINDS`, are expected to take one time."""

    def is_wanted(self) -> bool:
        """Tell whether it is still worth beginning; asked right before it is."""

    def succeeded(self) -> bool:
        """Tell whether the time it took says something about others of its kind."""


T = TypeVar("T", bound=Task)


class Lane(Generic[T]):
    """Two queues, of what is short and of what is not, and their bounds.

    `compute` is given tasks to compute together, in any thread, and keeps what comes of each, an error too, to itself;
    `finish` is given tasks that were computed, or were not wanted any more, on the loop's thread.
    """

    def __init__(
        self,
        compute: Callable[[Sequence[T]], None],
        finish: Callable[[Sequence[T]], None],
        *,
        waiting: int,
        seconds: float,
    ) -> None:
        self._compute, self._finish = compute, finish
        self._limit, self._seconds = waiting, seconds
        self._usual: list[float | None] = [None] * KINDS
        self._mean: list[float | None] = [None] * KINDS
        self._short: deque[tuple[T, float]] = deque()
        self._short_sum = self._long_sum = 0.0
        self._long_count = 0
        self._scheduled = False
        self._inbox: queue.SimpleQueue[tuple[T, float, asyncio.AbstractEventLoop] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    @property
    def admitted(self) -> int:
        """Requests that are admitted and not answered."""
        return len(self._short) + self._long_count

    def is_short(self, kind: int) -> bool:
        """Tell whether a task of this kind is expected to take less than `SHORT_SECONDS`."""
        usual = self._usual[kind]
        return usual is not None and usual < SHORT_SECONDS

    def expected(self, kind: int) -> float:
        """Return the mean time of a kind, or of the nearest one that was measured: 0 when none was."""
        if (mean := self._mean[kind]) is not None:
            return mean
        known = [(abs(other - kind), value) for other, value in enumerate(self._mean) if value is not None]
        return min(known)[1] if known else 0.0

    def submit(self, task: T) -> None:
        """Take a task, on the loop's thread. Raises `Busy` when it would wait for too long."""
        expected = self.expected(task.kind)
        if self.admitted >= self._limit:
            raise Busy(self._short_sum + self._long_sum)
        if self.is_short(task.kind):
            if self._short and self._short_sum + expected > self._seconds:
                raise Busy(self._short_sum)
            self._short.append((task, expected))
            self._short_sum += expected
            if not self._scheduled:
                self._scheduled = True
                asyncio.get_running_loop().call_soon(self._turn)
            return
        if self._long_count and self._long_sum + expected > self._seconds:
            raise Busy(self._long_sum)
        self._long_count += 1
        self._long_sum += expected
        self._start()
        self._inbox.put((task, expected, asyncio.get_running_loop()))

    def measured(self, tasks: Sequence[T]) -> None:
        """Compute tasks here and remember how long they took; those that fail teach nothing."""
        started = time.perf_counter()
        self._compute(tasks)
        spent = (time.perf_counter() - started) / len(tasks)
        for task in tasks:
            if task.succeeded():
                self._learn(task.kind, spent)

    def _learn(self, kind: int, spent: float) -> None:
        usual, mean = self._usual[kind], self._mean[kind]
        if usual is None or mean is None:
            self._usual[kind] = self._mean[kind] = spent
            return
        self._mean[kind] = mean + WEIGHT * (spent - mean)
        weight = RISE if spent > usual else FALL
        self._usual[kind] = min(usual + weight * (spent - usual), 2 * usual)

    def close(self) -> None:
        """End the thread once it has done what it was given; it is not waited for."""
        self._inbox.put(None)

    def _turn(self) -> None:
        """Compute what is short for one slice of time."""
        end = time.perf_counter() + SLICE_SECONDS
        try:
            while self._short:
                together = self._next()
                if wanted := [task for task in together if task.is_wanted()]:
                    self.measured(wanted)
                self._finish(together)
                if time.perf_counter() >= end:
                    break
        finally:
            self._scheduled = bool(self._short)
            if self._scheduled:
                asyncio.get_running_loop().call_soon(self._turn)

    def _next(self) -> list[T]:
        """Take as many tasks as are expected to fill a slice, and at least one."""
        together: list[T] = []
        total = 0.0
        while self._short and len(together) < MOST_TOGETHER:
            task, admitted_with = self._short[0]
            total += self._mean[task.kind] or 0.0
            if together and total > SLICE_SECONDS:
                break
            self._short.popleft()
            self._short_sum = self._short_sum - admitted_with if self._short else 0.0
            together.append(task)
        return together

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="predict", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while (item := self._inbox.get()) is not None:
            task, admitted_with, loop = item
            if task.is_wanted():
                self.measured([task])
            if loop.is_closed():
                return
            loop.call_soon_threadsafe(self._end_long, task, admitted_with)

    def _end_long(self, task: T, admitted_with: float) -> None:
        self._long_count -= 1
        self._long_sum = self._long_sum - admitted_with if self._long_count else 0.0
        self._finish([task])
