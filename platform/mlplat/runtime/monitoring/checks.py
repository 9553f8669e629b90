"""Windows of what an endpoint was asked, held against what its model learned from."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from mlplat.runtime.monitoring import thresholds
from mlplat.runtime.monitoring.profile import ColumnProfile, Profile
from mlplat.runtime.monitoring.windows import Rule
from mlplat.spec.monitoring import MonitoringSpec

HISTORY = 26
"""Most windows of a report: half a year of weeks."""
NAMED = 4
"""Columns that an alarm names; the report has all."""
KINDS = {"drift": ("psi", "ks"), "missing": ("missing",), "categories": ("categories",)}
"""Kinds of alarms, and the measures that all have to be over for one.

The two of drift see different things, a mass that moved anywhere and how far all of it did: asking both halves the
false alarms and more, and loses none of the true ones (docs/concepts/drift.md).
"""
MEASURES = {"psi": "PSI", "ks": "KS", "missing": "nulls", "categories": "new categories"}


@dataclass(frozen=True)
class Measured:
    """A measure of a column in a window, and from where on it is a violation."""

    value: float
    threshold: float

    @property
    def over(self) -> bool:
        """Tell whether it is one; what cannot be measured is none."""
        return bool(self.value > self.threshold)


@dataclass(frozen=True)
class Window:
    """One window that is over."""

    start: pd.Timestamp
    end: pd.Timestamp
    rows: int
    columns: dict[str, dict[str, Measured]]
    """Measures by column; none at all where there were too few rows to judge."""
    prediction_psi: float | None
    """How far the predictions are from those for rows of the training's time: a report, never an alarm."""

    def violates(self, column: str, kind: str) -> bool:
        """Tell whether a column is over all thresholds of a kind."""
        found = [self.columns.get(column, {}).get(name) for name in KINDS[kind]]
        return any(found) and all(measured.over for measured in found if measured)

    @property
    def violated(self) -> list[str]:
        """Columns that are over, by whatever kind."""
        return [column for column in self.columns if any(self.violates(column, kind) for kind in KINDS)]

    def described(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "start": self.start.isoformat(),
            "end": self.end.isoformat(),
            "rows": self.rows,
            "judged": bool(self.columns),
            "violated": bool(self.violated),
            "columns": self.violated,
            "prediction_psi": _rounded(self.prediction_psi),
            "measures": {
                column: {
                    name: {"value": _rounded(each.value), "threshold": _rounded(each.threshold), "over": each.over}
                    for name, each in found.items()
                }
                for column, found in self.columns.items()
            },
        }


@dataclass(frozen=True)
class Alarm:
    """Something that people, or a retraining, should look at."""

    kind: str
    message: str
    since: str
    """ISO 8601."""

    def described(self) -> dict[str, Any]:
        """Return it as JSON."""
        return asdict(self)


def look(
    profile: Profile,
    settings: MonitoringSpec,
    features: pd.DataFrame,
    scores: np.ndarray,
    asked: pd.Series,
    *,
    begin: pd.Timestamp,
    until: pd.Timestamp,
) -> list[Window]:
    """Measure the windows that began at `begin` or later and are over at `until`, the oldest first.

    `features` (n × the profile's columns that are watched), `scores` (n) and `asked` (n) are of the same rows. A window
    of fewer rows than `monitoring.min_rows` is counted and not judged.
    """
    calendar = profile.calendar
    place = calendar.numbers(asked)
    wanted = [number for number in calendar.complete(until, HISTORY) if calendar.start(number) >= begin]
    found = []
    for number in wanted:
        rows = np.flatnonzero(place == number)
        judged = len(rows) >= settings.min_rows
        part = features.iloc[rows]
        watched = [column for column in profile.columns if column.name in part.columns]
        columns = {each.name: measure(each, settings, part[each.name]) for each in watched} if judged else {}
        predicted = _drift(profile.scores, pd.Series(scores[rows]))["psi"] if judged else None
        found.append(Window(calendar.start(number), calendar.start(number + 1), len(rows), columns, predicted))
    return found


def measure(column: ColumnProfile, settings: MonitoringSpec, values: pd.Series) -> dict[str, Measured]:
    """Hold one window's values of a column against its profile."""
    counts = column.cells.count(values)
    known, missing = int(counts.sum()), int(values.isna().sum())
    found = _distances(column, counts)
    found["missing"] = missing / max(known + missing, 1) - column.null_share
    if not column.cells.is_number and column.cells.whole:
        found["categories"] = counts[-1] / max(known, 1)
    floors = {"psi": settings.min_psi, "ks": settings.min_ks}
    number = int(column.bins.max()) + 1
    made = {}
    for name, value in found.items():
        limit = max(floors.get(name, settings.min_share), column.thresholds.get(name, 0.0))
        rows = known if name != "missing" else known + missing
        slack = thresholds.allowance(name, limit, rows, column.usual_rows, number)
        made[name] = Measured(float(value), limit + slack)
    return made


def _drift(column: ColumnProfile, values: pd.Series) -> dict[str, float]:
    return _distances(column, column.cells.count(values))


def _distances(column: ColumnProfile, counts: np.ndarray) -> dict[str, float]:
    found = thresholds.distances(column.cells, column.bins, column.total, counts)
    return {name: float(value) for name, value in found.items()}


def alarms(windows: Sequence[Window], settings: MonitoringSpec) -> list[Alarm]:
    """Return the alarms of windows, the oldest first: one a kind."""
    return [*_distances_alarms(windows, settings), *_volume(windows, settings)]


def _distances_alarms(windows: Sequence[Window], settings: MonitoringSpec) -> Iterator[Alarm]:
    rule = Rule(settings.violations, settings.windows)
    columns = sorted({column for window in windows for column in window.columns})
    for kind in KINDS:
        since = {
            column: place
            for column in columns
            if (place := rule.since([window.violates(column, kind) for window in windows])) is not None
        }
        if since:
            yield Alarm(
                kind, _told(kind, sorted(since), windows[-1], rule), windows[min(since.values())].start.isoformat()
            )


def _told(kind: str, columns: Sequence[str], latest: Window, rule: Rule) -> str:
    def one(column: str) -> str:
        found = latest.columns[column]
        return ", ".join(
            f"{MEASURES[name]} {found[name].value:.2f} over {found[name].threshold:.2f}"
            for name in KINDS[kind]
            if name in found
        )

    named = "; ".join(f"`{column}` {one(column)}" for column in columns[:NAMED])
    more = f"; and {len(columns) - NAMED} more" if len(columns) > NAMED else ""
    return f"in {rule.violations} of {rule.windows} windows or more, the latest too: {named}{more}"


def _volume(windows: Sequence[Window], settings: MonitoringSpec) -> Iterator[Alarm]:
    before = [window.rows for window in windows[-1 - settings.windows : -1] if window.rows]
    if len(before) < min(2, settings.windows):
        return
    usual, latest = float(np.median(before)), windows[-1]
    if latest.rows < settings.volume_drop * usual:
        message = f"{latest.rows} rows in the latest window, and {usual:.0f} in those before"
        yield Alarm("volume", message, latest.start.isoformat())


def freshness(newest: pd.Timestamp, until: pd.Timestamp, settings: MonitoringSpec) -> list[Alarm]:
    """Return an alarm when the newest prediction is too old."""
    hours = (until - newest).total_seconds() / 3600
    if hours <= settings.freshness_hours:
        return []
    return [Alarm("freshness", f"no prediction for {hours:.0f} hours", newest.isoformat())]


def _rounded(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else round(value, 6)
