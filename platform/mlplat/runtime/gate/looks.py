"""What a further look at the same hold-out costs.

Whoever tries models on one hold-out until one passes will find one that does. The k-th look therefore has 1/k² of the
first one's chance of error. By Bonferroni's inequality all looks together pass a model that is worse than the margin
with at most π²/6 = 1.64 times the chance of the first alone, however many there are; nobody has to say beforehand how
many there will be.
"""

from __future__ import annotations

from dataclasses import dataclass

from mlplat.runtime.metrics import FEW_BLOCKS, Integers, Resamples, widened

SEED = 20130401
"""Fixed, so that the same rows and models always get the same verdict."""
BEYOND = 20
"""Resamples that lie beyond an interval's end: of fewer the end itself would be chance."""
MOST, MOST_OF_ROWS = 40_000, 5_000
"""Most resamples: by few blocks, and by many, of which each costs a pass over all rows."""


@dataclass(frozen=True)
class Look:
    """The how-manyth look at a hold-out this is."""

    number: int
    confidence: float
    """Of the first look, two-sided."""

    @property
    def needed(self) -> float:
        """Return the confidence that this look needs, two-sided."""
        return 1 - (1 - self.confidence) / self.number**2

    def resamples(self, blocks: Integers, fewest: int) -> Resamples:
        """Return as many resamples of blocks (n) as an interval of this look needs."""
        number = int(blocks.max()) + 1
        tail = widened((1 - self.needed) / 2, number)
        most = MOST if number <= FEW_BLOCKS else MOST_OF_ROWS
        return Resamples(blocks, min(max(fewest, round(BEYOND / tail)), max(fewest, most)), SEED)
