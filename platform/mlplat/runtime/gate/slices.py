"""Parts of the hold-out on which a challenger may have lost what it shows over all.

Of many slices of two equal models some differ by much. A slice counts as worse only when the days show that it lost
more than the margin, at a level that all slices share (Holm, A Simple Sequentially Rejective Multiple Test Procedure,
1979).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from mlplat.runtime import metrics
from mlplat.runtime.explanations import values_of
from mlplat.runtime.gate.comparison import gain_of
from mlplat.runtime.gate.looks import MOST_OF_ROWS, SEED
from mlplat.runtime.gate.rule import Rule
from mlplat.runtime.metrics import MIN_BLOCKS, MIN_CLASS, Floats, Integers, Interval, Resamples

VALUES = 50
"""Values of a column that are looked at, the most common ones."""


@dataclass(frozen=True)
class Slice:
    """One value of a column, compared on its rows."""

    column: str
    value: str
    rows: int
    left_out: str = ""
    """Why nothing is said of it; empty where something is."""
    score: Interval | None = None
    """The challenger's area under the ROC curve, or root mean squared error."""
    gain: Interval | None = None
    """Over the champion, where there is one."""
    chance: float | None = None
    """Of a gain so low on these days, were it no more than the margin worse; shared by Holm's rule with all slices."""

    def described(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "column": self.column,
            "value": self.value,
            "rows": self.rows,
            "left_out": self.left_out,
            "score": self.score.described() if self.score else None,
            "gain": self.gain.described() if self.gain else None,
            "chance": None if self.chance is None else round(self.chance, 6),
        }


@dataclass(frozen=True)
class Compared:
    """What all slices are compared by."""

    task: str
    margin: float
    confidence: float
    fewest: int
    """Rows of a slice."""

    def slices(
        self, columns: pd.DataFrame, labels: Floats, blocks: Integers, scores: Floats, champion: Floats | None
    ) -> list[Slice]:
        """Compare each common value of columns (n × columns), and share the level among them."""
        found = [
            self._one(
                str(name), value, labels[mask], blocks[mask], scores[mask], None if champion is None else champion[mask]
            )
            for name in columns
            for value, mask in values_of(columns[name], VALUES)
        ]
        return _shared(found)

    def _one(self, column: str, value: str, labels: Any, blocks: Any, scores: Any, champion: Floats | None) -> Slice:
        rows, days = len(labels), np.unique(blocks, return_inverse=True)[1].astype(np.int64)
        if why := too_few(self.task, labels, days, self.fewest):
            return Slice(column, value, rows, why)
        resamples = Resamples(days, MOST_OF_ROWS, SEED)
        measure = metrics.auc(labels, scores) if self.task == "binary" else metrics.rmse(labels, scores)
        score = metrics.interval(measure, resamples, self.confidence)
        if champion is None:
            return Slice(column, value, rows, "", score)
        gained = gain_of(self.task, labels, scores, champion)
        drawn = metrics.draw(gained, resamples)
        gain = metrics.between(gained(np.ones(rows)), drawn, resamples.number, self.confidence)
        return Slice(column, value, rows, "", score, gain, _chance(drawn, resamples.number, self.margin))


def too_few(task: str, labels: Floats, blocks: Integers, fewest: int) -> str:
    """Return why nothing can be said of rows (n); nothing where something can."""
    rarer = min(int(labels.sum()), int(len(labels) - labels.sum())) if task == "binary" else MIN_CLASS
    counts = ((len(labels), fewest, "rows"), (len(np.unique(blocks)), MIN_BLOCKS, "days or groups"))
    for found, needed, what in (*counts, (rarer, MIN_CLASS, "rows of the rarer class")):
        if found < needed:
            return f"{found} {what}, and {needed} are needed"
    return ""


def _chance(drawn: Floats, number: int, margin: float) -> float:
    """Return how often resamples lose no more than the margin, with the tail of few blocks (see `metrics.widened`)."""
    from scipy.special import ndtri, stdtr

    finite = drawn[np.isfinite(drawn)]
    plain = (1 + np.count_nonzero(finite >= -margin)) / (1 + len(finite))
    return float(stdtr(number - 1, ndtri(plain) * math.sqrt((number - 1) / number)))


def _shared(found: list[Slice]) -> list[Slice]:
    asked = sorted((each.chance, place) for place, each in enumerate(found) if each.chance is not None)
    worst, shared = 0.0, [*found]
    for before, (chance, place) in enumerate(asked):
        worst = max(worst, min(1.0, (len(asked) - before) * chance))
        shared[place] = replace(found[place], chance=worst)
    return shared


def rule(found: list[Slice], *, confidence: float, margin: float) -> Iterator[Rule]:
    """Yield the rule that no slice is shown to be worse than by the margin, where slices were compared."""
    asked = [(each.chance, each.gain.value, each) for each in found if each.chance is not None and each.gain]
    if not asked:
        return
    worst = min(asked, key=lambda one: one[:2])[2]
    lost = [each for chance, _, each in asked if chance < 1 - confidence]
    detail = (
        f"{len(lost)} of {len(asked)} slices are shown to lose more than {margin:g}, at one level for all; "
        f"the clearest is {worst.column} {worst.value} with {worst.gain} on {worst.rows} rows"
    )
    yield Rule(
        "no_slice_is_worse", not lost, f"none loses more than {margin:g}", f"{len(lost)} of {len(asked)}", detail
    )
