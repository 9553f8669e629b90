"""What a model must reach whatever it is compared with: better than guessing, better than climatology, calibrated."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlplat.runtime import metrics
from mlplat.runtime.gate.rule import Rule, above
from mlplat.runtime.metrics import Floats, Interval, Resamples, interval
from mlplat.spec.gate import GateSpec

STRENGTH = 50.0
"""Rows of the overall rate that each value's own is mixed with, so that a rare value's is no chance."""


def climatology(learned: Floats, values: pd.Series | None = None, judged: pd.Series | None = None) -> Floats | float:
    """Return what the training rows' labels (n) alone say of each row that judges.

    It is their mean, or with a column's values of the training rows (n) and of the judging ones (m) the mean of each
    value (m); one that was never learned from has the overall mean.
    """
    mean = float(learned.mean())
    if values is None or judged is None:
        return mean
    found = pd.Series(learned).groupby(_plain(values), dropna=False)
    rates = (found.sum() + STRENGTH * mean) / (found.count() + STRENGTH)
    said = pd.Series(_plain(judged)).map(rates.to_dict())
    return np.asarray(said.fillna(mean), dtype=np.float64)


def _plain(values: pd.Series) -> NDArray[np.object_]:
    return np.asarray(values.astype(object).where(values.notna(), None), dtype=np.object_)


def floors(
    task: str, gate: GateSpec, labels: Floats, prior: Floats, scores: Floats, resamples: Resamples, confidence: float
) -> Iterator[Rule]:
    """Yield the rules that a model's scores (n) stand by themselves, against a forecast that knows no row (n)."""

    def of(measure: metrics.Measure) -> Interval:
        return interval(measure, resamples, confidence)

    better = of(skill(task, labels, prior, scores))
    if task == "regression":
        yield above("r2_floor", of(metrics.r2(labels, scores)), gate.min_r2, "variance explained")
        what = "share of the error gone that always saying what the training rows' means are leaves"
        yield above("better_than_climatology", better, gate.min_skill, what)
        return
    yield above("auc_floor", of(metrics.auc(labels, scores)), gate.min_auc, "area under the ROC curve")
    yield _skilled(better, gate.min_skill)
    yield _calibrated(of(metrics.mean_of(scores - labels)), gate.max_calibration_gap)


def skill(task: str, labels: Floats, prior: Floats, scores: Floats) -> metrics.Measure:
    """Return the measure of which share of a forecast's log loss, or root mean squared error, a model's has gone."""
    if task == "binary":
        ours, theirs = (metrics.mean_of(metrics.log_loss(labels, each)) for each in (scores, prior))
    else:
        ours, theirs = (metrics.rmse(labels, each) for each in (scores, prior))
    return metrics.relative_gain(ours, theirs)


def _skilled(better: Interval, limit: float) -> Rule:
    # The number, not its interval: four weeks show skill to a few points only, and it moves with the season's base
    # rate. That the ranking is no guess, the rule above shows by its interval.
    passed = better.value > limit
    detail = (
        f"{better.value:.4f} of the log loss is gone that knowing only the training rows' rates leaves; "
        f"it has to be more than {limit:g}"
    )
    return Rule("better_than_climatology", passed, f"above {limit:g}", str(better), detail)


def _calibrated(gap: Interval, limit: float) -> Rule:
    passed = abs(gap.value) <= limit
    detail = f"mean probability is {gap.value:+.4f} from the share of positives; {limit:g} is allowed"
    return Rule("calibration_in_the_large", passed, f"at most {limit:g} apart", str(gap), detail)
