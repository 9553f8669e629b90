"""From a project's source to built rows: all at once, or a part of time after the other where memory is short."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlplat.errors import RefusedError
from mlplat.runtime import table
from mlplat.runtime.record import Record, recording
from mlplat.spec.project import ProjectSpec

Load = Callable[[ProjectSpec, Path], Any]
"""From a project's settings and folder to its raw data."""
Build = Callable[[Any, ProjectSpec], pd.DataFrame]
"""From raw data to one row an example."""
PROBED = 2000
"""Rows of a sample that are built twice, to see whether features are made of other rows."""


def rows(
    spec: ProjectSpec, sample: int | None, load: Load, build: Build, *, project: Path
) -> tuple[pd.DataFrame, Record]:
    """Return the built rows of a run (n × columns), and what was read for them.

    Raises `RefusedError` for rows that may not be learned from, and `UsageError` for what cannot be read.
    """
    with recording(sample) as noted:
        made = [_built(spec, noted, load, build, project)]
        while noted.parts is not None and noted.parts.advance():
            made.append(_built(spec, noted, load, build, project))
    whole = made[0] if noted.parts is None else pd.concat(made, ignore_index=True)
    if noted.partial and spec.task == "binary":
        table.refuse_other_than_two(whole[spec.data.target])
    return whole, noted


def _built(spec: ProjectSpec, noted: Record, load: Load, build: Build, project: Path) -> pd.DataFrame:
    raw = load(spec, project)
    if noted.thinned:
        _refuse_neighbours(raw, spec, build)
    built = build(raw, spec)
    return built if noted.parts is None else noted.parts.chosen(built)


def _refuse_neighbours(raw: Any, spec: ProjectSpec, build: Build) -> None:
    """Raise `RefusedError` where a sample's features would be made of a sample: where they change with other rows."""
    if not isinstance(raw, pd.DataFrame):
        return
    some = raw.iloc[:PROBED].reset_index(drop=True)
    with recording() as noted:
        noted.partial = True
        among, alone = build(some, spec), build(some.iloc[::2].reset_index(drop=True), spec)
    half = among.iloc[::2]
    names = [spec.data.target, *([spec.data.time] if spec.data.time else [])]
    if len(among) != len(some) or len(alone) != len(half) or any(_differs(half[name], alone[name]) for name in names):
        return  # the project orders or chooses rows itself: which one is which cannot be told
    if changed := [name for name in table.feature_names(alone, spec) if _differs(half[name], alone[name])]:
        raise RefusedError(
            f"`{changed[0]}` of a row is made of other rows, most of which a sample of {spec.data.origin} leaves out",
            hint="say how far back it looks (`data.lookback_hours` of mlplat.yaml), or give the run memory for all rows"
            if spec.data.time
            else "give the run memory for all rows, or have features look at no other row",
        )


def _differs(one: pd.Series, other: pd.Series) -> bool:
    left, right = one.to_numpy(dtype=object), other.to_numpy(dtype=object)
    gone = pd.isna(left)
    if not np.array_equal(gone, pd.isna(right)):
        return True
    left, right = left[~gone], right[~gone]
    if pd.api.types.is_float_dtype(one) and pd.api.types.is_float_dtype(other):
        # Arithmetic on many numbers at once may round the last ones otherwise.
        return not np.allclose(left.astype(np.float64), right.astype(np.float64), rtol=1e-9, atol=0)
    return not bool(np.all(left == right))
