"""Measures of a model on a block of rows, with intervals.

Rows of one day are alike, so intervals come from resampling whole days (a block bootstrap, Efron and Tibshirani, An
Introduction to the Bootstrap, 1993, ch. 8), never single rows. A resample is a weight a row. Measures that sums over
blocks determine are taken of all resamples at once, which makes ten thousand of them as cheap as ten.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

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
FEW_BLOCKS = 512
"""Most blocks for which sums by pairs of blocks are kept: a year of days, in two megabytes."""
_CELLS = 2_000_000
"""Numbers of one working table, 16 megabytes of them."""


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


@dataclass(frozen=True)
class Resamples:
    """Bootstrap resamples of rows by whole blocks: the same ones at each pass."""

    blocks: Integers
    """The block of each row (n), numbered from 0 without gaps."""
    count: int
    seed: int

    @cached_property
    def number(self) -> int:
        """How many blocks there are."""
        return int(self.blocks.max()) + 1

    @cached_property
    def draws(self) -> Floats:
        """How often each block was drawn (count × blocks), in as many draws as there are blocks."""
        return self._drawn(self.count, np.random.default_rng(self.seed))

    def _drawn(self, count: int, random: np.random.Generator) -> Floats:
        return random.multinomial(self.number, np.full(self.number, 1 / self.number), count).astype(np.float64)

    def __iter__(self) -> Iterator[Floats]:
        """Yield a weight a row (n): how often its block was drawn."""
        if self.number <= FEW_BLOCKS:
            yield from (drawn[self.blocks] for drawn in self.draws)
            return
        random = np.random.default_rng(self.seed)
        yield from (self._drawn(1, random)[0][self.blocks] for _ in range(self.count))


class Blockwise:
    """A measure that sums over blocks determine."""

    def __call__(self, weights: Floats) -> float:
        """Return it under a weight a row (n)."""
        raise NotImplementedError

    def of_draws(self, resamples: Resamples) -> Floats:
        """Return it of each resample (count)."""
        raise NotImplementedError


def draw(measure: Measure, resamples: Resamples) -> Floats:
    """Return a measure of each resample (count); NaN or infinite where it is undefined."""
    with np.errstate(invalid="ignore", divide="ignore"):
        if isinstance(measure, Blockwise) and resamples.number <= FEW_BLOCKS:
            return measure.of_draws(resamples)
        return np.array([measure(weights) for weights in resamples])


@dataclass(frozen=True, eq=False)
class Ratio(Blockwise):
    """The weighted sum of one number a row (n) over that of another."""

    above: Floats
    below: Floats

    def __call__(self, weights: Floats) -> float:
        """Return it under a weight a row (n)."""
        return float(np.divide((weights * self.above).sum(), (weights * self.below).sum()))

    def of_draws(self, resamples: Resamples) -> Floats:
        """Return it of each resample (count)."""
        above, below = (np.bincount(resamples.blocks, part, resamples.number) for part in (self.above, self.below))
        return np.divide(resamples.draws @ above, resamples.draws @ below)


@dataclass(frozen=True, eq=False)
class Combined(Blockwise):
    """A formula of other measures, which takes numbers and arrays alike."""

    formula: Callable[..., Any]
    parts: tuple[Measure, ...]

    def __call__(self, weights: Floats) -> float:
        """Return it under a weight a row (n)."""
        return float(self.formula(*(np.float64(part(weights)) for part in self.parts)))

    def of_draws(self, resamples: Resamples) -> Floats:
        """Return it of each resample (count)."""
        return np.asarray(self.formula(*(draw(part, resamples) for part in self.parts)))


@dataclass(frozen=True, eq=False)
class _Auc(Blockwise):
    labels: Floats
    ranks: Integers

    def __call__(self, weights: Floats) -> float:
        positive = np.bincount(self.ranks, weights * self.labels)
        negative = np.bincount(self.ranks, weights * (1 - self.labels))
        below = np.cumsum(negative) - negative
        return float((positive * (below + negative / 2)).sum() / (positive.sum() * negative.sum()))

    def of_draws(self, resamples: Resamples) -> Floats:
        draws, blocks = resamples.draws, resamples.blocks
        right = ((draws @ self._pairs(blocks, resamples.number)) * draws).sum(axis=1)
        positive, negative = (np.bincount(blocks, part) for part in (self.labels, 1 - self.labels))
        return np.asarray(right / ((draws @ positive) * (draws @ negative)))

    def _pairs(self, blocks: Integers, number: int) -> Floats:
        """Return how many pairs of a positive of one block and a negative of another are in the right order.

        Blocks × blocks, ties half: with it a resample's area is a quadratic form of how often blocks were drawn.
        """
        ranks, labels, levels = self.ranks, self.labels, int(self.ranks.max()) + 1
        found, below = np.zeros((number, number)), np.zeros((number, 1))
        step = min(levels, max(1, _CELLS // number))
        if step < levels:
            order = np.argsort(ranks, kind="stable")
            ranks, labels, blocks = ranks[order], labels[order], blocks[order]
        for first in range(0, levels, step):
            some = slice(*np.searchsorted(ranks, [first, first + step])) if step < levels else slice(None)
            cells = blocks[some] * step + ranks[some] - first
            positive, negative = (
                np.bincount(cells, part, number * step).reshape(number, step)
                for part in (labels[some], 1 - labels[some])
            )
            found += positive @ (below + np.cumsum(negative, axis=1) - negative / 2).T
            below = below + negative.sum(axis=1, keepdims=True)
        return found


def auc(labels: Floats, scores: Floats) -> Measure:
    """Area under the ROC curve of labels (n, 0 or 1) and scores (n): share of pairs in the right order, ties half."""
    return _Auc(labels, np.unique(scores, return_inverse=True)[1].astype(np.int64))


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
    return Ratio(losses, np.ones(len(losses)))


def log_loss(labels: Floats, scores: Floats) -> Floats:
    """Return the logarithmic loss of each row, in nats."""
    sure = np.clip(scores, CLIP, 1 - CLIP)
    return -(labels * np.log(sure) + (1 - labels) * np.log(1 - sure))


def rmse(labels: Floats, values: Floats) -> Measure:
    """Root mean squared error of true and predicted values (n), in the target's unit."""
    return Combined(np.sqrt, (mean_of((labels - values) ** 2),))


def r2(labels: Floats, values: Floats) -> Measure:
    """Share of the variance explained: 1 less the squared error over that of the rows' own mean."""
    centred = labels - labels.mean()  # so that a mean far from 0 costs no digits
    parts = (mean_of((labels - values) ** 2), mean_of(centred**2), mean_of(centred))

    def explained(error: Any, square: Any, centre: Any) -> Any:
        variance = square - centre**2
        return 1 - error / np.where(variance > 0, variance, math.nan)

    return Combined(explained, parts)


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


def widened(tail: float, blocks: int) -> float:
    """Return the share of resamples to cut off at one end so that a few blocks miss no more than `tail` there.

    A bootstrap of n blocks is too narrow by √((n-1)/n) and takes a normal's tail for Student's; both are made up for
    (Hesterberg, What Teachers Should Know About the Bootstrap, 2015, section 5: expanded percentile interval).
    """
    from scipy.special import ndtr, stdtrit

    return float(ndtr(stdtrit(blocks - 1, tail) * math.sqrt(blocks / (blocks - 1)))) if blocks > 1 else tail


def interval(measure: Measure, resamples: Resamples, confidence: float) -> Interval:
    """Return a measure on all rows, and the percentile interval of its resamples, widened for few blocks.

    A resample on which the measure is undefined, such as one without positives, is left out.
    """
    return between(measure(np.ones(len(resamples.blocks))), draw(measure, resamples), resamples.number, confidence)


def between(value: float, drawn: Floats, blocks: int, confidence: float) -> Interval:
    """Return a value with the percentile interval of what was drawn of it by so many blocks."""
    tail = widened((1 - confidence) / 2, blocks)
    low, high = np.quantile(drawn[np.isfinite(drawn)], [tail, 1 - tail])
    return Interval(value, float(low), float(high))


def difference(first: Measure, second: Measure) -> Measure:
    """Return the measure of how much the first is above the second on the same rows."""
    return Combined(np.subtract, (first, second))


def relative_gain(error: Measure, reference: Measure) -> Measure:
    """Return the measure of which share of a reference's error is gone; below 0 where there is more of it.

    Of a reference without any error nothing can be gained: 0 where there is none either, otherwise -1.
    """

    def gain(found: Any, against: Any) -> Any:
        known = 1 - found / np.where(against > 0, against, 1.0)
        return np.where(against > 0, known, np.where(found == 0, 0.0, -1.0))

    return Combined(gain, (error, reference))


def intervals(
    task: str, labels: Floats, scores: Floats, resamples: Resamples, confidence: float
) -> dict[str, Interval]:
    """Return every measure of a task with its interval, by name."""
    found = measures(task, labels, scores)
    return {name: interval(measure, resamples, confidence) for name, measure in found.items()}
