"""From built rows to rows that are ready to be learned from: checked, divided, and known by their content."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlplat.clock import Clock
from mlplat.errors import RefusedError
from mlplat.runtime import availability, split, table
from mlplat.runtime.split import Split, Window
from mlplat.spec.project import ProjectSpec


@dataclass(frozen=True)
class Options:
    """What a run was asked for."""

    window: Window = field(default_factory=Window)
    sample: int | None = None
    """Rows to keep, taken evenly over time; None keeps all."""
    overrides: dict[str, Any] = field(default_factory=dict)


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


def prepare(spec: ProjectSpec, options: Options, rows: pd.DataFrame) -> Prepared:
    """Divide built rows (n × columns), refusing whatever was not known when a prediction was asked for.

    Raises `RefusedError` for a leak, or a block that is too small.
    """
    data = spec.data
    names = table.feature_names(rows, spec)
    if not names:
        raise RefusedError("no column is left to learn from", hint="`data` of mlplat.yaml gives every one another part")
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
        hash_rows(features.assign(_=labels)),
    )


def _sampled(rows: pd.DataFrame, count: int | None, time: str | None) -> pd.DataFrame:
    if count is None or count >= len(rows):
        return rows.reset_index(drop=True)
    ordered = rows.sort_values(time, kind="stable") if time else rows
    chosen = np.linspace(0, len(rows) - 1, count).astype(int)
    return ordered.iloc[chosen].reset_index(drop=True)


def hash_rows(frame: pd.DataFrame) -> str:
    """Return `sha256:…` over names, values and order of rows (n × columns)."""
    total = hashlib.sha256(json.dumps([str(name) for name in frame.columns]).encode())
    total.update(pd.util.hash_pandas_object(frame, index=False).to_numpy().tobytes())
    return f"sha256:{total.hexdigest()}"
