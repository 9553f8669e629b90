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
    return np.asarray(counts @ np.eye(int(bins.max()) + 1)[bins])


def psi(reference: Counts, current: Counts) -> Floats:
    """Population stability index of counts of bins (… × bins), in nats: the two Kullback-Leibler divergences' sum.

    NaN where either side holds nothing.
    """
    first, second = np.maximum(_shares(reference), EMPTY), np.maximum(_shares(current), EMPTY)
    return np.asarray(((second - first) * np.log(second / first)).sum(axis=-1))


def ks(reference: Counts, current: Counts) -> Floats:
    """Kolmogorov-Smirnov statistic of counts of cells (… × cells): the largest gap of the distribution functions.

    Exact where every value of the reference is a cut, and otherwise at most one gap's mass too small. NaN where either
    side holds nothing.
    """
    gaps = np.cumsum(_shares(reference), axis=-1) - np.cumsum(_shares(current), axis=-1)
    return np.asarray(np.abs(gaps).max(axis=-1))


def _shares(counts: Counts) -> Floats:
    with np.errstate(invalid="ignore"):
        return np.asarray(counts / counts.sum(axis=-1, keepdims=True))
