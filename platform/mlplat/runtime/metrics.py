"""Measures of a model on a block of rows, with intervals.

Rows of one day are alike, so intervals come from resampling whole days (a block bootstrap, Efron and Tibshirani, An
Introduction to the Bootstrap, 1993, ch. 8), never single rows. A resample is a weight a row, which makes each measure
one pass over rows that were sorted once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Measure = Callable[[Floats], float]
"""A measure of fixed labels and scores under a weight a row."""

CLIP = 1e-7
"""Probabilities are kept this far from 0 and 1, so that one certain mistake is not an infinite loss."""
MIN_BLOCKS = 10
"""Fewest blocks to judge by: of fewer a bootstrap's interval is too short, and of one it has no width at all."""
MIN_CLASS = 20
"""Fewest rows of each class to judge by, for the same reason."""


@dataclass(frozen=True)
class Interval:
    """A measure and the interval it lies in."""

    value: float
    low: float
    high: float

    def described(self) -> dict[str, float]:
        """Return it as JSON, rounded to six digits behind the point."""
        return {name: round(number, 6) for name, number in asdict(self).items()}

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def auc(labels: Floats, scores: Floats) -> Measure:
    """Area under the ROC curve of labels (n, 0 or 1) and scores (n): share of pairs in the right order, ties half."""
    ranks = np.unique(scores, return_inverse=True)[1]

    def measure(weights: Floats) -> float:
        positive = np.bincount(ranks, weights * labels)
        negative = np.bincount(ranks, weights * (1 - labels))
        below = np.cumsum(negative) - negative
        return float((positive * (below + negative / 2)).sum() / (positive.sum() * negative.sum()))

    return measure


def average_precision(labels: Floats, scores: Floats) -> Measure:
    """Average precision of labels (n, 0 or 1) and scores (n): precision at each score, by the recall it adds."""
    ranks = np.unique(-scores, return_inverse=True)[1]

    def measure(weights: Floats) -> float:
        positive = np.bincount(ranks, weights * labels)
        total = np.cumsum(np.bincount(ranks, weights))
        with np.errstate(invalid="ignore"):
            precision = np.where(total > 0, np.cumsum(positive) / total, 0.0)
        return float((positive * precision).sum() / positive.sum())

    return measure


def mean_of(losses: Floats) -> Measure:
    """Return the weighted mean of one number a row (n)."""
    return lambda weights: float((weights * losses).sum() / weights.sum())


def log_loss(labels: Floats, scores: Floats) -> Floats:
    """Return the logarithmic loss of each row, in nats."""
    sure = np.clip(scores, CLIP, 1 - CLIP)
    return -(labels * np.log(sure) + (1 - labels) * np.log(1 - sure))


def rmse(labels: Floats, values: Floats) -> Measure:
    """Root mean squared error of true and predicted values (n), in the target's unit."""
    squared = mean_of((labels - values) ** 2)
    return lambda weights: float(np.sqrt(squared(weights)))


def r2(labels: Floats, values: Floats) -> Measure:
    """Share of the variance explained: 1 less the squared error over that of the rows' own mean."""
    error = mean_of((labels - values) ** 2)

    def measure(weights: Floats) -> float:
        centre = (weights * labels).sum() / weights.sum()
        variance = mean_of((labels - centre) ** 2)(weights)
        return 1 - error(weights) / variance if variance > 0 else math.nan

    return measure


def measures(task: str, labels: Floats, scores: Floats) -> dict[str, Measure]:
    """Return the measures of a task by name: `binary` or `regression`."""
    if task == "binary":
        return {
            "auc": auc(labels, scores),
            "average_precision": average_precision(labels, scores),
            "log_loss": mean_of(log_loss(labels, scores)),
            "brier": mean_of((labels - scores) ** 2),
            "calibration_gap": mean_of(scores - labels),
        }
    return {"rmse": rmse(labels, scores), "mae": mean_of(np.abs(labels - scores)), "r2": r2(labels, scores)}


@dataclass(frozen=True)
class Resamples:
    """Bootstrap resamples of rows by whole blocks, made as they are needed: each pass yields the same ones."""

    blocks: Integers
    """The block of each row (n), numbered from 0 without gaps."""
    count: int
    seed: int

    def __iter__(self) -> Iterator[Floats]:
        """Yield a weight a row (n): how often its block was drawn, in as many draws as there are blocks."""
        random = np.random.default_rng(self.seed)
        number = int(self.blocks.max()) + 1
        for _ in range(self.count):
            drawn = np.bincount(random.integers(0, number, number), minlength=number)
            yield drawn[self.blocks].astype(np.float64)


def interval(measure: Measure, resamples: Resamples, confidence: float) -> Interval:
    """Return a measure on all rows, and the percentile interval of its resamples.

    A resample on which the measure is undefined, such as one without positives, is left out.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        drawn = np.array([measure(weights) for weights in resamples])
    tail = (1 - confidence) / 2 * 100
    low, high = np.percentile(drawn[np.isfinite(drawn)], [tail, 100 - tail])
    return Interval(measure(np.ones(len(resamples.blocks))), float(low), float(high))


def difference(first: Measure, second: Measure) -> Measure:
    """Return the measure of how much the first is above the second on the same rows."""
    return lambda weights: first(weights) - second(weights)


def relative_gain(error: Measure, reference: Measure) -> Measure:
    """Return the measure of which share of a reference's error is gone; below 0 where there is more of it.

    Of a reference without any error nothing can be gained: 0 where there is none either, otherwise -1.
    """

    def measure(weights: Floats) -> float:
        found, against = error(weights), reference(weights)
        return 1 - found / against if against > 0 else 0.0 if found == 0 else -1.0

    return measure


def intervals(
    task: str, labels: Floats, scores: Floats, resamples: Resamples, confidence: float
) -> dict[str, Interval]:
    """Return every measure of a task with its interval, by name."""
    found = measures(task, labels, scores)
    return {name: interval(measure, resamples, confidence) for name, measure in found.items()}
