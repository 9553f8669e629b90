"""From a source's files to one table in memory, or to some of its rows where it is larger than that."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from mlplat.errors import UsageError
from mlplat.runtime import record, table
from mlplat.runtime.sources import files, memory, parts, sampling
from mlplat.runtime.sources.files import Unit
from mlplat.runtime.validation import validate
from mlplat.spec.project import ProjectSpec

if TYPE_CHECKING:
    from pandera.pandas import DataFrameSchema


def load(spec: ProjectSpec, project: Path, schema: DataFrameSchema) -> pd.DataFrame:
    """Return the rows of `data.source` (n × columns) that hold to a schema.

    A run of a sample takes it from files that are larger than memory without reading them whole: the rows themselves,
    or where features look at rows before theirs (`data.lookback_hours`) one part of time a call. Raises `UsageError`
    for what cannot be read, and `RefusedError` for rows that do not hold, or more than fit into memory.
    """
    data, noted = spec.data, record.current()
    if noted.parts is not None:
        return noted.parts.read(schema)
    units = files.fetch(data, project)
    noted.sources += [unit.described() for unit in units]
    need, free = memory.need(units), memory.available()
    if need <= free:
        frame = read(units)
    elif not noted.sample:
        raise memory.refusal(data.origin, need, free)
    elif data.lookback_hours:
        noted.parts = noted.resources.enter_context(parts.opened(units, data, noted.sample, need, free))
        noted.partial = True
        return noted.parts.read(schema)
    else:
        frame, noted.thinned = sampling.take(units, data, noted.sample), True
    return validate(frame, schema, data.origin, bad_rows=data.bad_rows)


def read(units: Sequence[Unit]) -> pd.DataFrame:
    """Read all of the files as one table. Raises `UsageError` naming the one that cannot be read, or differs."""
    frames = [_without_later(_of(unit), unit) for unit in units]
    refuse_other_columns(units, [frame.columns.tolist() for frame in frames])
    frames = _alike(units, frames)
    return frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)


def _of(unit: Unit) -> pd.DataFrame:
    try:
        return table.read(unit.path)
    except UsageError as error:
        # What was brought has another name here than where it comes from.
        raise UsageError(error.message.replace(str(unit.path), unit.name), hint=error.hint) from error


def _without_later(frame: pd.DataFrame, unit: Unit) -> pd.DataFrame:
    return frame if unit.below is None else frame[frame[unit.below[0]] < unit.below[1]]


def refuse_other_columns(units: Sequence[Unit], columns: Sequence[Sequence[str]]) -> None:
    """Raise `UsageError` unless all files have the same columns, in any order."""
    for unit, names in zip(units, columns, strict=True):
        if odd := sorted(set(map(str, names)) ^ set(map(str, columns[0]))):
            raise UsageError(
                f"{unit.name}: has other columns than {units[0].name}: `{odd[0]}` is in one of them only",
                hint="give all files the same columns, or name fewer of them in `data.source`",
            )


def _alike(units: Sequence[Unit], frames: list[pd.DataFrame]) -> list[pd.DataFrame]:
    """Return CSV files read again, with those columns as texts that are texts in one and something else in another.

    As if they were one file: a code `007` is the number 7 in a file of numbers alone.
    """
    texts = table.texts_of([table.kinds(frame) for frame in frames])
    if not texts or any(unit.path.suffix.lower() != ".csv" for unit in units):
        return frames
    return [table.read(unit.path, texts) for unit in units]
