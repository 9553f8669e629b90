"""From built rows to rows that are ready to be learned from: checked, divided, and known by their content."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlplat.clock import Clock
from mlplat.errors import RefusedError
from mlplat.runtime import availability, explanations, folds, split, table
from mlplat.runtime.folds import Fold
from mlplat.runtime.hashing import hash_rows
from mlplat.runtime.record import Record, recording
from mlplat.runtime.snapshots import keeping
from mlplat.runtime.snapshots.place import Place
from mlplat.runtime.snapshots.store import Snapshots, pack, unpack
from mlplat.runtime.snapshots.tombstones import Tombstones
from mlplat.runtime.split import Split, Window
from mlplat.spec.project import ProjectSpec

Load = Callable[[ProjectSpec, Path], Any]
"""From a project's settings and folder to its raw data."""
Build = Callable[[Any, ProjectSpec], pd.DataFrame]
"""From raw data to one row an example."""


@dataclass(frozen=True)
class Options:
    """What a run was asked for."""

    window: Window = field(default_factory=Window)
    sample: int | None = None
    """Rows to keep, taken evenly over time; None keeps all."""
    overrides: dict[str, Any] = field(default_factory=dict)
    snapshot: str | None = None
    """Hash of a training set to train on again, or the beginning of it; None reads the source."""


@dataclass(frozen=True)
class Prepared:
    """Rows ready to be learned from."""

    features: pd.DataFrame
    """Rows × features."""
    labels: NDArray[np.float64]
    """One a row: 1 for the positive class, or the value."""
    blocks: NDArray[np.int64]
    """What each row is resampled with: its day, its group, or itself."""
    split: Split
    classes: tuple[int | str | bool, ...]
    holdout_hash: str
    """Content hash of the rows that judge, features and labels."""
    window_hash: str
    """Content hash of their labels and times: what their uses are counted by, whatever the features."""
    data_hash: str
    """Content hash of all that was learned from and judged by, times and keys included: the snapshot's."""
    folds: tuple[Fold, ...] = ()
    """Of the training block, for cross-validation; none where the project asks for none."""
    named: pd.DataFrame = field(default_factory=pd.DataFrame)
    """Rows × the columns by which the gate tells slices and groups apart, features or not."""
    snapshot: dict[str, Any] = field(default_factory=dict)
    """Its record, with the quality report, where rows were read by `begin`."""
    asked: pd.Series | None = None
    """When each row's prediction is asked for, in UTC; None where rows have no time."""


def begin(spec: ProjectSpec, options: Options, load: Load, build: Build, *, project: Path) -> Prepared:
    """Read and build a project's rows, or restore them, keep them as a snapshot, and divide them.

    Rows are taken as a snapshot gives them back, so that training on one again is the same to the last bit. Raises
    `RefusedError` for rows that may not be learned from, and `UsageError` for what cannot be read or found.
    """
    store, noted = Snapshots(Place.of(project)), Record()
    if options.snapshot:
        found = store.find(options.snapshot)
        rows, noted = store.rows(found), Record(sources=found.facts["sources"])
    else:
        with recording(options.sample) as noted:
            rows = build(load(spec, project), spec)
        keeping.set_aside(store.place, noted)
    rows = _sampled(Tombstones(store.place).without(rows), options.sample, spec.data.time)
    packed = pack(rows[kept_columns(rows, spec)])
    rows = unpack(packed)
    made, present = prepare(spec, options, rows), _present(spec, options)
    kept = keeping.keep(rows, packed, made.data_hash, spec.data, noted, project=project, present=present)
    return replace(made, snapshot=kept)


def kept_columns(rows: pd.DataFrame, spec: ProjectSpec) -> list[str]:
    """Return the columns that a run needs of its rows: features, label, times, group, keys, and what the gate names."""
    data = spec.data
    others = [data.target, *table.times(spec), *([data.group] if data.group else []), *data.keys]
    named = [str(name) for name in table.named_columns(rows, spec).columns]
    return list(dict.fromkeys([*table.feature_names(rows, spec), *others, *named]))


def _present(spec: ProjectSpec, options: Options) -> datetime:
    until = options.window.until
    clock = Clock.from_environment().now()
    return split.read_time(until, spec.data.timezone).to_pydatetime() if until else clock


def prepare(spec: ProjectSpec, options: Options, rows: pd.DataFrame) -> Prepared:
    """Divide built rows (n × columns), refusing whatever was not known when a prediction was asked for.

    Raises `RefusedError` for a leak, or a block that is too small.
    """
    data = spec.data
    names = table.feature_names(rows, spec)
    if not names:
        raise RefusedError("no column is left to learn from", hint="`data` of mlplat.yaml gives every one another part")
    explanations.check(spec, names)
    classes = table.classes_of(rows[data.target]) if spec.task == "binary" else ()
    rows = _sampled(rows, options.sample, data.time)
    target = rows[data.target]
    labels = np.asarray(target == classes[-1] if classes else target, dtype=np.float64)
    if data.time:
        availability.refuse_future(rows, split.asked_at(rows, data), data, names)
        made = split.by_time(rows, spec, options.window, pd.Timestamp(Clock.from_environment().now()))
    else:
        made = split.without_time(rows, spec)
    features = rows[names]
    if spec.task == "binary":
        learned = made.train
        availability.refuse_outcome_masks(
            features.iloc[learned], pd.Series(labels[learned], index=features.index[learned])
        )
    judged = features.iloc[made.holdout].assign(**{data.target: target.iloc[made.holdout]})
    window = rows[[data.target, *([data.time] if data.time else [])]].iloc[made.holdout]
    return Prepared(
        features,
        labels,
        split.day_of(rows, data),
        made,
        classes,
        hash_rows(judged),
        hash_rows(window),
        hash_rows(rows[kept_columns(rows, spec)]),
        folds.make(rows, labels, spec, made.train),
        table.named_columns(rows, spec),
        asked=split.asked_at(rows, data) if data.time else None,
    )


def _sampled(rows: pd.DataFrame, count: int | None, time: str | None) -> pd.DataFrame:
    if count is None or count >= len(rows):
        return rows.reset_index(drop=True)
    ordered = rows.sort_values(time, kind="stable") if time else rows
    chosen = np.linspace(0, len(rows) - 1, count).astype(int)
    return ordered.iloc[chosen].reset_index(drop=True)
