"""Dividing rows so that the judging ones tell the truth.

With a time, in its order: training, then calibration, then the hold-out. A row belongs to an earlier block only when
its label was known before the first prediction of the next one was asked for, so nothing learned comes from the future
of what is judged. Without a time, by groups or classes, and that is said, since such a split cannot see change.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlplat.errors import RefusedError, UsageError
from mlplat.runtime.metrics import MIN_BLOCKS, MIN_CLASS
from mlplat.spec.project import DataSpec, ProjectSpec

Positions = NDArray[np.intp]
MIN_BLOCK = 50
"""Fewest rows of a block: fewer can be neither fitted on nor judged by."""
MIN_HOLDOUT_DAYS = 28
"""Fewest days of a hold-out: four of each day of the week."""


@dataclass(frozen=True)
class Window:
    """Exact times of a split; None is worked out."""

    until: str | None = None
    """The clock: rows and labels known by then."""
    train_start: str | None = None
    train_end: str | None = None
    holdout_start: str | None = None
    holdout_end: str | None = None


@dataclass(frozen=True)
class Cuts:
    """Where a split by time was made, as ISO 8601; each block runs from its start up to, not including, its end."""

    train_start: str
    calibration_start: str
    calibration_end: str
    holdout_start: str
    holdout_end: str
    until: str


@dataclass(frozen=True)
class Split:
    """Positions (integers into the rows) of the three blocks, and how they came about."""

    train: Positions
    calibration: Positions
    holdout: Positions
    how: str
    """One sentence for people."""
    cuts: Cuts | None = None
    learned_until: str | None = None
    """With a time: when the last label that was learned from had become known, as ISO 8601."""
    judged_from: str | None = None
    """With a time: when the first prediction of the hold-out is asked for, at the earliest."""
    reviewed: int = 0
    """How many of the rows that are learned from people labelled."""

    def described(self) -> dict[str, Any]:
        """Return sizes and cuts as JSON."""
        sizes = {name: len(getattr(self, name)) for name in ("train", "calibration", "holdout")}
        sizes |= {"train, of them reviewed": self.reviewed} if self.reviewed else {}
        return {"how": self.how, "rows": sizes, "cuts": asdict(self.cuts) if self.cuts else None}


def asked_at(frame: pd.DataFrame, data: DataSpec) -> pd.Series:
    """Return the time at which each row's prediction is asked for."""
    asked: pd.Series = frame[data.time] - pd.Timedelta(hours=data.lead_hours)
    return asked


def known_at(frame: pd.DataFrame, data: DataSpec) -> pd.Series:
    """Return the time at which each row's label is certainly known."""
    known: pd.Series = frame[data.label_time or data.time] + pd.Timedelta(hours=data.label_horizon_hours)
    return known


def read_time(text: str, zone: str) -> pd.Timestamp:
    """Read a date or time in a zone, as UTC. Raises `UsageError`."""
    try:
        stamp = pd.Timestamp(datetime.fromisoformat(text))
    except ValueError as error:
        raise UsageError(f"`{text}` is no time", hint="write it as 2013-04-01 (ISO 8601)") from error
    return stamp.tz_convert("UTC") if stamp.tzinfo else _utc(stamp, zone)


def _utc(local: pd.Timestamp, zone: str) -> pd.Timestamp:
    # Where clocks change at midnight, a day begins at 01:00, or at the first of two midnights.
    return local.tz_localize(zone, ambiguous=True, nonexistent="shift_forward").tz_convert("UTC")


def _day(stamp: pd.Timestamp, days: int, zone: str) -> pd.Timestamp:
    """Return the start of the day that a time lies in, some days later: a day may have 23 or 25 hours."""
    local = stamp.tz_convert(zone).tz_localize(None).normalize()
    return _utc(local + pd.Timedelta(days=days), zone)


def by_time(frame: pd.DataFrame, spec: ProjectSpec, window: Window, now: pd.Timestamp) -> Split:
    """Divide rows (n × columns, with the project's time columns in UTC) by time.

    `now` is the clock where `window.until` is not given. Raises `RefusedError` when a block would be too small.
    """
    data = spec.data
    time, known = frame[data.time], known_at(frame, data)
    until = read_time(window.until, data.timezone) if window.until else now
    cuts = _cuts(time, known, until, spec, window)
    start, middle, end, judge, last = (pd.Timestamp(text) for text in list(asdict(cuts).values())[:5])
    lead = pd.Timedelta(hours=data.lead_hours)
    blocks = {
        # Purged: what was not yet known when the next block's first prediction was asked for.
        "train": (time >= start) & (time < middle) & (known < middle - lead),
        "calibration": (time >= middle) & (time < end) & (known < judge - lead),
        "holdout": (time >= judge) & (time < last) & (known <= until),
    }
    positions = {name: np.flatnonzero(mask.to_numpy()) for name, mask in blocks.items()}
    _refuse_small(positions, f": {asdict(cuts)}")
    learned = known.iloc[np.concatenate([positions["train"], positions["calibration"]])].max()
    how = f"by time: trained on {start:%Y-%m-%d} to {middle:%Y-%m-%d}, judged on {judge:%Y-%m-%d} to {last:%Y-%m-%d}"
    train, calibration, holdout = positions.values()
    return Split(train, calibration, holdout, how, cuts, learned.isoformat(), (judge - lead).isoformat())


def _cuts(time: pd.Series, known: pd.Series, until: pd.Timestamp, spec: ProjectSpec, window: Window) -> Cuts:
    zone, settings = spec.data.timezone, spec.split
    ripe_end = _ripe_end(time, known, until, zone)
    last = read_time(window.holdout_end, zone) if window.holdout_end else ripe_end
    if last > ripe_end:
        raise RefusedError(
            f"the hold-out would end on {last:%Y-%m-%d}, and labels are ripe only until {ripe_end:%Y-%m-%d}",
            hint="give a later `--until`, or an earlier `--holdout-end`",
        )
    judge = read_time(window.holdout_start, zone) if window.holdout_start else _day(last, -settings.holdout_days, zone)
    if last < _day(judge, MIN_HOLDOUT_DAYS, zone):
        raise RefusedError(
            f"the hold-out would be shorter than {MIN_HOLDOUT_DAYS} days",
            hint="give it more days: fewer say too little",
        )
    end = read_time(window.train_end, zone) if window.train_end else _learned_end(judge, spec)
    if end > judge:
        raise RefusedError("training would end after the hold-out begins", hint="give an earlier `--train-end`")
    middle = _day(end, -settings.calibration_days, zone)
    start = _train_start(time, middle, spec, window)
    return Cuts(*(stamp.isoformat() for stamp in (start, middle, end, judge, last, until)))


def _learned_end(judge: pd.Timestamp, spec: ProjectSpec) -> pd.Timestamp:
    """Return the start of the first day whose labels are too late for the hold-out's first prediction.

    Without this gap a label horizon longer than the calibration block would leave nothing of it.
    """
    data = spec.data
    return _day(judge - pd.Timedelta(hours=data.lead_hours + data.label_horizon_hours), 0, data.timezone)


def _ripe_end(time: pd.Series, known: pd.Series, until: pd.Timestamp, zone: str) -> pd.Timestamp:
    """Return the start of the first day on which some label is not known yet, or the end of the data."""
    unripe = time[(known > until) | known.isna()]
    seen = time[time <= until]
    if seen.empty:
        raise RefusedError(f"there are no rows before {until:%Y-%m-%d}", hint="give a later `--until`")
    return _day(seen.max(), 1, zone) if unripe.empty else _day(unripe.min(), 0, zone)


def _train_start(time: pd.Series, middle: pd.Timestamp, spec: ProjectSpec, window: Window) -> pd.Timestamp:
    if window.train_start:
        return read_time(window.train_start, spec.data.timezone)
    first = _day(time.min(), 0, spec.data.timezone)
    wanted = _day(middle, -spec.split.train_days, spec.data.timezone) if spec.split.train_days else first
    return max(first, wanted)


def _refuse_small(positions: dict[str, Positions], where: str = "") -> None:
    if small := [name for name, found in positions.items() if len(found) < MIN_BLOCK]:
        raise RefusedError(
            f"the {small[0]} block has {len(positions[small[0]])} rows, fewer than {MIN_BLOCK}{where}",
            hint="give a later `--until`, more data, or another `split` in mlplat.yaml",
        )


def without_time(frame: pd.DataFrame, spec: ProjectSpec) -> Split:
    """Divide rows that have no time: by whole groups where the project names one, otherwise at random.

    Classes keep their shares in a random split. Raises `RefusedError` when a block would be too small.
    """
    from sklearn.model_selection import GroupShuffleSplit, ShuffleSplit, StratifiedShuffleSplit

    settings, seed, group = spec.split, spec.training.seed, spec.data.group
    groups = pd.factorize(frame[group])[0] if group else None
    labels = pd.factorize(frame[spec.data.target])[0] if spec.task == "binary" else None
    _refuse_few(groups, labels, settings.holdout_fraction)
    kind = GroupShuffleSplit if group else ShuffleSplit if labels is None else StratifiedShuffleSplit

    def cut(rows: Positions, fraction: float) -> tuple[Positions, Positions]:
        chosen = kind(test_size=fraction, random_state=seed)
        first, second = next(
            chosen.split(rows, *(None if values is None else values[rows] for values in (labels, groups)))
        )
        return rows[first], rows[second]

    rest, holdout = cut(np.arange(len(frame)), settings.holdout_fraction)
    train, calibration = cut(rest, settings.calibration_fraction / (1 - settings.holdout_fraction))
    _refuse_small({"train": train, "calibration": calibration, "holdout": holdout})
    how = f"{f'by `{group}`' if group else 'at random'}: rows have no time, so a change over time cannot be seen"
    return Split(np.sort(train), np.sort(calibration), np.sort(holdout), how)


def _refuse_few(groups: NDArray[np.int64] | None, labels: NDArray[np.int64] | None, fraction: float) -> None:
    if groups is not None and int((found := len(np.unique(groups))) * fraction) < MIN_BLOCKS:
        raise RefusedError(
            f"there are {found} groups, and a share of {fraction:g} is fewer than the {MIN_BLOCKS} that can judge",
            hint="give data of more groups, or a greater `split.holdout_fraction`",
        )
    if groups is None and labels is not None and (rare := int(np.bincount(labels).min())) < MIN_CLASS:
        raise RefusedError(f"the rarer class has {rare} rows, and {MIN_CLASS} are needed", hint="give more data")


def day_of(frame: pd.DataFrame, data: DataSpec) -> NDArray[np.int64]:
    """Return the block that each row is resampled with: its day, its group, or itself."""
    found: pd.Series | pd.Index = frame[data.group] if data.group else pd.RangeIndex(len(frame))
    if data.time:
        # Without the zone: not every day has a midnight.
        found = frame[data.time].dt.tz_convert(data.timezone).dt.tz_localize(None).dt.normalize()
    return np.asarray(pd.factorize(found)[0], dtype=np.int64)
