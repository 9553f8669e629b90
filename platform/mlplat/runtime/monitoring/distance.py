"""How far the distribution of a window is from the reference's, by counts of cells or bins.

Both measures take whole arrays of counts, one distribution a row, so that every block of a training set is compared
with all the others at once.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Counts = NDArray[np.int64] | NDArray[np.float64]

EMPTY = 1e-4
"""Least share of a bin: one that is empty is no infinite distance."""


def grouped(counts: Counts, bins: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return counts of bins (… × bins) of counts of cells (… × cells)."""
    number = int(bins.max()) + 1 if len(bins) else 0
    return np.asarray(counts, dtype=np.float64) @ np.eye(number)[bins]


def psi(reference: Counts, current: Counts) -> Floats:
    """Population stability index of counts of bins (… × bins), in nats: the two Kullback-Leibler divergences' sum.

    NaN where either side holds nothing.
    """
    first, second = _shares(reference), _shares(current)
    known = np.isfinite(first[..., 0]) & np.isfinite(second[..., 0])
    first, second = np.maximum(first, EMPTY), np.maximum(second, EMPTY)
    found = ((second - first) * np.log(second / first)).sum(axis=-1)
    return np.where(known, found, np.nan)


def ks(reference: Counts, current: Counts) -> Floats:
    """Kolmogorov-Smirnov statistic of counts of cells (… × cells): the largest gap of the distribution functions.

    Exact where every value of the reference is a cut, and otherwise at most one gap's mass too small. NaN where either
    side holds nothing.
    """
    gaps = np.cumsum(_shares(reference), axis=-1) - np.cumsum(_shares(current), axis=-1)
    return np.asarray(np.abs(gaps).max(axis=-1))


def _shares(counts: Counts) -> Floats:
    values = np.asarray(counts, dtype=np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(values / values.sum(axis=-1, keepdims=True))
