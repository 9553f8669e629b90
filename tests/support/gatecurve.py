"""How often the gate errs: days of rows as the reference task has them, and models that are known to be equal or worse.

Rows of a day share a level of the day, and each model misjudges something else each day: that makes the difference of
two models vary by days as it does on the flights (see `DAILY`), far more than rows alone would.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from mlplat.runtime import metrics
from mlplat.runtime.gate import Look
from mlplat.runtime.gate.looks import SEED
from mlplat.runtime.metrics import Floats, Integers, Resamples

PER_DAY = 300
"""Rows of a day, a third of the flights: days decide, and rows only cost time."""
DAILY = 0.5
"""Standard deviation of what a model makes of a column on one day, for nothing: with it two equal models' difference in
area under the ROC curve has a standard error of .0075 on 28 days. On June's flights boosting and a forest have .0053,
April's and June's model .0082."""
OWN = 0.5
"""Standard deviation of the champion's own noise, on the log-odds."""
LEVELS = 200
"""Different scores: as many as tell areas apart to a fifth digit."""


@dataclass(frozen=True)
class World:
    """Days that models are judged on."""

    days: int
    per_day: int = PER_DAY

    @cached_property
    def blocks(self) -> Integers:
        """Return the day of each row."""
        return np.repeat(np.arange(self.days), self.per_day)

    def holdout(self, source: np.random.Generator) -> Holdout:
        """Return other days each time."""
        rows = len(self.blocks)
        signal = source.normal(0, 1, rows)
        odds = signal - 0.9 + source.normal(0, 0.5, self.days)[self.blocks]
        labels = (source.random(rows) < 1 / (1 + np.exp(-odds))).astype(np.float64)
        return Holdout(self, labels, signal, source.normal(0, 1, rows))


@dataclass(frozen=True)
class Holdout:
    """Rows that judge, and what there is to know of them."""

    world: World
    labels: Floats
    signal: Floats
    column: Floats
    """Says nothing, and is misread by every model in its own way each day."""

    def scores(self, noise: float, source: np.random.Generator) -> Floats:
        """Return what a model says that knows the signal up to its own noise."""
        misread = source.normal(0, DAILY, self.world.days)[self.world.blocks] * self.column
        said = self.signal + misread + noise * source.normal(0, 1, len(self.signal))
        return np.clip(np.round(said * LEVELS / 8), -LEVELS, LEVELS)


@dataclass(frozen=True)
class Skills:
    """How good a model with some noise is, found once on many days."""

    seed: int = 0
    noises: Floats = field(default_factory=lambda: np.linspace(0.0, 1.2, 13))

    @cached_property
    def areas(self) -> Floats:
        """Return the area under the ROC curve for each noise, falling."""
        found = np.zeros(len(self.noises))
        repeats = 80
        for repeat in range(repeats):
            holdout = World(100, 100).holdout(np.random.default_rng([self.seed, repeat]))
            for place, noise in enumerate(self.noises):
                # The same random numbers for each noise: what differs is the noise alone.
                scores = holdout.scores(float(noise), np.random.default_rng([self.seed, repeat, 1]))
                found[place] += metrics.auc(holdout.labels, scores)(np.ones(len(scores))) / repeats
        return found

    def noise(self, worse: float) -> float:
        """Return the noise of a model that is worse than the champion by so much area."""
        champion = np.interp(OWN, self.noises, self.areas)
        return float(np.interp(champion - worse, self.areas[::-1], self.noises[::-1]))


@dataclass(frozen=True)
class Judge:
    """Compares models on days of one number, as `comparison.no_worse` does; a test holds both against each other.

    What many comparisons share is worked out once: which days were drawn, and the champion's area on each draw.
    """

    world: World
    draws: int = 4_000
    confidence: float = 0.95

    @cached_property
    def resamples(self) -> Resamples:
        """Return the draws that every comparison takes."""
        return Resamples(self.world.blocks, self.draws, SEED)

    def lows(self, noise: float, *, looks: int, runs: int, seed: int) -> Floats:
        """Return each gain's lower end (runs × looks × 2): as its look needs it, and as a first look would.

        In each run so many challengers of one noise are judged one after the other on the same days.
        """
        return np.array([list(self._run(noise, looks, np.random.default_rng([seed, run]))) for run in range(runs)])

    def _run(self, noise: float, looks: int, source: np.random.Generator) -> Iterator[tuple[float, float]]:
        holdout = self.world.holdout(source)
        champion = self._areas(holdout.labels, holdout.scores(OWN, source))
        for number in range(1, looks + 1):
            ours = self._areas(holdout.labels, holdout.scores(noise, source))
            gain, drawn = ours[0] - champion[0], ours[1] - champion[1]
            needed = Look(number, self.confidence).needed
            yield tuple(  # type: ignore[misc]  # two of them
                metrics.between(gain, drawn, self.world.days, confidence).low
                for confidence in (needed, self.confidence)
            )

    def _areas(self, labels: Floats, scores: Floats) -> tuple[float, Floats]:
        area = metrics.auc(labels, scores)
        return area(np.ones(len(labels))), metrics.draw(area, self.resamples)
