"""From how far a column's training blocks lie apart to how far a window may lie from all of them.

Rows that follow each other are alike, so a week of thousands of them is one observation of the weather and not
thousands: whatever a test of independent rows says, the honest yardstick is how far one block of the training data lies
from all the others. A window is a violation when it is farther away than each of those was, and by an effect that
counts at all. Of m blocks that could as well have come in another order, the next one is the farthest with chance
1/(m + 1), whatever the distribution.
"""

from __future__ import annotations

import math

import numpy as np

from mlplat.runtime.monitoring import distance
from mlplat.runtime.monitoring.cells import Cells, Integers, bins

FEWEST = 6
"""Fewest blocks to calibrate by; with fewer the effect floor alone decides, and that is said."""
SMALLEST = 0.5
"""Share of a usual block's rows from which one is whole: a year's first week may be a day long."""
RARELY = 3.09
"""Normal quantile of 0.999: how far chance may take what has fewer rows than the blocks."""


def distances(cells: Cells, groups: Integers, reference: Integers, counts: Integers) -> dict[str, np.ndarray]:
    """Return each measure of distributions (… × cells) against the reference's (cells, or … × cells).

    `groups` is the bin of each cell. Categories that were never seen have a measure of their own, and are left out.
    """
    if not cells.is_number and cells.whole:
        counts = np.concatenate([counts[..., :-1], np.zeros_like(counts[..., -1:])], axis=-1)
    found = {"psi": distance.psi(distance.grouped(reference, groups), distance.grouped(counts, groups))}
    return found | ({"ks": distance.ks(reference, counts)} if cells.is_number else {})


def left_out(cells: Cells, counts: Integers, nulls: Integers) -> dict[str, float]:
    """Return, for each measure of a column, how far the farthest block lies from all the others.

    `counts` (blocks × cells) and `nulls` (blocks) are of whole blocks. Empty with fewer than `FEWEST` of them.
    """
    if len(counts) < FEWEST:
        return {}
    others = counts.sum(axis=0) - counts
    found = distances(cells, bins(cells, counts.sum(axis=0)), others, counts)
    found["missing"] = share(nulls, counts) - share(nulls.sum() - nulls, others)
    if not cells.is_number and cells.whole:
        # A category is new to the other blocks when all of its rows lie in this one.
        alone = np.where(others[:, :-1] == 0, counts[:, :-1], 0).sum(axis=1)
        found["categories"] = alone / np.maximum(counts.sum(axis=1), 1)
    return {name: float(np.max(values[np.isfinite(values)], initial=0.0)) for name, values in found.items()}


def share(nulls: Integers, counts: Integers) -> np.ndarray:
    """Return the share of nulls by their number (…) and the counts of what is none (… × cells)."""
    return np.asarray(nulls / np.maximum(nulls + counts.sum(axis=-1), 1))


def whole(rows: Integers) -> np.ndarray:
    """Tell which blocks, by their rows, are as large as blocks usually are."""
    return np.asarray(rows >= SMALLEST * np.median(rows)) if len(rows) else np.zeros(0, dtype=bool)


def allowance(measure: str, threshold: float, rows: int, usual: float, number: int) -> float:
    """Return by how much chance raises a measure of a window with fewer rows than a usual block (`usual`, or 0).

    `number` is that of the bins. A population stability index of n independent rows is χ² with one degree of freedom
    less than there are bins, divided by n (Yurdakul and Naranjo, Statistical properties of the population stability
    index, Journal of Risk Model Validation, 2020), taken by Wilson and Hilferty's approximation; the others go with
    1/√n.
    """
    if not rows:
        return 0.0
    apart = math.sqrt(max(1 / rows - (1 / usual if usual else 0.0), 0.0))
    if measure == "psi":
        degrees = max(number - 1, 1)
        spread = 2 / (9 * degrees)
        return degrees * (1 - spread + RARELY * math.sqrt(spread)) ** 3 * apart**2
    if measure == "ks":
        return 1.95 * apart  # Kolmogorov's quantile of 0.999
    return RARELY * math.sqrt(threshold * (1 - threshold)) * apart
