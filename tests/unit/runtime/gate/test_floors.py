from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

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
