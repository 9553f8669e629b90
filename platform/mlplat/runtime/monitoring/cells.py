"""A column's values as counts of cells: what distributions are kept as, and compared by.

A column of numbers is cut at values of the reference, all of them where there are few and evenly many quantiles
otherwise. Each cut is a cell of its own, and so is each gap between two: the empirical distribution functions of two
counts can be compared at every jump of the reference, and a value that many rows share (no rain) is no part of a range.
A column of texts has one cell a category, and one for all that are rare or were never seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

CUTS = 256
"""Most cuts of a column of numbers: their distribution functions are known to within 1/256."""
CATEGORIES = 10_000
"""Most categories that are told apart; a column with more is one of identifiers."""
BINS = 10
"""Bins of equal mass of a population stability index, as is usual (Siddiqi, Credit Risk Scorecards, 2006)."""
RARE = 0.005
"""Share of the reference below which a category shares its bin with all other rare ones."""


@dataclass(frozen=True)
class Cells:
    """How one column is cut."""

    cuts: Floats | tuple[str, ...]
    """Ascending numbers (m), or categories, the commonest first."""
    whole: bool = True
    """Whether every category that the reference holds is among the cuts."""

    @property
    def is_number(self) -> bool:
        """Tell whether the column holds numbers."""
        return isinstance(self.cuts, np.ndarray)

    @property
    def size(self) -> int:
        """Number of cells: 2m + 1 of numbers, m + 1 of categories."""
        return 2 * len(self.cuts) + 1 if self.is_number else len(self.cuts) + 1

    def count(self, values: pd.Series) -> Integers:
        """Return how many of the values that are not null lie in each cell."""
        if isinstance(self.cuts, np.ndarray):
            return _count_numbers(_ordered(values), self.cuts)
        places = {name: place for place, name in enumerate(self.cuts)}
        counts = np.zeros(self.size, dtype=np.int64)
        for name, number in _categories(values):
            counts[places.get(name, len(self.cuts))] += number
        return counts


def cut(values: pd.Series, *, numbers: bool) -> Cells:
    """Return the cells of a column by the values of its reference."""
    if not numbers:
        # By name where counts are equal, so that the order of rows changes nothing.
        found = sorted(_categories(values), key=lambda item: (-item[1], item[0]))
        return Cells(tuple(name for name, _ in found[:CATEGORIES]), len(found) <= CATEGORIES)
    ordered = _ordered(values)
    distinct = _distinct(ordered)
    if len(distinct) > CUTS:
        places = np.linspace(0, len(ordered) - 1, CUTS).round().astype(np.intp)
        distinct = _distinct(ordered[places])
    return Cells(distinct)


def bins(cells: Cells, reference: Integers) -> Integers:
    """Return the bin of each cell, numbered from 0, by the reference's counts a cell.

    A number that holds more than a bin's share of all rows is a bin of its own; the rest is divided into ranges of
    equal mass, fewer where less is left. A category is a bin of its own unless it is rare.
    """
    total = max(int(reference.sum()), 1)
    share = reference / total
    if not cells.is_number:
        kept = np.flatnonzero(share[:-1] >= RARE)
        found = np.full(cells.size, len(kept), dtype=np.int64)
        found[kept] = np.arange(len(kept))
        return found
    heavy = share > 1 / BINS
    light = np.where(heavy, 0.0, share)
    ranges = max(1, round(BINS * float(light.sum())))
    middle = (np.cumsum(light) - light / 2) / max(float(light.sum()), 1e-300)
    found = np.minimum((middle * ranges).astype(np.int64), ranges - 1)
    found[heavy] = ranges + np.arange(int(heavy.sum()))
    return np.asarray(np.unique(found, return_inverse=True)[1], dtype=np.int64)


def _count_numbers(ordered: Floats, cuts: Floats) -> Integers:
    below, upto = np.searchsorted(ordered, cuts, "left"), np.searchsorted(ordered, cuts, "right")
    ends = np.stack([below, upto], axis=1).ravel()
    return np.diff(np.concatenate([[0], ends, [len(ordered)]])).astype(np.int64)


def _distinct(ordered: Floats) -> Floats:
    return ordered[np.concatenate([[True], ordered[1:] != ordered[:-1]])] if len(ordered) else ordered


def _ordered(values: pd.Series) -> Floats:
    numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
    return np.sort(numbers[~np.isnan(numbers)])


def _categories(values: pd.Series) -> list[tuple[str, int]]:
    """Return each value that is not null as text, with how many rows hold it."""
    return [(str(name), int(number)) for name, number in values.value_counts(dropna=True, sort=False).items()]
