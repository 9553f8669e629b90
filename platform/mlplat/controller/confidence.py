"""Intervals that hold at every look, however often one looks.

A rollout is judged again and again while requests arrive. An ordinary interval, looked at often enough, leaves out the
truth sooner or later; a confidence sequence does so with a probability of at most `alpha` over all looks together.

For shares: H. Robbins, "Statistical methods related to the law of the iterated logarithm", Annals of Mathematical
Statistics 41 (1970), with a beta mixture. With k hits of n, the ratio of the mixture's likelihood to that of a share p,
B(a + k, b + n - k) / (B(a, b) p^k (1 - p)^(n - k)), is a martingale that starts at 1 when p is true, so by Ville's
inequality it ever reaches 1 / alpha with a probability of at most alpha. All p where it is below that are the interval.
For quantiles: S. R. Howard and A. Ramdas, "Sequential estimation of quantiles with applications to A/B testing and
best-arm identification", Bernoulli 28 (2022): the share of values below the true q-quantile is known to be q.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from mlplat.controller.window import Window


class Prior(NamedTuple):
    """The beta distribution that mixes: it changes how soon an interval is narrow, never whether it holds."""

    hits: float
    misses: float


RARE = Prior(0.5, 25)
"""For errors, which are few."""
TAIL = Prior(0.5, 10)
"""For requests slower than a quantile."""
_HALVINGS = 50
"""Of an interval of length 1: closer than any count can tell."""


def evidence(share: float, hits: int, trials: int, prior: Prior) -> float:
    """Return the logarithm of the evidence against a true share in 0 … 1 (both ends excluded)."""
    misses = trials - hits
    mixture = _log_beta(prior.hits + hits, prior.misses + misses) - _log_beta(*prior)
    return mixture - hits * math.log(share) - misses * math.log1p(-share)


def share_interval(hits: int, trials: int, alpha: float, prior: Prior = RARE) -> tuple[float, float]:
    """Return the lower and the upper bound of a share, of which `hits` of `trials` were seen."""
    if trials == 0:
        return 0.0, 1.0
    center, limit = hits / trials, -math.log(alpha)

    def rejected(share: float) -> bool:
        return evidence(share, hits, trials, prior) > limit

    low = 0.0 if hits == 0 else _border(rejected, outside=0.0, inside=center)
    high = 1.0 if hits == trials else _border(rejected, outside=1.0, inside=center)
    return low, high


def quantile_interval(window: Window, quantile: float, alpha: float) -> tuple[float, float | None]:
    """Return bounds, in milliseconds, of a quantile of a revision's response times; None where nothing bounds it above.

    They are edges of the histogram's buckets, taken outward: a coarse histogram widens them and does no other harm.
    """
    tail, limit = 1 - quantile, -math.log(alpha)
    low, high = 0.0, None
    for edge, within in window.buckets:
        slower = window.timed - within
        if evidence(tail, slower, window.timed, TAIL) <= limit:
            continue
        if slower > tail * window.timed:
            low = edge
        else:
            high = edge
            break
    return low, high


def _border(rejected: Callable[[float], bool], *, outside: float, inside: float) -> float:
    for _ in range(_HALVINGS):
        middle = (outside + inside) / 2
        if middle in (outside, inside):
            break
        outside, inside = (middle, inside) if rejected(middle) else (outside, middle)
    return outside


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
