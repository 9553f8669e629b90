"""How right a model still is, on predictions whose labels are ripe.

What counts is what a stale model loses: its probabilities no longer mean what they say (calibration in the large), and
what it knows beyond the base rate shrinks (skill against climatology). Ranking measures hang on how hard the season is,
and average precision on the base rate itself: they are reported, and no alarm.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from mlplat.runtime import metrics
from mlplat.runtime.metrics import Floats, Interval, Resamples
from mlplat.runtime.monitoring.checks import Alarm
from mlplat.runtime.monitoring.profile import Profile
from mlplat.runtime.monitoring.windows import Calendar
from mlplat.spec.monitoring import MonitoringSpec

SEED, RESAMPLES, CONFIDENCE = 0, 500, 0.95


@dataclass(frozen=True)
class Outcomes:
    """Predictions and what became of them, as far as that is known; all n long."""

    asked: pd.Series
    """When each prediction was asked for, in UTC."""
    scores: Floats
    labels: Floats
    """1 or 0, or the value; NaN where none was found."""
    ripe: np.ndarray
    """Whether the label should be known by now."""

    @property
    def known(self) -> np.ndarray:
        """Which have both an answer and a label."""
        return np.isfinite(self.labels) & np.isfinite(self.scores)


@dataclass(frozen=True)
class Performance:
    """What the latest ripe days say."""

    start: pd.Timestamp | None = None
    end: pd.Timestamp | None = None
    rows: int = 0
    coverage: float | None = None
    """Share of the ripe predictions that have a label."""
    measures: dict[str, Interval] = field(default_factory=dict)
    unjudged: str | None = None
    """Why nothing is measured."""
    windows: tuple[dict[str, Any], ...] = ()
    """One a window: `start`, `maturity`, `coverage`, `predicted`, `observed`."""

    def described(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "start": self.start.isoformat() if self.start is not None else None,
            "end": self.end.isoformat() if self.end is not None else None,
            "rows": self.rows,
            "coverage": self.coverage,
            "measures": {name: interval.described() for name, interval in self.measures.items()},
            "unjudged": self.unjudged,
            "windows": list(self.windows),
        }


def measure(profile: Profile, settings: MonitoringSpec, outcomes: Outcomes, until: pd.Timestamp) -> Performance:
    """Measure the last `performance_days` whose labels are all ripe, with intervals by day."""
    days = Calendar(1, profile.calendar.zone)
    day = days.numbers(outcomes.asked)
    told = tuple(_windows(profile, outcomes, until))
    last = ripe_end(day, outcomes.ripe, days.number(until))
    first = last - settings.performance_days
    inside = (day >= first) & (day < last)
    labelled = inside & outcomes.known
    start, end, rows = days.start(first), days.start(last), int(labelled.sum())
    coverage = round(rows / int(inside.sum()), 6) if inside.any() else None
    blocks = np.unique(day[labelled], return_inverse=True)[1].astype(np.int64)
    if why := _too_little(settings, rows, coverage, int(blocks.max(initial=-1)) + 1):
        return Performance(start, end, rows, coverage, unjudged=why, windows=told)
    resamples = Resamples(blocks, RESAMPLES, SEED)
    found = _measures(profile, outcomes.labels[labelled], outcomes.scores[labelled])
    measured = {name: metrics.interval(each, resamples, CONFIDENCE) for name, each in found.items()}
    return Performance(start, end, rows, coverage, measured, windows=told)


def ripe_end(day: np.ndarray, ripe: np.ndarray, present: int) -> int:
    """Return the first day (a number) with a prediction whose label is not ripe, or the present one."""
    unripe = day[~ripe & (day < present)]
    return int(unripe.min()) if len(unripe) else present


def _too_little(settings: MonitoringSpec, rows: int, coverage: float | None, days: int) -> str | None:
    if rows < settings.min_rows:
        return f"{rows} predictions have a ripe label, and {settings.min_rows} are needed"
    if coverage is not None and coverage < settings.min_coverage:
        return f"{coverage:.0%} of the ripe predictions have a label: those that have one need not be like the others"
    if days < metrics.MIN_BLOCKS:
        return f"ripe labels are of {days} days, and an interval needs {metrics.MIN_BLOCKS}"
    return None


def _measures(profile: Profile, labels: Floats, scores: Floats) -> dict[str, metrics.Measure]:
    if profile.task == "binary":
        loss = metrics.mean_of(metrics.log_loss(labels, scores))
        climatology = metrics.mean_of(metrics.log_loss(labels, np.full(len(labels), profile.base)))
        found = {
            "calibration_gap": metrics.mean_of(scores - labels),
            "skill": metrics.relative_gain(loss, climatology),
            "log_loss": loss,
        }
        return found | ({"auc": metrics.auc(labels, scores)} if len(np.unique(labels)) > 1 else {})
    squared = metrics.mean_of((labels - scores) ** 2)
    return {
        "bias": metrics.mean_of((scores - labels) / (profile.spread or 1.0)),
        "skill": metrics.relative_gain(squared, metrics.mean_of((labels - profile.base) ** 2)),
        "rmse": metrics.rmse(labels, scores),
    }


def _windows(profile: Profile, outcomes: Outcomes, until: pd.Timestamp) -> Iterator[dict[str, Any]]:
    numbers = profile.calendar.numbers(outcomes.asked)
    for number in np.unique(numbers[(outcomes.asked < until).to_numpy()]):
        rows = numbers == number
        ripe = rows & outcomes.ripe
        known = ripe & outcomes.known
        yield {
            "start": profile.calendar.start(int(number)).isoformat(),
            "maturity": round(float(ripe.sum() / rows.sum()), 4),
            "coverage": round(float(known.sum() / ripe.sum()), 4) if ripe.any() else None,
            "predicted": round(float(outcomes.scores[known].mean()), 6) if known.any() else None,
            "observed": round(float(outcomes.labels[known].mean()), 6) if known.any() else None,
        }


def alarms(performance: Performance, settings: MonitoringSpec, base: float) -> list[Alarm]:
    """Return the alarm that the measures give, if any: each with what it says and what it would have to say."""
    found = performance.measures
    said = []
    for name, limit, what in (
        ("calibration_gap", settings.max_calibration_gap, "mean prediction less what came"),
        ("bias", settings.max_bias, "mean error in standard deviations"),
    ):
        interval = found.get(name)
        if interval and abs(interval.value) >= limit and not interval.low <= 0 <= interval.high:
            said.append(f"{what} is {interval}")
    if (skill := found.get("skill")) and skill.high < 0:
        said.append(f"it is worse than always saying {base:.3f}: skill {skill}")
    if (regret := found.get("regret")) and regret.value >= settings.max_regret and regret.low > 0:
        said.append(f"a model of recent rows loses less, by {regret}")
    since = performance.start.isoformat() if performance.start is not None else ""
    return [Alarm("performance", "; ".join(said), since)] if said else []
