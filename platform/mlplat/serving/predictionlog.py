"""The prediction log: what was asked and answered, as Parquet parts in one folder.

A request hands its rows over and goes on; one thread writes them. What does not fit between the two is dropped and
counted, and so is what cannot be written (a full disk): a log is worth less than an answer. A part is complete or not
there. Its columns are `time` (the platform's clock), `request_id`, `row`, `endpoint`, `revision`, `model`, `version`,
`digest`, one `input_<column>` of the contract's type a column, and `label` and `probability`, or `value`.
"""

from __future__ import annotations

import contextlib
import secrets
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlplat.clock import Clock
from mlplat.serving.columns import Columns
from mlplat.serving.model import Model

QUEUED_ROWS = 20_000
"""Rows that may wait for the thread, unless two parts are more: seconds of heavy load, some MiB of memory."""
SUFFIX = ".parquet"
ABANDONED_SECONDS = 3600.0
"""Age from which an unfinished part is what a killed server left."""


@dataclass(frozen=True)
class Entry:
    """The rows of one request and their answers."""

    time: datetime
    request_id: str
    columns: Columns
    scores: NDArray[np.float64]


@dataclass(frozen=True)
class Limits:
    """When a part is written, and how much is kept."""

    rows: int
    seconds: float
    keep_bytes: int


class PredictionLog:
    """Takes entries from requests and writes them as parts. `close` writes what is left."""

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
    ) -> None:
        self._parts = Parts(folder, model, origin, limits.keep_bytes)
        self._capacity = max(QUEUED_ROWS, 2 * limits.rows)
        self._limits, self._written, self._dropped, self._clock = limits, written, dropped, clock
        self._queue: deque[Entry] = deque()
        self._queued = 0
        self._closing = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="prediction-log", daemon=True)
        self._thread.start()

    def add(self, request_id: str, columns: Columns, scores: NDArray[np.float64]) -> None:
        """Hand one request's rows over, or drop them when too many wait; never waits for the disk."""
        with self._changed:
            if self._closing or self._queued + len(scores) > self._capacity:
                self._dropped(len(scores))
                return
            self._queue.append(Entry(self._clock.now(), request_id, columns, scores))
            self._queued += len(scores)
            if len(self._queue) == 1 or self._queued >= self._limits.rows:
                self._changed.notify()

    def close(self, timeout: float = 5.0) -> None:
        """Write what is left, for at most `timeout` seconds."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(timeout)

    def _run(self) -> None:
        while (entries := self._next_part()) is not None:
            rows = sum(len(entry.scores) for entry in entries)
            try:
                self._parts.write(entries)
            except Exception as error:  # noqa: BLE001 - whatever a part cannot hold, the next one is tried
                self._dropped(rows)
                print(f"warning: prediction log: {rows} rows lost: {error}", file=sys.stderr)  # noqa: T201 - its log
            else:
                self._written(rows)

    def _next_part(self) -> list[Entry] | None:
        """Wait until a part is full or old enough; None when the log is closed and empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closing)
            deadline = time.monotonic() + self._limits.seconds
            self._changed.wait_for(self._is_due, timeout=max(0.0, deadline - time.monotonic()))
            entries, self._queued = list(self._queue), 0
            self._queue.clear()
            return entries or None

    def _is_due(self) -> bool:
        return self._closing or self._queued >= self._limits.rows


class Parts:
    """The folder of a log: writes parts, and removes the oldest ones above a size."""

    def __init__(self, folder: Path, model: Model, origin: dict[str, str], keep_bytes: int) -> None:
        import pyarrow.parquet  # a server that keeps no log does without pyarrow

        self._arrow = pyarrow
        self._folder, self._model, self._origin, self._keep_bytes = folder, model, origin, keep_bytes
        # A restarted server must never overwrite what an earlier one wrote, whatever the clock and the process id say.
        self._run, self._count = secrets.token_hex(4), 0
        folder.mkdir(parents=True, exist_ok=True)
        self._remove_abandoned()

    def write(self, entries: Sequence[Entry]) -> Path:
        """Write one part and return where it lies. Raises `OSError`."""
        self._count += 1
        path = self._folder / f"{entries[0].time:%Y%m%dT%H%M%S}-{self._run}-{self._count:06}{SUFFIX}"
        temporary = self._folder / f".{path.name}.part"
        try:
            self._arrow.parquet.write_table(self._table(entries), temporary, compression="zstd")
            temporary.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
        self._remove_oldest(path)
        return path

    def _table(self, entries: Sequence[Entry]) -> Any:
        sizes = [len(entry.scores) for entry in entries]
        columns: dict[str, Any] = {
            "time": self._repeated([entry.time for entry in entries], sizes, self._arrow.timestamp("us", tz="UTC")),
            "request_id": self._repeated([entry.request_id for entry in entries], sizes, self._arrow.string()),
            "row": self._arrow.array(np.concatenate([np.arange(size, dtype=np.int32) for size in sizes])),
        }
        for name, value in self._origin.items():
            columns[name] = self._arrow.repeat(value, sum(sizes))
        for column in self._model.contract.columns:
            values = np.concatenate([entry.columns[column.name] for entry in entries])
            columns[f"input_{column.name}"] = self._typed(values, column.type)
        scores = np.concatenate([entry.scores for entry in entries])
        if self._model.contract.task == "regression":
            columns["value"] = self._arrow.array(scores)
        else:
            columns["label"] = self._arrow.array(self._model.labels(scores))
            columns["probability"] = self._arrow.array(scores)
        return self._arrow.table(columns)

    def _repeated(self, values: Sequence[Any], sizes: Sequence[int], kind: Any) -> Any:
        places = np.repeat(np.arange(len(values)), sizes)
        return self._arrow.array(values, type=kind).take(self._arrow.array(places))

    def _typed(self, values: NDArray[Any], kind: str) -> Any:
        arrow = self._arrow
        types = {"boolean": arrow.bool_(), "long": arrow.int64(), "double": arrow.float64(), "string": arrow.string()}
        array = arrow.array(values, from_pandas=True)  # NaN is null
        return array.cast(types[kind])

    def _remove_oldest(self, newest: Path) -> None:
        found = [(part.name, part.stat()) for part in self._folder.glob(f"*{SUFFIX}")]
        parts = sorted((stat.st_mtime_ns, name, stat.st_size) for name, stat in found)
        excess = sum(size for _, _, size in parts) - self._keep_bytes
        for _, name, size in parts:
            if excess <= 0:
                return
            if name != newest.name:
                (self._folder / name).unlink(missing_ok=True)
                excess -= size

    def _remove_abandoned(self) -> None:
        for part in self._folder.glob(f".*{SUFFIX}.part"):
            with contextlib.suppress(OSError):
                if time.time() - part.stat().st_mtime > ABANDONED_SECONDS:
                    part.unlink()
