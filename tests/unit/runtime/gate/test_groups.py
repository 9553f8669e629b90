from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlplat.runtime.gate import groups
from mlplat.runtime.metrics import Floats, Resamples
from mlplat.spec.gate import GateSpec, GroupLimits

DAYS, PER_DAY = 28, 60
BLOCKS = np.repeat(np.arange(DAYS), PER_DAY)
SOURCE = np.random.default_rng(0)
LABELS = (SOURCE.random(len(BLOCKS)) < 0.3).astype(np.float64)
SCORES = np.clip(0.3 * LABELS + 0.7 * SOURCE.random(len(BLOCKS)), 0, 1)
WHO = pd.DataFrame({"region": SOURCE.choice(["north", "south"], len(BLOCKS))})
RESAMPLES = Resamples(BLOCKS, 300, 1)


def table(called: Floats, columns: pd.DataFrame = WHO, task: str = "binary", **settings: Any) -> groups.Table:
    return groups.table(task, GateSpec(**settings), columns, LABELS, SCORES, called, RESAMPLES)


FAIR = (SCORES > 0.5).astype(np.float64)
UNFAIR = np.where(WHO["region"] == "south", np.maximum(FAIR, SOURCE.random(len(FAIR)) < 0.3), FAIR)


def test_rates_are_those_of_a_table_of_four_counts() -> None:
    found = {entry["value"]: entry for entry in table(FAIR)}
    inside = (WHO["region"] == "north").to_numpy()
    called, labels = FAIR[inside], LABELS[inside]
    rates = {name: value["value"] for name, value in found["north"]["rates"].items()}
    assert rates == pytest.approx(
        {
            "base_rate": labels.mean(),
            "selection_rate": called.mean(),
            "true_positive_rate": called[labels == 1].mean(),
            "false_positive_rate": called[labels == 0].mean(),
            "calibration_gap": (SCORES[inside] - labels).mean(),
        },
        abs=1e-6,
    )
    assert found["north"]["rows"] == inside.sum()
    apart = found["north"]["rates"]["selection_rate"]["apart"]
    assert apart["value"] == pytest.approx(called.mean() - FAIR[~inside].mean(), abs=1e-6)
    assert apart["low"] < apart["value"] < apart["high"]


def test_only_a_limit_blocks_and_only_what_is_shown_to_break_it() -> None:
    assert list(groups.rules(table(UNFAIR), GroupLimits())) == []
    limits = GroupLimits(false_positive_rate=0.1, calibration_gap=0.1)
    broken = {rule.name: rule.passed for rule in groups.rules(table(UNFAIR), limits)}
    assert broken == {"groups_false_positive_rate": False, "groups_calibration_gap": True}
    assert all(rule.passed for rule in groups.rules(table(FAIR), limits))
    (refused, _) = groups.rules(table(UNFAIR), limits)
    assert "from all other rows in false positive rate; 0.1 is allowed" in refused.detail


def test_a_group_below_the_rest_breaks_a_limit_as_one_above_does() -> None:
    three = pd.DataFrame({"region": np.where(BLOCKS % 3 == 0, "low", "other")})
    called = np.where(three["region"] == "low", 0.0, FAIR)
    (rule,) = groups.rules(table(called, three), GroupLimits(selection_rate=0.1))
    assert not rule.passed


def test_a_limit_that_no_group_can_be_held_against_is_no_pass() -> None:
    few = table(FAIR, min_slice_rows=100_000)
    assert few[0]["left_out"].endswith("rows, and 100000 are needed")
    assert few[0]["rates"] == {}
    (rule,) = groups.rules(few, GroupLimits(selection_rate=0.1))
    assert (rule.passed, rule.measured) == (False, "nothing")


def test_a_regression_s_groups_have_errors_and_no_rates() -> None:
    found = table(FAIR, task="regression")
    assert set(found[0]["rates"]) == {"mean_target", "mean_error"}
