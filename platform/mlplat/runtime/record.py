"""What a run has read, noted while its project's own functions read it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Record:
    """What was read for one training set."""

    sample: int | None = None
    """Rows that the run will keep; None for all."""
    sources: list[dict[str, Any]] = field(default_factory=list)
    """One entry a file or slice: `name`, `size`, `etag`, and `watermark` where it has one."""
    tables: list[dict[str, Any]] = field(default_factory=list)
    """One entry a table that was held against a schema: `name`, `rows`, `quarantined`."""
    quarantine: list[tuple[str, Any]] = field(default_factory=list)
    """Name of a table and its rows that were set aside, with a column of reasons."""


_current: ContextVar[Record | None] = ContextVar("mlplat.record", default=None)


@contextlib.contextmanager
def recording(sample: int | None = None) -> Iterator[Record]:
    """Yield the record that everything read inside is noted in."""
    made = Record(sample)
    token = _current.set(made)
    try:
        yield made
    finally:
        _current.reset(token)


def current() -> Record:
    """Return the record of this run; outside of one, a record that nobody reads."""
    return _current.get() or Record()
