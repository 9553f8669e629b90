"""A challenger against the champion on the same rows: no worse than by a margin.

What is asked is whether the challenger may be more than the margin worse, not whether it is better: equal models never
score equally. Where it is known how far seeds alone move a model, the question is put to the recipe instead of to one
lucky seed of it: the seeds' spread joins the interval's lower half as the root of the sum of squares (MOVER; Zou and
Donner, Construction of confidence limits about effect measures, 2008).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlplat.runtime import metrics
from mlplat.runtime.gate.rule import Rule
from mlplat.runtime.metrics import Floats, Interval, Resamples


@dataclass(frozen=True)
class Seeds:
    """How far the seed alone moves the measure that models are compared by."""

    spread: float
    """Standard deviation, in the measure's unit."""
    count: int
    """Seeds that it was measured with."""

    def half(self, confidence: float) -> float:
        """Return how far one seed lies from the mean of all, by Student's quantile, since few were tried."""
        from scipy.special import stdtrit

        return self.spread * float(stdtrit(self.count - 1, (1 + confidence) / 2))


@dataclass(frozen=True)
class Comparison:
    """A challenger's gain over the champion, and what such a comparison can see."""

    rule: Rule
    gain: Interval
    equal_refused: float
    """Chance that a model exactly as good as the champion is refused on such rows: what the margin leaves too little
    room for."""
    seeds: Seeds | None

    def described(self) -> dict[str, Any]:
        """Return it as JSON."""
        seeds = {"spread": self.seeds.spread, "count": self.seeds.count} if self.seeds else None
        return {"gain": self.gain.described(), "equal_refused": round(self.equal_refused, 3), "seeds": seeds}


def gain_of(task: str, labels: Floats, scores: Floats, champion: Floats) -> metrics.Measure:
    """Return the measure of what a challenger's scores (n) gain over a champion's (n).

    It is area under the ROC curve, or the share of the champion's error that is gone: relative, so that a margin does
    not depend on the target's unit.
    """
    if task == "binary":
        return metrics.difference(metrics.auc(labels, scores), metrics.auc(labels, champion))
    return metrics.relative_gain(metrics.rmse(labels, scores), metrics.rmse(labels, champion))


def no_worse(
    task: str,
    labels: Floats,
    scores: Floats,
    champion: Floats,
    resamples: Resamples,
    *,
    confidence: float,
    margin: float,
    seeds: Seeds | None = None,
) -> Comparison:
    """Compare a challenger's scores (n) with a champion's (n): the gain's lower end lies above minus the margin."""
    measure = gain_of(task, labels, scores, champion)
    drawn = metrics.draw(measure, resamples)
    found = metrics.between(measure(np.ones(len(labels))), drawn, resamples.number, confidence)
    down = math.hypot(found.value - found.low, seeds.half(confidence) if seeds else 0.0)
    gain = Interval(found.value, found.value - down, found.high)
    refused = _chance(down - margin, float(np.std(drawn[np.isfinite(drawn)])), seeds)
    what = "area under the ROC curve" if task == "binary" else "share of the champion's error that is gone"
    detail = (
        f"{what} against the champion on the same rows: {gain}; {gain.low + margin:+.4f} above the limit; "
        f"an equal model is refused in {refused:.0%} of such comparisons"
    )
    rule = Rule("no_worse_than_champion", gain.low > -margin, f"lower end above -{margin:g}", str(gain), detail)
    return Comparison(rule, gain, refused, seeds)


def _chance(lacking: float, error: float, seeds: Seeds | None) -> float:
    """Return the chance that an equal model's gain stays below what it would have to show.

    It varies by the days, and where that is known by both models' seeds.
    """
    from scipy.special import ndtr

    spread = math.hypot(error, math.sqrt(2) * seeds.spread if seeds else 0.0)
    if spread == 0.0:
        return float(lacking > 0)
    return float(ndtr(lacking / spread))
