"""Rows that people labelled, among those that are learned from.

A model leaves to people what lies near its threshold, so these rows are no fair sample of what it is asked: they are
learned from, and neither calibrate nor judge. That they were picked by their features alone, by what another model made
of them, leaves their label's chance given those features as it is; only how common they are is not, and so they may be
no more than a share of what is learned from, the newest first. They have no weight besides.

A reviewed row is used from when its own time lies in the training block, like any other row: earlier it would tell of
the days that calibrate or judge.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from mlplat.runtime import nearest, split, table
from mlplat.runtime.snapshots.reviews import Reviewed
from mlplat.runtime.split import Positions, Split
from mlplat.spec.project import DataSpec, ProjectSpec

COLUMN = table.REVIEWED


def joined(rows: pd.DataFrame, spec: ProjectSpec, known: Iterable[Reviewed], present: datetime) -> pd.DataFrame:
    """Return built rows (n × columns) with those behind them that were labelled by `present`, and `COLUMN`.

    Left out are those of another model, those of which the log did not hold every feature as it is, and those that the
    project's own rows have: there the label is known otherwise. Without any, rows are as they were.
    """
    if not spec.data.reviewed_share:
        return rows
    made = pd.DataFrame(list(_rows(spec, table.feature_names(rows, spec), rows[spec.data.target], known, present)))
    if made.empty:
        return rows
    plain = rows.assign(**{COLUMN: False})
    made = _like(made.assign(**{COLUMN: True}), rows)
    if spec.monitoring.key and spec.data.time:
        made = made[~_known_otherwise(spec, made, rows)]
    if made.empty:
        return rows
    # A column of whole numbers or truth values takes no null, and these rows lack what was not asked with.
    loose = {name: _nullable(rows[name]) for name in rows.columns if name not in made or made[name].isna().any()}
    missing = {name: pd.Series(None, index=made.index, dtype=kind) for name, kind in loose.items() if name not in made}
    return pd.concat([plain.astype(loose), made.assign(**missing).astype(loose)[plain.columns]], ignore_index=True)


def _rows(
    spec: ProjectSpec, names: Sequence[str], target: pd.Series, known: Iterable[Reviewed], present: datetime
) -> Iterator[dict[str, object]]:
    data, values = (
        spec.data,
        dict(zip(map(str, table.classes_of(target)), sorted(target.unique().tolist()), strict=True)),
    )
    for each in known:
        answer, told = each.answer, [label for label in each.labels if datetime.fromisoformat(label.time) <= present]
        if answer.model != f"{spec.project}/{spec.model}" or not told or str(told[-1].value) not in values:
            continue
        if not set(names) <= set(answer.row) or (data.group and data.group not in answer.row):
            continue
        asked = pd.Timestamp(answer.time)
        yield {**answer.row, data.target: values[str(told[-1].value)], **_times(data, asked)}


def _times(data: DataSpec, asked: pd.Timestamp) -> dict[str, pd.Timestamp]:
    """Return a row's times, by when it was asked for: whatever it was asked with was known before."""
    if not data.time:
        return {}
    about = asked + pd.Timedelta(hours=data.lead_hours)
    known = {
        group.known: asked - pd.Timedelta(minutes=group.delay_minutes, seconds=1)
        for group in data.features.values()
        if group.known
    }
    return {**known, **({data.label_time: about} if data.label_time else {}), data.time: about}


def _like(made: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Return reviewed rows (m × columns) without what the built ones do not have, and of their types."""
    kept = made[[name for name in made.columns if name in rows.columns or name == COLUMN]]
    shared = [name for name in kept if name != COLUMN]
    return kept.astype(
        {name: _nullable(rows[name]) if kept[name].isna().any() else rows[name].dtype for name in shared}
    )


def _nullable(values: pd.Series) -> Any:
    if pd.api.types.is_bool_dtype(values.dtype):
        return "boolean"
    return "Int64" if pd.api.types.is_integer_dtype(values.dtype) else values.dtype


def _known_otherwise(spec: ProjectSpec, made: pd.DataFrame, rows: pd.DataFrame) -> np.ndarray:
    """Return which reviewed rows (m) are among the built ones, found as a monitor finds a prediction's label."""
    key = list(spec.monitoring.key)

    def keyed(frame: pd.DataFrame) -> pd.DataFrame:
        return frame[key].astype("str").assign(**{nearest.AT: split.asked_at(frame, spec.data)})

    found = nearest.join(keyed(made), keyed(rows).assign(there=True), key, spec.monitoring.key_hours)
    return found["there"].notna().to_numpy()


def mask(rows: pd.DataFrame) -> np.ndarray:
    """Return which rows (n) people labelled."""
    return rows[COLUMN].to_numpy(dtype=bool) if COLUMN in rows else np.zeros(len(rows), dtype=bool)


def learned(made: Split, rows: pd.DataFrame, spec: ProjectSpec) -> Split:
    """Return a split of the rows that nobody labelled as one of all (n), with those learned from that may be."""
    which = mask(rows)
    if not which.any():
        return made
    plain, ours = np.flatnonzero(~which), np.flatnonzero(which)
    train, calibration, holdout = (plain[part] for part in (made.train, made.calibration, made.holdout))
    eligible = ours[_eligible(made, rows, spec, ours, np.concatenate([calibration, holdout]))]
    share = spec.data.reviewed_share
    most = int(len(train) * share / (1 - share))
    chosen = np.sort(_newest_last(rows, spec.data, eligible)[len(eligible) - min(most, len(eligible)) :])
    both = np.concatenate([train, chosen])
    return replace(made, train=both, calibration=calibration, holdout=holdout, reviewed=len(chosen))


def _eligible(made: Split, rows: pd.DataFrame, spec: ProjectSpec, ours: Positions, others: Positions) -> np.ndarray:
    data, inside = spec.data, rows.iloc[ours]
    if made.cuts is None:
        taken = set(rows[data.group].iloc[others]) if data.group else set()
        return np.array([value not in taken for value in inside[data.group]]) if taken else np.ones(len(ours), bool)
    start, end = pd.Timestamp(made.cuts.train_start), pd.Timestamp(made.cuts.calibration_start)
    known = split.known_at(inside, data) < end - pd.Timedelta(hours=data.lead_hours)
    return ((inside[data.time] >= start) & (inside[data.time] < end) & known).to_numpy()


def _newest_last(rows: pd.DataFrame, data: DataSpec, positions: Positions) -> Positions:
    if not data.time:
        return positions
    return positions[np.argsort(rows[data.time].iloc[positions].to_numpy(), kind="stable")]
