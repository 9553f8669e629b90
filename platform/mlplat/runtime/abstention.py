"""Leaving to a person what a model is not sure enough of: which rows, and what that is worth.

With a cost for each mistake and one for a person's look, a label is worth giving while the mistake that it may be is
expected to cost less than the look (Chow, On Optimum Recognition Error and Reject Tradeoff, 1970). Of a probability p,
"negative" is expected to cost p × missed and "positive" (1 - p) × false alarm; between `review / missed` and
`1 - review / false_alarm` the look is cheaper than either. That holds as far as probabilities mean what they say, which
is what they are calibrated for, and what the figures here are measured for.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mlplat.bundle import Band, Contract
from mlplat.runtime import metrics
from mlplat.runtime.gate.looks import SEED
from mlplat.runtime.gate.verdict import Holdout
from mlplat.runtime.metrics import Floats, Measure, Ratio, Resamples
from mlplat.serving.model import DEFAULT_THRESHOLD, withheld
from mlplat.spec.project import CostSpec, ProjectSpec


def band(spec: ProjectSpec) -> Band | None:
    """Return the probabilities that a project's model gives no label for; None where it labels every row."""
    if given := spec.serving.abstain:
        return Band(low=given.low, high=given.high)
    if (review := spec.cost.review) is None:
        return None
    return Band(low=review / spec.cost.missed, high=1 - review / spec.cost.false_alarm)


def measured(spec: ProjectSpec, contract: Contract, holdout: Holdout, scores: Floats) -> dict[str, dict[str, Any]]:
    """Return what abstaining comes to on a hold-out (n) and a model's scores (n), as a part of a gate's report.

    `coverage` is the share of rows that get a label, `cost_of_a_label` the mean cost of those labels,
    `worth_of_a_review` what the rows that get none would have cost each under the threshold: a person's look pays below
    it. With a cost for that look, `saved_per_row` is what a row costs less than if every one had got a label. Each has
    an interval by whole days. Empty for a model that never abstains.
    """
    if contract.abstain is None:
        return {}
    left = withheld(contract, scores)
    limit = DEFAULT_THRESHOLD if contract.threshold is None else contract.threshold
    forced = costs(spec.cost, holdout.labels, scores >= limit)
    resamples = Resamples(holdout.blocks, spec.gate.resamples, SEED)
    found = {
        name: metrics.interval(measure, resamples, spec.gate.confidence).described()
        for name, measure in _measures(spec.cost, forced, left).items()
    }
    return {"abstention": {**contract.abstain.model_dump(), "rows": int(left.sum()), **found}}


def costs(cost: CostSpec, labels: Floats, called: np.ndarray) -> Floats:
    """Return what calling rows positive (n) costs, by what they are (n, 0 or 1)."""
    return np.asarray(np.where(called, cost.false_alarm * (1 - labels), cost.missed * labels), dtype=np.float64)


def _measures(cost: CostSpec, forced: Floats, left: np.ndarray) -> dict[str, Measure]:
    """Return the measures that are defined: the mean cost of no rows is not."""
    given, kept = (~left).astype(np.float64), left.astype(np.float64)
    found: dict[str, Measure] = {"coverage": metrics.mean_of(given)}
    if given.any():
        found["cost_of_a_label"] = Ratio(forced * given, given)
    if kept.any():
        found["worth_of_a_review"] = Ratio(forced * kept, kept)
        if cost.review is not None:
            found["saved_per_row"] = metrics.mean_of((forced - cost.review) * kept)
    return found
