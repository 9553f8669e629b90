"""Probabilities that mean what they say, and the threshold from which one becomes a label.

Both are fitted on a block of their own, later than training and earlier than the hold-out.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlplat.spec.project import CostSpec

APART = 1e-8
"""Distance of a threshold from the score at an end: a last digit, computed otherwise, must not decide a label."""


def calibrate(estimator: Any, rows: pd.DataFrame, labels: NDArray[np.float64]) -> Any:
    """Return a fitted classifier whose probabilities are mapped by a sigmoid.

    The sigmoid is fitted on rows (n × columns) and labels (n, 0 or 1). It is Platt's method, with two parameters: a
    block of two weeks has too few independent days for more (Niculescu-Mizil and Caruana, Predicting Good Probabilities
    With Supervised Learning, 2005).
    """
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.frozen import FrozenEstimator

    return CalibratedClassifierCV(FrozenEstimator(estimator), method="sigmoid").fit(rows, labels.astype(int))


def threshold(labels: NDArray[np.float64], scores: NDArray[np.float64], cost: CostSpec) -> float:
    """Return the probability from which calling a row positive costs least on labels (n, 0 or 1) and scores (n)."""
    order = np.argsort(-scores, kind="stable")
    called = np.arange(len(scores) + 1)
    hits = np.concatenate([[0.0], np.cumsum(labels[order])])
    total = cost.missed * (labels.sum() - hits) + cost.false_alarm * (called - hits)
    # Only between different scores can a threshold lie.
    ranked = scores[order]
    possible = np.concatenate([[True], ranked[1:] != ranked[:-1], [True]])
    best = int(np.flatnonzero(possible)[np.argmin(total[possible])])
    if best == 0:
        return float(ranked[0] + APART)
    if best == len(ranked):
        return float(ranked[-1] - APART)
    upper, lower = ranked[best - 1], ranked[best]
    # Between neighbouring floats there is nothing: the middle would be the lower one itself.
    return float(max((upper + lower) / 2, np.nextafter(lower, np.inf)))
