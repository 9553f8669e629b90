"""Probabilities that mean what they say, and the threshold from which one becomes a label.

Both are fitted on a block of their own, later than training and earlier than the hold-out.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlplat.runtime.metrics import CLIP
from mlplat.spec.project import CostSpec

APART = 1e-8
"""Distance of a threshold from the score at an end: a last digit, computed otherwise, must not decide a label."""


def calibrate(estimator: Any, rows: pd.DataFrame, labels: NDArray[np.float64]) -> Any:
    """Return a fitted classifier whose probabilities are mapped by a sigmoid.

    The sigmoid is fitted on rows (n × columns) and labels (n, 0 or 1). It is Platt's method, with two parameters: a
    block of two weeks has too few independent days for more (Niculescu-Mizil and Caruana, Predicting Good Probabilities
    With Supervised Learning, 2005).
    """
    return _with_sigmoid(estimator, rows, labels)


def _with_sigmoid(estimator: Any, rows: pd.DataFrame, labels: NDArray[np.float64]) -> Any:
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


@dataclass(frozen=True)
class Line:
    """How log odds that were said are to be read: `intercept + slope * said`; 0 and 1 where they mean what they say.

    A slope below 1 is too sure of itself (Cox, Two Further Applications of a Model for Binary Regression, 1958).
    """

    slope: float
    intercept: float

    def described(self) -> dict[str, float]:
        """Return it as JSON, rounded to four digits behind the point."""
        return {name: round(number, 4) for name, number in asdict(self).items()}


def line(labels: NDArray[np.float64], scores: NDArray[np.float64]) -> Line:
    """Return the line through labels (n, 0 or 1) by the log odds of scores (n, probabilities), by maximum likelihood.

    Scores that are all the same have no slope: it is 0 then.
    """
    from sklearn.linear_model import LogisticRegression

    sure = np.clip(scores, CLIP, 1 - CLIP)
    odds = np.log(sure / (1 - sure))
    spread = float(odds.std())
    if spread < 1e-9:  # noqa: PLR2004 - what rounding leaves of one score
        share = float(np.clip(labels.mean(), CLIP, 1 - CLIP))
        return Line(0.0, float(np.log(share / (1 - share))))
    # Of scores that part the classes the line would be endless: a penalty that elsewhere is not felt bounds it.
    centred = (odds - odds.mean()) / spread
    fitted = LogisticRegression(C=1e6, max_iter=1000).fit(centred.reshape(-1, 1), labels.astype(int))
    slope = float(fitted.coef_[0, 0]) / spread
    return Line(slope, float(fitted.intercept_[0]) - slope * float(odds.mean()))


def lines(
    estimator: Any, rows: pd.DataFrame, labels: NDArray[np.float64], blocks: NDArray[np.int64]
) -> dict[str, Line]:
    """Return a fitted classifier's line on rows that it has not learned from, `before` and `after` they calibrate it.

    `blocks` (n) is what rows are alike in, such as their day. Afterwards each half of the blocks is judged by what the
    other half calibrates: on the rows that it was fitted on, any calibration is perfect. Empty where a half has one
    class only.
    """
    later = np.unique(blocks, return_inverse=True)[1] % 2 == 1
    if any(len(np.unique(labels[half])) < 2 for half in (later, ~later)):  # noqa: PLR2004 - both classes
        return {}
    after = np.empty(len(labels))
    for half in (later, ~later):
        after[half] = _with_sigmoid(estimator, rows[~half], labels[~half]).predict_proba(rows[half])[:, 1]
    return {"before": line(labels, estimator.predict_proba(rows)[:, 1]), "after": line(labels, after)}
