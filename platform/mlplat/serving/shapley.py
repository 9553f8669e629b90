"""Sharing one answer out among the columns of its row: Shapley values, by sampled orders of the columns.

A row is walked to from an ordinary one, a row of the background, column by column in some order; what the answer moves
by at a step is what that column adds there. A column's share is the mean of that over all orders and all ordinary rows
(Shapley, 1953; sampled as by Štrumbelj and Kononenko, Explaining Prediction Models and Individual Predictions, 2014).
Each row of the background is walked from in one random order and in the same one backwards, where a column that came
early comes late: the two errors largely cancel (Mitchell, Cooper, Frank and Holmes, Sampling Permutations for Shapley
Value Estimation, 2022). What is left is nearly all the choice of the background, so that a row more of it is worth more
than an order more, and its spread is the error that is told.

Every walk ends at the row's own answer: shares always add up to it, less the background's mean answer.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlplat.serving.columns import Columns

Floats = NDArray[np.float64]
Score = Callable[[Columns], Floats]

SEED = 20130802
"""Fixed, so that the same row always gets the same shares."""


@dataclass(frozen=True)
class Shares:
    """Rows × columns, in the contract's order."""

    base: float
    """Mean answer for the background."""
    scores: Floats
    """Answer for each row (n): `base` and its shares."""
    values: Floats
    errors: Floats
    """Standard error of each share, of the orders and of the background's rows, which are few of many."""


def shares(score: Score, rows: Columns, background: Columns) -> Shares:
    """Share the answers for rows (n) out against a background (two rows at least)."""
    own, ordinary = score(rows), score(background)
    walks = _walks(len(ordinary), len(rows))
    added = np.stack(
        [
            _added(score, {name: values[[place]] for name, values in rows.items()}, background, walks, answer, ordinary)
            for place, answer in enumerate(own)
        ]
    )
    errors = added.std(axis=1, ddof=1) / math.sqrt(len(ordinary))
    return Shares(float(ordinary.mean()), own, added.mean(axis=1), errors)


@dataclass(frozen=True)
class _Walks:
    """An order for each row of the background, and the same one backwards."""

    ranks: NDArray[np.intp]
    """2 × background × columns: the step at which a column becomes the row's own."""
    present: NDArray[np.bool_]
    """2 × background × steps between the ends × columns: whether it is so already."""


def _walks(background: int, columns: int) -> _Walks:
    forwards = np.random.default_rng(SEED).permuted(np.tile(np.arange(columns), (background, 1)), axis=1)
    ranks = np.stack([forwards, columns - 1 - forwards])
    return _Walks(ranks, ranks[:, :, None, :] < np.arange(1, columns)[:, None])


def _added(score: Score, row: Columns, background: Columns, walks: _Walks, own: float, ordinary: Floats) -> Floats:
    """Return what each column adds to one row (background × columns), as the mean of both ways."""
    ways, starts, between, _ = walks.present.shape
    path = np.empty((ways, starts, between + 2))
    path[:, :, 0], path[:, :, -1] = ordinary, own
    if between:
        mixed = {
            name: np.where(walks.present[..., place], row[name], values[:, None]).reshape(-1)
            for place, (name, values) in enumerate(background.items())
        }
        path[:, :, 1:-1] = score(mixed).reshape(ways, starts, between)
    found: Floats = np.take_along_axis(np.diff(path, axis=2), walks.ranks, axis=2).mean(axis=0)
    return found
