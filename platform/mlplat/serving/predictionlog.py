"""The prediction log: what was asked and answered, handed from requests to one thread that writes Parquet parts.

A request copies its rows into arrays that are there already and goes on. What does not fit between the two sides is
dropped and counted, and so is what cannot be written (a full disk): a log is worth less than an answer. What a part
looks like, and what is kept of which column, is in `parts.py`.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlplat.clock import Clock
from mlplat.serving.columns import Columns, Stacked
from mlplat.serving.model import Model
from mlplat.serving.parts import Parts, Privacy

QUEUED_ROWS = 20_000
"""Rows that may wait for the thread, unless two parts are more: seconds of heavy load, some MiB of memory."""
CHUNK_ROWS = 1024
"""Rows that room is made for at a time: enough to make none of a request's time of it, little enough to lie empty."""
RETENTION_SECONDS = 60.0
"""Longest time between two looks for parts that are too old."""


@dataclass(frozen=True)
class Limits:
    """When a part is written, and how much is kept for how long."""

    rows: int
    seconds: float
    keep_bytes: int
    keep_seconds: float | None = None
    is_shipped: bool = False
    """Whether parts are taken elsewhere, so that one that is removed for want of room was kept nowhere."""


class Chunk:
    """Room for `CHUNK_ROWS` rows and their answers, as one array a column or one for all of them."""

    __slots__ = ("columns", "matrix", "requests", "scores", "size")

    def __init__(self, like: Columns, kept: tuple[str, ...]) -> None:
        self.size = 0
        self.requests: list[tuple[int, bytes, int, int]] = []
        """(microseconds since the epoch, the request's name, its first row here, how many) a request."""
        self.scores = np.empty(CHUNK_ROWS, dtype=np.float64)
        self.matrix: NDArray[np.float64] | None = None
        self.columns: dict[str, NDArray[Any]] = {}
        if isinstance(like, Stacked):
            self.matrix = np.empty((CHUNK_ROWS, len(like)), dtype=np.float64)
            whole = Stacked(self.matrix, like.places)
            self.columns = {name: whole[name] for name in kept}
        else:
            self.columns = {name: np.empty(CHUNK_ROWS, dtype=like[name].dtype) for name in kept}

    def takes(self, columns: Columns) -> bool:
        """Tell whether there is room, of the right form."""
        return self.size < CHUNK_ROWS and (self.matrix is not None) is isinstance(columns, Stacked)

    def add(self, moment: int, name: bytes, columns: Columns, scores: NDArray[np.float64], start: int) -> int:
        """Copy rows from `start` on, as many as there is room for; return how many."""
        first = self.size
        count = min(len(scores) - start, CHUNK_ROWS - first)
        here, there = slice(first, first + count), slice(start, start + count)
        if isinstance(columns, Stacked) and self.matrix is not None:
            self.matrix[here] = columns.matrix[there]
        else:
            for column, array in self.columns.items():
                array[here] = columns[column][there]
        self.scores[here] = scores[there]
        self.requests.append((moment, name, start, count))
        self.size += count
        return count


class PredictionLog:
    """Takes rows from requests and writes them as parts. `close` writes what is left."""

    def __init__(
        self,
        folder: Path,
        model: Model,
        *,
        origin: dict[str, str],
        limits: Limits,
        written: Callable[[int], None],
        dropped: Callable[[int], None],
        clock: Clock,
        privacy: Privacy | None = None,
    ) -> None:
        self._parts = Parts(folder, model, origin, limits.keep_bytes, limits.keep_seconds, privacy or Privacy())
        self._kept = self._parts.kept
        self._capacity = max(QUEUED_ROWS, 2 * limits.rows)
        self._limits, self._written, self._dropped = limits, written, dropped
        self._offset = clock.offset // timedelta(microseconds=1)
        self._chunks: list[Chunk] = []
        self._queued = 0
        self._closing = False
        self._changed = threading.Condition(threading.Lock())
        self._thread = threading.Thread(target=self._run, name="prediction-log", daemon=True)
        self._thread.start()

    def add(self, request: bytes, columns: Columns, scores: NDArray[np.float64]) -> None:
        """Hand one request's rows over, or drop them when too many wait; never waits for the disk."""
        rows = len(scores)
        moment = time.time_ns() // 1000 + self._offset
        with self._changed:
            if self._closing or self._queued + rows > self._capacity:
                self._dropped(rows)
                return
            start = 0
            while start < rows:
                if not self._chunks or not self._chunks[-1].takes(columns):
                    self._chunks.append(Chunk(columns, self._kept))
                start += self._chunks[-1].add(moment, request, columns, scores, start)
            self._queued += rows
            if self._queued == rows or self._queued >= self._limits.rows:
                self._changed.notify()

    def close(self, timeout: float = 5.0) -> None:
        """Write what is left, for at most `timeout` seconds."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(timeout)

    def _run(self) -> None:
        while (chunks := self._next_part()) is not None:
            rows = sum(chunk.size for chunk in chunks)
            try:
                if chunks:
                    self._parts.write(chunks)
                crowded_out = self._parts.retain()
                if self._limits.is_shipped and crowded_out:
                    self._dropped(crowded_out)
            except Exception as error:  # noqa: BLE001 - whatever a part cannot hold, the next one is tried
                self._dropped(rows)
                print(f"warning: prediction log: {rows} rows lost: {error}", file=sys.stderr)  # noqa: T201 - its log
            else:
                if rows:
                    self._written(rows)

    def _next_part(self) -> list[Chunk] | None:
        """Wait until a part is full or old enough, or until it is time to look what is too old (an empty part).

        None when the log is closed and empty.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._queued or self._closing, timeout=self._look_again()):
                return []
            self._changed.wait_for(self._is_due, timeout=self._limits.seconds)
            chunks, self._chunks, self._queued = self._chunks, [], 0
            return chunks or None

    def _look_again(self) -> float:
        keep = self._limits.keep_seconds
        return RETENTION_SECONDS if keep is None else max(0.01, min(RETENTION_SECONDS, keep / 10))

    def _is_due(self) -> bool:
        return self._closing or self._queued >= self._limits.rows
