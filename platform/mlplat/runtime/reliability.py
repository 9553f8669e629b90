"""Whether probabilities mean what they say: what was said in each part of the scores, beside what came true."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mlplat.runtime.metrics import Floats, Integers, Interval, Resamples

BINS = 10
RESAMPLES = 200
SEED = 20130801


@dataclass(frozen=True)
class Bin:
    """Rows with neighbouring scores."""

    rows: int
    said: float
    """Their mean probability."""
    came: Interval
    """Share of them that were positive, with its interval from resampling whole days."""


def bins(labels: Floats, scores: Floats, blocks: Integers, confidence: float) -> list[Bin]:
    """Return labels (n, 0 or 1) and scores (n) in at most ten parts of about as many rows, by rising score.

    `blocks` (n) is what each row is resampled with. Rows of one score stay together.
    """
    edges = np.unique(np.quantile(scores, np.linspace(0, 1, BINS + 1)[1:-1]))
    place = np.searchsorted(edges, scores, side="right")
    resamples = Resamples(np.unique(blocks, return_inverse=True)[1].astype(np.int64), RESAMPLES, SEED)
    # The weights of one resample serve every bin; `interval` would make them anew for each.
    drawn = np.array([_shares(labels, place, weights, len(edges) + 1) for weights in resamples])
    rows = np.bincount(place, minlength=len(edges) + 1)
    said = np.bincount(place, scores, len(edges) + 1) / np.maximum(rows, 1)
    came = _shares(labels, place, np.ones(len(labels)), len(edges) + 1)
    tail = (1 - confidence) / 2 * 100
    found = []
    for at in np.flatnonzero(rows):
        low, high = np.nanpercentile(drawn[:, at], [tail, 100 - tail])
        found.append(Bin(int(rows[at]), float(said[at]), Interval(float(came[at]), float(low), float(high))))
    return found


def _shares(labels: Floats, place: Integers, weights: Floats, count: int) -> Floats:
    with np.errstate(invalid="ignore"):
        return np.bincount(place, weights * labels, count) / np.bincount(place, weights, count)
