"""What a run has read, noted while its project's own functions read it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Protocol

import pandas as pd


class Parts(Protocol):
    """Rows that are read a part of time after the other, since they are larger than memory."""

    def advance(self) -> bool:
        """Go on to the next part; return whether there is one."""

    def read(self, schema: Any) -> pd.DataFrame:
        """Return the part's rows, those before it first."""

    def chosen(self, built: pd.DataFrame) -> pd.DataFrame:
        """Return those of the rows that features were built of which are taken of this part."""


@dataclass
class Record:
    """What was read for one training set."""

    sample: int | None = None
    """Rows that the run will keep; None for all."""
    parts: Parts | None = None
    """None where all rows are read at once, or those of a sample."""
    thinned: bool = False
    """Whether what was read misses rows: a sample taken before features are built of it."""
    partial: bool = False
    """Whether what is built is a part: it may have rows of one class alone."""
    sources: list[dict[str, Any]] = field(default_factory=list)
    """One entry a file or slice: `name`, `size`, `etag`, and `watermark` where it has one."""
    tables: list[dict[str, Any]] = field(default_factory=list)
    """One entry a table that was held against a schema: `name`, `rows`, `quarantined`."""
    quarantine: list[tuple[str, Any]] = field(default_factory=list)
    """Name of a table and its rows that were set aside, with a column of reasons."""
    resources: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    """What is open as long as rows are read."""


_current: ContextVar[Record | None] = ContextVar("mlplat.record", default=None)


@contextlib.contextmanager
def recording(sample: int | None = None) -> Iterator[Record]:
    """Yield the record that everything read inside is noted in."""
    made = Record(sample)
    token = _current.set(made)
    try:
        with made.resources:
            yield made
    finally:
        _current.reset(token)


def current() -> Record:
    """Return the record of this run; outside of one, a record that nobody reads."""
    return _current.get() or Record()
