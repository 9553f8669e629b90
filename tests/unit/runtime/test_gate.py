from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mlplat.runtime import gate, metrics
from mlplat.runtime.gate import Holdout, Look, Rule, comparison
from mlplat.runtime.metrics import Floats
from mlplat.spec.project import ProjectSpec

MakeSpec = Callable[..., ProjectSpec]
DAYS = 28


@pytest.fixture(scope="module")
def spec(make_spec: MakeSpec) -> ProjectSpec:
    return make_spec(gate__resamples=100)


@pytest.fixture(scope="module")
def numbers(make_spec: MakeSpec) -> ProjectSpec:
    return make_spec(task="regression", gate__resamples=100)


def expit(odds: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-odds)))


def days(seed: int, per_day: int) -> tuple[Holdout, Floats]:
    """Return 28 days of labels, some days worse than others, and the log-odds that a model may come to know."""
    source = np.random.default_rng(seed)
    blocks = np.repeat(np.arange(DAYS), per_day)
    signal = source.normal(0, 1.2, len(blocks))
    odds = signal - 1 + source.normal(0, 0.5, DAYS)[blocks]
    return Holdout((source.random(len(blocks)) < expit(odds)).astype(np.float64), blocks, 0.3), signal


def model(seed: int, signal: Floats, noise: float) -> Floats:
    """Return the probabilities of a model that knows the signal up to some noise of its own."""
    return expit(signal - 0.9 + np.random.default_rng(seed).normal(0, noise, len(signal)))


def rules(spec: ProjectSpec, holdout: Holdout, scores: Floats, champion: Floats | None = None) -> dict[str, Rule]:
    verdict = gate.judge(spec, holdout, scores, champion)
    assert verdict.passed == all(rule.passed for rule in verdict.rules)
    return {rule.name: rule for rule in verdict.rules}


BINARY = ["auc_floor", "better_than_climatology", "calibration_in_the_large"]


def test_a_good_first_model_passes_every_rule_and_is_compared_with_none(spec: ProjectSpec) -> None:
    holdout, signal = days(0, 50)
    verdict = gate.judge(spec, holdout, model(1, signal, 0.2), None)
    assert [rule.name for rule in verdict.rules] == BINARY
    assert verdict.passed
    assert verdict.champion_metrics is None
    assert set(verdict.metrics) == {"auc", "average_precision", "log_loss", "brier", "calibration_gap"}
    assert json.loads(json.dumps(verdict.described(), allow_nan=False))["rules"][0]["name"] == "auc_floor"


@pytest.mark.parametrize(
    ("scores", "failed"),
    [
        (lambda s: np.random.default_rng(0).random(len(s)) * 0.5, ["auc_floor", "better_than_climatology"]),
        (lambda s: expit(-s - 0.9), ["auc_floor", "better_than_climatology"]),
        (lambda s: np.full(len(s), 0.3), ["auc_floor", "better_than_climatology"]),
        (lambda s: expit(s + 2), ["better_than_climatology", "calibration_in_the_large"]),
    ],
    ids=["random", "upside down", "constant", "far too sure"],
)
def test_a_first_model_that_is_no_good_is_refused_by_the_rule_it_breaks(
    spec: ProjectSpec, scores: Callable[[Floats], Floats], failed: list[str]
) -> None:
    holdout, signal = days(0, 50)
    found = rules(spec, holdout, scores(signal))
    assert [name for name, rule in found.items() if not rule.passed] == failed
    assert all(re.search("apart|from the share|more than 0", found[name].detail) for name in failed)


def test_a_floor_is_held_by_the_interval_and_not_by_the_number(make_spec: MakeSpec) -> None:
    holdout, signal = days(0, 50)
    scores = model(1, signal, 0.2)
    measured = metrics.auc(holdout.labels, scores)(np.ones(len(scores)))
    found = rules(make_spec(gate__resamples=100, gate__min_auc=round(measured - 0.001, 4)), holdout, scores)
    assert not found["auc_floor"].passed


def test_the_champion_itself_is_no_worse_than_itself(spec: ProjectSpec) -> None:
    holdout, signal = days(0, 50)
    scores = model(1, signal, 0.2)
    found = rules(spec, holdout, scores, scores)
    assert found["no_worse_than_champion"].passed
    assert found["no_worse_than_champion"].measured == "0.000 [0.000, 0.000]"


def test_a_better_model_passes_and_the_worse_of_the_two_does_not(spec: ProjectSpec) -> None:
    holdout, signal = days(0, 100)
    good, bad = model(1, signal, 0.1), model(2, signal, 0.9)
    assert rules(spec, holdout, good, bad)["no_worse_than_champion"].passed
    refused = rules(spec, holdout, bad, good)["no_worse_than_champion"]
    assert not refused.passed
    assert refused.measured.startswith("-0.0")
    assert refused.required == "lower end above -0.01"


def test_a_wider_margin_lets_a_slightly_worse_model_pass(make_spec: MakeSpec) -> None:
    holdout, signal = days(0, 100)
    good, bad = model(1, signal, 0.1), model(2, signal, 0.5)
    verdicts = [
        rules(make_spec(gate__resamples=100, gate__margin=margin), holdout, bad, good)["no_worse_than_champion"].passed
        for margin in (0.01, 0.1)
    ]
    assert verdicts == [False, True]


def refusals(spec: ProjectSpec, per_day: int, noise: float, more: float, runs: int = 40) -> float:
    """Return how often non-inferiority refuses a challenger with `more` noise than the champion."""
    refused = 0
    for seed in range(runs):
        holdout, signal = days(seed, per_day)
        champion, challenger = model(1000 + seed, signal, noise), model(2000 + seed, signal, noise + more)
        resamples = Look(1, 0.95).resamples(holdout.blocks, 100)
        found = comparison.no_worse(
            "binary", holdout.labels, challenger, champion, resamples, confidence=0.95, margin=0.01
        )
        refused += not found.rule.passed
    return refused / runs


@pytest.mark.parametrize(
    ("per_day", "noise", "more", "low", "high"),
    [
        (100, 0.15, 0.0, 0.0, 0.05),
        (100, 0.30, 0.0, 0.05, 0.40),
        (300, 0.30, 0.0, 0.0, 0.05),
        (10, 0.15, 0.0, 0.30, 0.85),
        (100, 0.15, 0.5, 1.0, 1.0),
        (10, 0.15, 0.9, 0.90, 1.0),
    ],
)
def test_equal_models_are_refused_rarely_and_worse_ones_always(
    spec: ProjectSpec, per_day: int, noise: float, more: float, low: float, high: float
) -> None:
    """Non-inferiority by a margin of .01, 28 days; models' errors are independent noise on the log-odds.

    Of 100 simulated pairs with 200 resamples, by rows a day and standard deviation of two equal models' difference:
    refused are 0 (100 rows, .0019), 26 (100, .0038), 0 (300, .0021) and 67 (10, .0066) pairs of equal models; 92 (100
    rows) and 89 (300 rows) where the challenger is worse by .009 on average, just inside of the margin; and all 100 of
    each kind where it is worse by .030 (100 rows), .034 (10 rows) or .070 (10 rows). So a hold-out of 280 rows wants a
    wider margin than .01, and errs on the safe side without one.
    """
    assert low <= refusals(spec, per_day, noise, more) <= high


@pytest.mark.parametrize(
    ("rows", "positives", "blocks", "failed"),
    [
        (199, 60, 28, ["enough_rows"]),
        (1000, 0, 28, ["enough_values"]),
        (1000, 19, 28, ["enough_of_each_class"]),
        (1000, 981, 28, ["enough_of_each_class"]),
        (1000, 300, 9, ["enough_blocks"]),
        (1000, 300, 1, ["enough_blocks"]),
        (50, 5, 2, ["enough_rows", "enough_blocks", "enough_of_each_class"]),
    ],
)
def test_a_hold_out_that_is_too_small_judges_nothing(
    spec: ProjectSpec, rows: int, positives: int, blocks: int, failed: list[str]
) -> None:
    labels = np.zeros(rows)
    labels[np.linspace(0, rows - 1, positives).astype(int)] = 1
    verdict = gate.judge(spec, Holdout(labels, np.arange(rows) % blocks, 0.3), labels * 0.9 + 0.05, None)
    assert not verdict.passed
    assert [rule.name for rule in verdict.rules if not rule.passed] == failed
    assert verdict.metrics == {}


def regression(seed: int = 0, scale: float = 1.0) -> tuple[Holdout, Floats]:
    source = np.random.default_rng(seed)
    truth = source.normal(10, 2, DAYS * 30)
    return Holdout((truth + source.normal(0, 1, len(truth))) * scale, np.repeat(np.arange(DAYS), 30), 10 * scale), truth


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_a_regression_is_judged_alike_in_every_unit(numbers: ProjectSpec, scale: float) -> None:
    holdout, truth = regression(scale=scale)
    worse = (truth + np.random.default_rng(3).normal(0, 0.6, len(truth))) * scale
    passed = rules(numbers, holdout, truth * scale, worse)
    assert list(passed) == ["r2_floor", "better_than_climatology", "no_worse_than_champion"]
    assert all(rule.passed for rule in passed.values())
    refused = rules(numbers, holdout, worse, truth * scale)
    assert [name for name, rule in refused.items() if not rule.passed] == ["no_worse_than_champion"]


@pytest.mark.parametrize(
    ("values", "failed"),
    [
        (lambda t: np.full(len(t), 10.0), ["r2_floor", "better_than_climatology"]),
        (lambda t: 20 - t, ["r2_floor", "better_than_climatology"]),
    ],
)
def test_a_regression_that_knows_no_more_than_the_mean_is_refused(
    numbers: ProjectSpec, values: Callable[[Floats], Floats], failed: list[str]
) -> None:
    holdout, truth = regression()
    found = rules(numbers, holdout, values(truth))
    assert [name for name, rule in found.items() if not rule.passed] == failed


def test_a_constant_target_judges_nothing(numbers: ProjectSpec) -> None:
    found = rules(numbers, Holdout(np.ones(600), np.arange(600) % DAYS, 1.0), np.ones(600))
    assert list(found) == ["enough_values"]


def test_the_same_models_always_get_the_same_verdict(spec: ProjectSpec) -> None:
    holdout, signal = days(0, 50)
    scores: list[dict[str, Any]] = [
        gate.judge(spec, holdout, model(1, signal, 0.2), model(2, signal, 0.2)).described() for _ in range(2)
    ]
    assert scores[0] == scores[1]
