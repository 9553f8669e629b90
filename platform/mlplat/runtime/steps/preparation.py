"""From built rows to rows that are ready to be learned from: checked, divided, and known by their content."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlplat.bundle import Column
from mlplat.clock import Clock
from mlplat.errors import RefusedError
from mlplat.runtime import availability, explanations, folds, online, reviewed, split, table
from mlplat.runtime.evenly import evenly
from mlplat.runtime.folds import Fold
from mlplat.runtime.hashing import hash_rows
from mlplat.runtime.record import Record
from mlplat.runtime.snapshots import keeping
from mlplat.runtime.snapshots.place import Place
from mlplat.runtime.snapshots.reviews import Reviews
from mlplat.runtime.snapshots.store import Snapshots, pack, unpack
from mlplat.runtime.snapshots.tombstones import Tombstones
from mlplat.runtime.split import Split, Window
from mlplat.runtime.steps import building
from mlplat.runtime.steps.building import Build, Load
from mlplat.spec.project import ProjectSpec


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
class Source:
    """Where the rows of a run are found again."""

    place: str
    """Address of the project's snapshots."""
    snapshot: str
    spec: ProjectSpec
    """By which they were divided into features, labels and the rest."""


@dataclass(frozen=True)
class Prepared:
    """Rows ready to be learned from.

    Pickled, it holds none of those that its snapshot holds: what a flow's steps hand on stays in a store of Metaflow's
    for good, out of reach of an erasure. They are read again where it is unpickled, which raises `RefusedError` when
    they are kept no longer.
    """

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
    keys: tuple[Column, ...] = ()
    """The columns by which features are looked up, features or not."""
    asked: pd.Series | None = None
    """When each row's prediction is asked for, in UTC; None where rows have no time."""
    source: Source | None = None
    """None where its rows are nowhere else."""

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what the snapshot's rows give again."""
        return {name: value for name, value in vars(self).items() if self.source is None or name not in OF_ROWS}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Read the rows again where they were left out."""
        vars(self).update(state)
        if self.source is not None:
            store = Snapshots(Place(self.source.place))
            vars(self).update(_of_rows(store.rows(store.get(self.source.snapshot)), self.source.spec))


OF_ROWS = ("features", "labels", "blocks", "named", "asked")
"""Fields that hold something of every row."""


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
        rows, noted = building.rows(spec, options.sample, load, build, project=project)
        rows = reviewed.joined(rows, spec, Reviews(store.place).all(), _present(spec, options))
        keeping.set_aside(store.place, noted)
    rows = _sampled(Tombstones(store.place).without(rows), options.sample, spec.data.time)
    packed = pack(rows[kept_columns(rows, spec)])
    rows = unpack(packed)
    made, present = prepare(spec, options, rows), _present(spec, options)
    kept = keeping.keep(rows, packed, made.data_hash, spec.data, noted, project=project, present=present)
    return replace(made, snapshot=kept, source=Source(store.place.address, made.data_hash, spec))


def kept_columns(rows: pd.DataFrame, spec: ProjectSpec) -> list[str]:
    """Return the columns that a run needs of its rows: features, label, times, group, keys, and what the gate names."""
    data = spec.data
    others = [data.target, *table.times(spec), *([data.group] if data.group else []), *data.keys]
    others += [table.REVIEWED] if table.REVIEWED in rows.columns else []
    others += [name for name in online.key_names(spec) if name in rows.columns]
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
    found = _of_rows(rows, spec)
    features, labels = found["features"], found["labels"]
    if data.time:
        availability.refuse_future(rows, found["asked"], data, names)
    # People label what a model is unsure of: rows that judge and calibrate are drawn as they come.
    which = reviewed.mask(rows)
    plain = rows[~which] if which.any() else rows
    if data.time:
        fair = split.by_time(plain, spec, options.window, pd.Timestamp(Clock.from_environment().now()))
    else:
        fair = split.without_time(plain, spec)
    made = reviewed.learned(fair, rows, spec)
    if spec.task == "binary":
        learned = made.train
        availability.refuse_outcome_masks(
            features.iloc[learned], pd.Series(labels[learned], index=features.index[learned])
        )
    judged = features.iloc[made.holdout].assign(**{data.target: rows[data.target].iloc[made.holdout]})
    window = rows[[data.target, *([data.time] if data.time else [])]].iloc[made.holdout]
    return Prepared(
        **found,
        split=made,
        classes=classes,
        holdout_hash=hash_rows(judged),
        window_hash=hash_rows(window),
        data_hash=hash_rows(rows[kept_columns(rows, spec)]),
        folds=folds.make(rows, labels, spec, made.train[~which[made.train]]),
        keys=online.keys_of(plain, spec),
    )


def _of_rows(rows: pd.DataFrame, spec: ProjectSpec) -> dict[str, Any]:
    """Return the fields of `OF_ROWS` for built rows (n × columns), whichever part of them a run uses."""
    data = spec.data
    target = rows[data.target]
    classes = table.classes_of(target) if spec.task == "binary" else ()
    return {
        "features": rows[table.feature_names(rows, spec)],
        "labels": np.asarray(target == classes[-1] if classes else target, dtype=np.float64),
        "blocks": split.day_of(rows, data),
        "named": table.named_columns(rows, spec),
        "asked": split.asked_at(rows, data) if data.time else None,
    }


def _sampled(rows: pd.DataFrame, count: int | None, time: str | None) -> pd.DataFrame:
    if count is None or count >= len(rows):
        return rows.reset_index(drop=True)
    ordered = rows.sort_values(time, kind="stable") if time else rows
    return ordered.iloc[evenly(len(rows), count)].reset_index(drop=True)
