from __future__ import annotations

import math

import pytest

from mlplat.controller.confidence import RARE, TAIL, Prior, evidence, quantile_interval, share_interval
from mlplat.controller.decision import breach_level, decide, pass_level
from mlplat.controller.document import Figures, Range
from mlplat.controller.window import Window
from mlplat.spec.rollout import RolloutPolicy

POLICY = RolloutPolicy()
EDGES = (5.0, 10.0, 15.0, 20.0, 50.0, 100.0)


def window(requests: int, errors: int = 0, milliseconds: float = 5.0, slow: int = 0) -> Window:
    """Return a window in which `slow` requests took 80 ms and the others `milliseconds`."""
    buckets = tuple(
        (edge, (requests - slow if milliseconds <= edge else 0) + (slow if edge >= 80 else 0)) for edge in EDGES
    )
    return Window(requests=requests, errors=errors, timed=requests, buckets=buckets)


@pytest.mark.parametrize(
    ("champion", "challenger", "elapsed", "verdict", "says"),
    [
        (window(9000), window(1000), 10, "advance", "within the limits"),
        (window(9000), window(1000), 5, "advance", "within the limits"),
        (window(9000), window(1000), 4.9, "continue", "4.9 of at least 5.0 s"),
        (window(9000), window(50), 10, "continue", "50 of at least 100 requests"),
        (window(9000), window(100), 10, "continue", "errors may have grown by up to"),
        (window(9000), Window(), 10, "continue", "0 of at least 100 requests"),
        (window(9000), Window(), 600, "inconclusive", "undecided after 600 s: 0 of at least 100 requests"),
        (window(9000), Window(), 599.9, "continue", "0 of at least 100 requests"),
        (window(9000), window(150), 601, "inconclusive", "more requests are needed to tell"),
        (Window(), window(1000), 10, "continue", "the champion answered no request"),
        (Window(), window(1000), 601, "inconclusive", "the champion answered no request"),
        (window(9000, 9), window(1000, 60), 10, "breach", "errors grew by at least"),
        (window(900), window(100, 30), 0, "breach", "30 of 100 requests failed, the champion's 0 of 900"),
        (window(9000, 900), window(1000, 100), 10, "continue", "errors may have grown"),
        (window(9000), window(1000, milliseconds=100.0), 10, "breach", "p95 is between 50 and 100 ms"),
        (window(9000), window(1000, milliseconds=100.0), 5, "breach", "p95 is between 50 and 100 ms"),
        (window(9000), window(1000, milliseconds=100.0), 4.9, "continue", "p95 is between 50 and 100 ms"),
        (window(9000), window(1000, slow=200), 10, "breach", "which allows 28 ms"),
        (window(9000), window(1000, slow=10), 10, "advance", "within the limits"),
        (window(9000), window(1000, slow=49), 10, "continue", "p95 is between"),
        (window(9000, milliseconds=1000.0), window(1000, milliseconds=1000.0), 10, "continue", "p95 is above 100 ms"),
    ],
)
def test_verdicts(champion: Window, challenger: Window, elapsed: float, verdict: str, says: str) -> None:
    judgement = decide(champion, challenger, POLICY, elapsed)
    assert judgement.verdict == verdict, judgement.reason
    assert says in judgement.reason


def test_every_bound_has_its_share_of_the_chance_to_be_wrong() -> None:
    policy = RolloutPolicy(confidence=0.9, steps=(10, 50, 100))
    assert breach_level(policy) == pytest.approx(0.1 / 12)
    assert pass_level(policy) == pytest.approx(0.1 / 2)


@pytest.mark.parametrize(
    ("errors", "level", "says"),
    [
        (8, pass_level(POLICY), "errors may have grown by up to {high}, allowed is 1.00 %: more requests are needed"),
        (60, breach_level(POLICY), "errors grew by at least {low}, allowed is 1.00 %: 60 of 1000 requests failed"),
    ],
)
def test_a_judgement_tells_the_figures_that_it_rests_on(errors: int, level: float, says: str) -> None:
    champion, challenger = window(9000, 90), window(1000, errors, slow=20)
    judgement = decide(champion, challenger, POLICY, 10)
    before, after = (share_interval(each.errors, each.requests, level) for each in (champion, challenger))
    old, new = (quantile_interval(each, 0.95, level) for each in (champion, challenger))
    assert old[1] is not None
    assert judgement.figures == Figures(
        champion_requests=9000,
        champion_errors=90,
        challenger_requests=1000,
        challenger_errors=errors,
        champion_error_share=Range(low=before[0], high=before[1]),
        challenger_error_share=Range(low=after[0], high=after[1]),
        error_increase=Range(low=after[0] - before[1], high=after[1] - before[0]),
        quantile=0.95,
        champion_latency=Range(low=old[0], high=old[1]),
        challenger_latency=Range(low=new[0], high=new[1]),
        latency_limit=Range(low=old[0] * 1.5 + 20, high=old[1] * 1.5 + 20),
    )
    low, high = (f"{100 * bound:.2f} %" for bound in (after[0] - before[1], after[1] - before[0]))
    assert judgement.reason.startswith(says.format(low=low, high=high))


def test_a_few_bad_requests_decide_nothing() -> None:
    assert decide(window(90), window(10, errors=1), POLICY, 60).verdict == "continue"
    assert decide(window(90), window(10, slow=1), POLICY, 60).verdict == "continue"


def test_a_faster_version_that_fails_is_a_breach() -> None:
    assert decide(window(9000, milliseconds=50.0), window(1000, errors=200), POLICY, 60).verdict == "breach"


def test_the_longer_the_rollout_the_stronger_the_evidence_a_breach_needs() -> None:
    champion, challenger = window(9000), window(200, errors=8)
    short = RolloutPolicy(steps=(100,), confidence=0.6)
    long = RolloutPolicy(steps=tuple(range(1, 101)), confidence=0.999)
    assert decide(champion, challenger, short, 60).verdict == "breach"
    assert decide(champion, challenger, long, 60).verdict == "continue"


@pytest.mark.parametrize(("hits", "trials"), [(0, 1), (0, 1000), (3, 1000), (500, 1000), (1000, 1000), (1, 1)])
def test_a_share_lies_in_its_interval_which_narrows_with_requests(hits: int, trials: int) -> None:
    low, high = share_interval(hits, trials, 0.01)
    assert 0 <= low <= hits / trials <= high <= 1
    more = share_interval(hits * 10, trials * 10, 0.01)
    assert low <= more[0] <= more[1] <= high


@pytest.mark.parametrize("prior", [RARE, TAIL])
@pytest.mark.parametrize(("share", "hits", "trials"), [(0.2, 3, 40), (0.05, 0, 30), (0.6, 12, 12), (0.01, 7, 90)])
def test_evidence_is_the_mean_likelihood_over_that_of_the_share(
    share: float, hits: int, trials: int, prior: Prior
) -> None:
    from scipy import integrate, special, stats

    mixed = stats.beta(*prior)

    def ratio(root: float) -> float:
        other = root**2  # the density has a pole at zero, which a square takes away
        terms = special.xlogy(hits, other / share) + special.xlog1py(trials - hits, -other)
        return float(mixed.pdf(other) * math.exp(terms - (trials - hits) * math.log1p(-share)) * 2 * root)

    mean, _ = integrate.quad(ratio, 0, 1, limit=200)
    assert evidence(share, hits, trials, prior) == pytest.approx(math.log(mean), abs=1e-6)


@pytest.mark.parametrize(("hits", "trials"), [(1, 20), (3, 1000), (500, 1000), (15, 20)])
def test_a_bound_is_where_the_evidence_becomes_too_much(hits: int, trials: int) -> None:
    low, high = share_interval(hits, trials, 0.01)
    assert 0 < low < hits / trials < high < 1
    for bound in (low, high):
        assert evidence(bound, hits, trials, RARE) == pytest.approx(-math.log(0.01), abs=1e-3)


def test_a_bound_that_no_number_lies_beyond_is_the_end() -> None:
    # The mixture expects few errors: of one miss in a million its bound is closer to 1 than numbers are.
    assert share_interval(999_999, 1_000_000, 0.01)[1] == 1.0


def test_nothing_seen_bounds_nothing() -> None:
    assert share_interval(0, 0, 0.01) == (0.0, 1.0)
    assert quantile_interval(Window(), 0.95, 0.01) == (0.0, None)


def test_the_zero_error_bound_is_the_published_mixtures() -> None:
    # (1 - p)^n alpha^-1 = B(1/2, 25 + n) / B(1/2, 25) in logarithms, solved by hand for n = 1000.
    assert share_interval(0, 1000, 0.05)[1] == pytest.approx(0.00486, abs=2e-4)


@pytest.mark.parametrize("quantile", [0.5, 0.9, 0.95, 0.99])
def test_a_quantile_interval_holds_the_quantile(quantile: float) -> None:
    buckets = tuple((float(edge), edge * 100) for edge in range(1, 101))
    low, high = quantile_interval(Window(requests=10_000, timed=10_000, buckets=buckets), quantile, 0.01)
    assert high is not None
    assert low <= quantile * 100 <= high
    assert high - low < 10


def test_counters_that_began_anew_count_from_there() -> None:
    assert window(10).since(window(100)) == window(10)
    assert window(100, 3).since(window(40, 1)) == window(60, 2)
