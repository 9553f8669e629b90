"""The share of rows that a model answers itself, where a project says how little it may be.

Decided as the floors are: the interval's lower end has to lie above the limit. The other way round, few days would let
any model through, and what is missing lands on people who have time for so many rows and no more; a refusal leaves them
what the champion leaves, which they are used to. Hard days are hard for many rows at once, so the interval is that of
whole days.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from mlplat.runtime import metrics
from mlplat.runtime.gate.rule import Rule, above
from mlplat.runtime.metrics import Resamples


def rules(least: float | None, abstained: NDArray[np.bool_], resamples: Resamples, confidence: float) -> Iterator[Rule]:
    """Yield the rule that enough rows are answered, by which are left to a person (n), where a limit is set."""
    if least is not None:
        answered = metrics.interval(metrics.mean_of(np.where(abstained, 0.0, 1.0)), resamples, confidence)
        yield above("coverage_floor", answered, least, "share of rows that get a label")
