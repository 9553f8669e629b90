from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mlplat.runtime import metrics
from mlplat.runtime.gate import floors
from mlplat.runtime.metrics import Resamples
from mlplat.spec.gate import GateSpec

DAYS = np.repeat(np.arange(28), 40)
SOURCE = np.random.default_rng(0)
TRUTH = SOURCE.uniform(0.05, 0.6, len(DAYS))
LABELS = (SOURCE.random(len(DAYS)) < TRUTH).astype(np.float64)
PRIOR = np.full(len(DAYS), LABELS.mean())


def test_climatology_is_the_rate_of_what_was_learned_from() -> None:
    assert floors.climatology(np.array([1.0, 0.0, 0.0, 0.0])) == 0.25


def test_climatology_by_a_column_falls_back_to_the_rate_of_all_where_it_knows_nothing() -> None:
    labels = np.repeat([1.0, 0.0, 0.0], [900, 900, 1])
    learned = pd.Series(["winter"] * 900 + ["summer"] * 900 + [None])
    said = floors.climatology(labels, learned, pd.Series(["winter", "summer", "autumn", None]))
    mean = labels.mean()
    expected = [(900 + 50 * mean) / 950, 50 * mean / 950, mean, 50 * mean / 51]
    np.testing.assert_allclose(said, expected)


@pytest.mark.parametrize(
    "values",
    [pd.Series([1, 0] * 50), pd.Series([True, False] * 50), pd.Series(["a", "b"] * 50, dtype="category")],
    ids=["numbers", "truth values", "categories"],
)
def test_climatology_takes_columns_of_every_kind(values: pd.Series) -> None:
    said = floors.climatology(np.tile([1.0, 0.0], 50), values, values)
    np.testing.assert_allclose(said, np.tile([0.75, 0.25], 50))


def passed(scores: np.ndarray, prior: np.ndarray = PRIOR, **settings: float) -> dict[str, bool]:
    resamples = Resamples(DAYS, 300, 1)
    found = floors.floors("binary", GateSpec(**settings), LABELS, prior, scores, resamples, 0.95)  # type: ignore[arg-type]
    return {rule.name: rule.passed for rule in found}


def test_what_knows_no_row_has_no_skill() -> None:
    assert not passed(PRIOR)["better_than_climatology"]
    assert passed(TRUTH)["better_than_climatology"]


def test_a_ranking_with_probabilities_that_mislead_has_no_skill_and_is_refused() -> None:
    sure = np.where(TRUTH > 0.35, 0.98, 0.02)
    assert passed(sure) == {"auc_floor": True, "better_than_climatology": False, "calibration_in_the_large": True}


def test_a_forecast_that_knows_more_is_harder_to_beat() -> None:
    blurred = 0.5 * TRUTH + 0.5 * PRIOR
    assert passed(blurred)["better_than_climatology"]
    assert not passed(blurred, TRUTH)["better_than_climatology"]


def test_the_least_skill_is_the_projects_choice() -> None:
    assert not passed(TRUTH, min_skill=0.5)["better_than_climatology"]
    assert passed(PRIOR, min_skill=-0.1)["better_than_climatology"]


def test_a_model_whose_skill_and_calibration_are_just_at_their_limits_has_one_of_them() -> None:
    resamples = Resamples(DAYS, 300, 1)
    # Each score is its label's share: no skill at all, and calibrated.
    half = np.tile([0.0, 1.0], len(DAYS) // 2)
    said = np.full(len(DAYS), 0.75)
    gate = GateSpec(max_calibration_gap=0.25)
    found = {rule.name: rule for rule in floors.floors("binary", gate, half, said, said, resamples, 0.95)}
    assert found["better_than_climatology"].detail == (
        "0.0000 of the log loss is gone that knowing only the training rows' rates leaves; it has to be more than 0"
    )
    assert found["better_than_climatology"].measured == "0.000 [0.000, 0.000]"
    assert not found["better_than_climatology"].passed
    gap = found["calibration_in_the_large"]
    assert (gap.passed, gap.required) == (True, "at most 0.25 apart")
    assert gap.detail == "mean probability is +0.2500 from the share of positives; 0.25 is allowed"
    below = floors.floors("binary", gate, half, said, 1 - said - 1e-9, resamples, 0.95)
    assert [rule.passed for rule in below][-1] is False


def test_each_floor_of_a_regression_is_the_projects_choice() -> None:
    truth = SOURCE.normal(10, 2, len(DAYS))
    labels, prior = truth + SOURCE.normal(0, 1, len(DAYS)), np.full(len(DAYS), 10.0)

    def found(**settings: float) -> dict[str, bool]:
        resamples, gate = Resamples(DAYS, 300, 1), GateSpec(**settings)  # type: ignore[arg-type]
        return {
            rule.name: rule.passed for rule in floors.floors("regression", gate, labels, prior, truth, resamples, 0.95)
        }

    # Four fifths of the variance are explained, and 55 % of the error is gone.
    assert found() == found(min_r2=0.7, min_skill=0.4) == {"r2_floor": True, "better_than_climatology": True}
    assert found(min_r2=0.9) == {"r2_floor": False, "better_than_climatology": True}
    assert found(min_skill=0.7) == {"r2_floor": True, "better_than_climatology": False}


def test_a_floor_takes_the_confidence_that_it_is_asked_at() -> None:
    resamples = Resamples(DAYS, 300, 1)
    usual, sure = (
        [rule.measured for rule in floors.floors("binary", GateSpec(), LABELS, PRIOR, TRUTH, resamples, confidence)]
        for confidence in (0.5, 0.99)
    )
    assert all(first != second for first, second in zip(usual, sure, strict=True))


def test_the_skill_of_probabilities_is_a_share_of_the_log_loss() -> None:
    resamples = Resamples(DAYS, 300, 1)
    found = {rule.name: rule for rule in floors.floors("binary", GateSpec(), LABELS, PRIOR, TRUTH, resamples, 0.95)}
    ours, theirs = (metrics.mean_of(metrics.log_loss(LABELS, each)) for each in (TRUTH, PRIOR))
    expected = metrics.interval(metrics.relative_gain(ours, theirs), resamples, 0.95)
    assert found["better_than_climatology"].measured == str(expected)


def test_climatology_by_a_column_needs_it_of_both_sides() -> None:
    values = pd.Series(["a", "b", "b", "b"])
    assert floors.climatology(np.array([1.0, 0.0, 0.0, 0.0]), values) == 0.25
    assert floors.climatology(np.array([1.0, 0.0, 0.0, 0.0]), judged=values) == 0.25


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ("binary", ["area under the ROC curve: ", "0.", "mean probability is "]),
        (
            "regression",
            [
                "variance explained: ",
                "share of the error gone that always saying what the training rows' means are leaves",
            ],
        ),
    ],
)
def test_each_floor_says_what_it_measures_and_requires(task: str, said: list[str]) -> None:
    found = list(floors.floors(task, GateSpec(), LABELS, PRIOR, TRUTH, Resamples(DAYS, 300, 1), 0.95))
    assert [rule.detail[: len(text)] for rule, text in zip(found, said, strict=True)] == said
    assert found[1].required in ("above 0", "lower end above 0")
