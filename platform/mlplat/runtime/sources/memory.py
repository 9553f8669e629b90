"""Saying before it fails that a table is larger than memory."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import psutil

from mlplat.errors import RefusedError
from mlplat.runtime import table
from mlplat.runtime.sources.files import Unit

COPIES = 3
"""Of the table at a run's fullest moment: as it was read, as it was prepared, and as the model takes it."""
LOOKED_AT = 5000
"""Rows that a file's bytes a row are taken from."""
CGROUP = Path("/sys/fs/cgroup")


def need(units: Sequence[Unit]) -> int:
    """Return how many bytes of memory a run on all of the files is expected to take."""
    return COPIES * sum(held(unit.path) for unit in units)


def held(path: Path) -> int:
    """Return how many bytes a file takes as a table: those of its first rows, times as many as there are."""
    try:
        return _parquet(path) if path.suffix.lower() == ".parquet" else _csv(path)
    except (OSError, ValueError):
        return 0  # reading it says what is wrong with it


def _parquet(path: Path) -> int:
    from pyarrow import parquet

    with parquet.ParquetFile(path) as file:
        first = next(file.iter_batches(LOOKED_AT), None)
        return _bytes_a_row(first.to_pandas()) * file.metadata.num_rows if first is not None else 0


def _csv(path: Path) -> int:
    with path.open("rb") as file:
        head = sum(len(line) for line in itertools.islice(file, LOOKED_AT + 1))
    first = pd.read_csv(path, encoding=table.ENCODING, nrows=LOOKED_AT)
    return int(first.memory_usage(index=False, deep=True).sum() * (path.stat().st_size / max(head, 1)))


def _bytes_a_row(first: pd.DataFrame) -> int:
    return int(first.memory_usage(index=False, deep=True).sum() / max(len(first), 1)) + 1


def available() -> int:
    """Return how many bytes of memory can still be had: of the computer, and of what this container is given."""
    free = psutil.virtual_memory().available
    try:
        limit = (CGROUP / "memory.max").read_text().strip()
        used = int((CGROUP / "memory.current").read_text()) - _cache()
    except (OSError, ValueError):
        return free
    return free if limit == "max" else min(free, int(limit) - used)


def _cache() -> int:
    """Return how many bytes of files a container holds in memory that it gives up for anything else."""
    lines = dict(line.split() for line in (CGROUP / "memory.stat").read_text().splitlines())
    return int(lines.get("inactive_file", 0))


def refusal(what: str, needed: int, free: int) -> RefusedError:
    """Return the error of a table that does not fit."""
    return RefusedError(
        f"{what}: a run on all rows takes about {needed / 2**30:.1f} GiB of memory, and {free / 2**30:.1f} GiB are "
        "free",
        hint="`--sample N` takes N rows evenly over time without reading the rest into memory; or give the step more "
        "memory (`pipelines.<flow>.steps.start.memory_gib`), or the source fewer rows or columns",
    )
