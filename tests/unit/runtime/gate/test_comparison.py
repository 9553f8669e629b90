from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gatecurve
from mlplat.runtime import metrics
from mlplat.runtime.gate import Look, Seeds
from mlplat.runtime.gate.comparison import Comparison, _chance, gain_of, no_worse
from mlplat.runtime.metrics import Floats, Resamples

DAYS, PER_DAY = 20, 15
BLOCKS = np.repeat(np.arange(DAYS), PER_DAY)
CURVE = json.loads((Path(__file__).parents[4] / "docs" / "concepts" / "gate.json").read_text())
SEED = st.integers(0, 10_000)


def drawn(seed: int) -> tuple[Floats, Floats, Floats]:
    """Return labels, and the log-odds that two models say."""
    source = np.random.default_rng(seed)
    signal = source.normal(0, 1, len(BLOCKS))
    labels = (source.random(len(BLOCKS)) < 1 / (1 + np.exp(-signal))).astype(np.float64)
    return labels, *(signal + source.normal(0, 0.5, len(BLOCKS)) for _ in range(2))  # type: ignore[return-value]


def compared(labels: Floats, scores: Floats, champion: Floats, blocks: Any = BLOCKS, **given: Any) -> Comparison:
    task = given.pop("task", "binary")
    resamples = Resamples(blocks, 300, 5)
    return no_worse(task, labels, scores, champion, resamples, **{"confidence": 0.95, "margin": 0.01, **given})


@settings(max_examples=25)
@given(SEED, SEED, st.sampled_from(["binary", "regression"]))
def test_a_verdict_does_not_depend_on_the_order_of_rows(seed: int, order: int, task: str) -> None:
    labels, ours, theirs = drawn(seed)
    mixed = np.random.default_rng(order).permutation(len(labels))
    one = compared(labels, ours, theirs, task=task)
    other = compared(labels[mixed], ours[mixed], theirs[mixed], BLOCKS[mixed], task=task)
    assert vars(one.gain) == pytest.approx(vars(other.gain))
    assert one.rule.passed == other.rule.passed


@settings(max_examples=25)
@given(SEED, st.floats(0.1, 10), st.floats(-5, 5))
def test_areas_depend_on_the_order_of_scores_alone(seed: int, slope: float, offset: float) -> None:
    labels, ours, theirs = drawn(seed)
    assert compared(labels, slope * ours + offset, theirs).gain == compared(labels, ours, theirs).gain


@settings(max_examples=40)
@given(SEED, st.floats(0, 2), st.floats(0, 2), st.sampled_from([None, Seeds(0.005, 5)]))
def test_a_model_that_is_worse_on_every_pair_passes_nowhere_where_the_better_is_refused(
    seed: int, first: float, second: float, seeds: Seeds | None
) -> None:
    labels, ours, theirs = drawn(seed)
    # Positives lower and negatives higher: no pair of rows comes into the right order by it.
    better, worse = (ours - by * (2 * labels - 1) for by in sorted((first, second)))
    good, bad = (compared(labels, scores, theirs, seeds=seeds, margin=0.03) for scores in (better, worse))
    assert bad.gain.low <= good.gain.low + 1e-12
    assert good.rule.passed or not bad.rule.passed


@settings(max_examples=20)
@given(SEED, st.floats(0.001, 0.2), st.floats(0.001, 0.2))
def test_a_wider_margin_and_a_lower_confidence_never_refuse_more(seed: int, one: float, other: float) -> None:
    labels, ours, theirs = drawn(seed)
    narrow, wide = (compared(labels, ours, theirs, margin=margin) for margin in sorted((one, other)))
    assert wide.rule.passed or not narrow.rule.passed
    assert wide.equal_refused <= narrow.equal_refused
    sure = compared(labels, ours, theirs, confidence=0.99)
    assert sure.gain.low <= compared(labels, ours, theirs).gain.low


def test_the_spread_of_seeds_widens_the_lower_half_and_no_more() -> None:
    labels, ours, theirs = drawn(1)
    plain, still, wide = (compared(labels, ours, theirs, seeds=s) for s in (None, Seeds(0.0, 3), Seeds(0.01, 3)))
    assert plain.gain == still.gain
    assert (wide.gain.value, wide.gain.high) == (plain.gain.value, plain.gain.high)
    # Student's quantile of two degrees of freedom at .975 is 4.303.
    lost = np.hypot(plain.gain.value - plain.gain.low, 4.303 * 0.01)
    assert wide.gain.low == pytest.approx(wide.gain.value - lost, abs=1e-5)
    assert wide.described()["seeds"] == {"spread": 0.01, "count": 3}


def test_more_seeds_leave_less_doubt() -> None:
    halves = [Seeds(0.01, count).half(0.95) for count in (2, 3, 8, 1000)]
    assert halves == sorted(halves, reverse=True)
    assert halves[-1] == pytest.approx(0.0196, abs=1e-4)


def test_the_same_model_is_refused_never_and_one_without_doubt_by_its_margin_alone() -> None:
    labels, ours, _ = drawn(2)
    same = compared(labels, ours, ours)
    assert (same.gain.low, same.equal_refused, same.rule.passed) == (0.0, 0.0, True)


def stated(worse: float, key: str, look: str = "1") -> float:
    (entry,) = (each for each in CURVE["found"] if (each["days"], each["worse"], each["margin"]) == (28, worse, 0.01))
    return float(entry[key][look])


@pytest.mark.parametrize("worse", [-0.01, 0.0, 0.01, 0.03])
def test_the_gate_errs_as_often_as_its_page_says(worse: float) -> None:
    """Of 60 pairs on 28 days; the bounds are four standard errors around what as many as `runs` of
    the page's data gave."""
    runs, said = 60, stated(worse, "passes_at")
    judge = gatecurve.Judge(gatecurve.World(28), draws=1_000)
    lows = judge.lows(gatecurve.Skills().noise(worse), looks=1, runs=runs, seed=7)
    error = np.sqrt(max(said * (1 - said), 0.01) * (1 / runs + 1 / CURVE["runs"]))
    assert (lows[:, 0, 0] > -0.01).mean() == pytest.approx(said, abs=4 * error)


def test_what_the_page_says_keeps_what_the_gate_promises() -> None:
    """A challenger that is worse by just the margin passes in 2.5 %, and one of ten in at most 1.64 times as many.

    The bounds are four standard errors of as many runs as the page's data have.
    """
    error = np.sqrt(0.025 * 0.975 / CURVE["runs"])
    for entry in CURVE["found"]:
        if entry["worse"] == entry["margin"]:
            assert entry["passes_at"]["1"] <= 0.025 + 4 * error
            assert all(share <= 1.645 * 0.025 + 4 * error for share in entry["any_passes"].values())
        if entry["worse"] >= entry["margin"] + 0.01:
            assert entry["passes_at"]["1"] <= 0.01


def test_further_looks_are_what_the_correction_is_for() -> None:
    looked = stated(0.01, "any_passes", "10"), stated(0.01, "any_passes_uncorrected", "10")
    assert looked[0] < looked[1] / 2
    assert stated(0.0, "passes_at", "10") < stated(0.0, "passes_at", "1")


def test_what_is_simulated_is_what_the_gate_computes() -> None:
    judge = gatecurve.Judge(gatecurve.World(15, 40), draws=1_000)
    (((low, _),),) = judge.lows(0.5, looks=1, runs=1, seed=3)
    source = np.random.default_rng([3, 0])
    holdout = judge.world.holdout(source)
    champion, scores = (holdout.scores(gatecurve.OWN, source) for _ in range(2))
    found = no_worse("binary", holdout.labels, scores, champion, judge.resamples, confidence=0.95, margin=0.01)
    assert found.gain.low == pytest.approx(low)


def test_a_look_takes_the_tail_that_it_needs() -> None:
    labels, ours, theirs = drawn(3)
    lows = [
        no_worse(
            "binary", labels, ours, theirs, look.resamples(BLOCKS, 100), confidence=look.needed, margin=0.01
        ).gain.low
        for look in (Look(1, 0.95), Look(2, 0.95), Look(4, 0.95))
    ]
    assert lows == sorted(lows, reverse=True)
    assert len(set(lows)) == 3


@pytest.mark.parametrize(
    ("lacking", "error", "seeds", "chance"),
    [
        (0.0, 0.1, None, 0.5),
        (0.1, 0.1, None, 0.841345),
        (-0.2, 0.1, None, 0.022750),
        # Days and both models' seeds: the root of .06² + 2 · .08² / 2 is .1.
        (0.1, 0.06, Seeds(0.08 / 2**0.5, 3), 0.841345),
        (0.1, 0.0, Seeds(0.1 / 2**0.5, 3), 0.841345),
        (0.0, 0.0, None, 0.0),
        (1e-9, 0.0, Seeds(0.0, 3), 1.0),
    ],
)
def test_an_equal_model_is_refused_when_chance_shows_less_than_it_has_to(
    lacking: float, error: float, seeds: Seeds | None, chance: float
) -> None:
    assert _chance(lacking, error, seeds) == pytest.approx(chance, abs=1e-6)


@pytest.mark.parametrize("seeds", [None, Seeds(0.01, 3)])
@pytest.mark.parametrize(
    ("task", "what"),
    [("binary", "area under the ROC curve"), ("regression", "share of the champion's error that is gone")],
)
def test_a_comparison_says_what_it_rests_on(task: str, what: str, seeds: Seeds | None) -> None:
    labels, ours, theirs = drawn(4)
    found = compared(labels, ours, theirs, task=task, seeds=seeds)
    values = metrics.draw(gain_of(task, labels, ours, theirs), Resamples(BLOCKS, 300, 5))
    down = found.gain.value - found.gain.low
    assert found.equal_refused == pytest.approx(_chance(down - 0.01, float(values.std()), seeds))
    assert 0.01 < found.equal_refused < 0.99
    assert found.described() == {
        "gain": found.gain.described(),
        "equal_refused": round(found.equal_refused, 3),
        "seeds": {"spread": 0.01, "count": 3} if seeds else None,
    }
    assert vars(found.rule) == {
        "name": "no_worse_than_champion",
        "passed": found.gain.low > -0.01,
        "required": "lower end above -0.01",
        "measured": str(found.gain),
        "detail": (
            f"{what} against the champion on the same rows: {found.gain}; {found.gain.low + 0.01:+.4f} above the limit;"
            f" an equal model is refused in {found.equal_refused:.0%} of such comparisons"
        ),
    }


def test_a_challenger_that_may_be_worse_by_just_the_margin_does_not_pass() -> None:
    labels, ours, _ = drawn(2)
    assert not compared(labels, ours, ours, margin=0.0).rule.passed
