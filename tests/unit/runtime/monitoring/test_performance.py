"""How right a model is, is said of ripe labels only, with what it rests on, and alarms where it must."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mlplat.bundle import Column
from mlplat.runtime import metrics
from mlplat.runtime.monitoring import performance, profile
from mlplat.runtime.monitoring.performance import Outcomes, Performance
from mlplat.runtime.monitoring.profile import Profile
from mlplat.runtime.monitoring.windows import Calendar
from mlplat.spec.monitoring import MonitoringSpec

SETTINGS = MonitoringSpec()
START = pd.Timestamp("2013-06-03", tz="UTC")
UNTIL = START + pd.Timedelta(days=40)


def learned(task: str = "binary", base: float = 0.25) -> Profile:
    labels = (np.arange(400) % 100 < 100 * base).astype(np.float64)
    rows = pd.DataFrame({"x": np.arange(400.0)})
    column = Column(name="x", type="double")
    return profile.make(rows, [column], labels, labels, task=task, asked=None, calendar=Calendar(7, "UTC"))


def outcomes(shift: float = 0.0, ripe_days: int = 40, labelled: float = 1.0, per_day: int = 50) -> Outcomes:
    source = np.random.default_rng(5)
    count = 40 * per_day
    asked = pd.Series(START + pd.to_timedelta(np.arange(count) * (24 / per_day), unit="h"))
    true = source.beta(1, 3, count)
    labels = (source.random(count) < true).astype(np.float64)
    ripe = (asked < START + pd.Timedelta(days=ripe_days)).to_numpy()
    labels[~ripe | (source.random(count) >= labelled)] = np.nan
    return Outcomes(asked, np.clip(true + shift, 0.001, 0.999), labels, ripe)


def test_a_model_that_means_what_it_says_is_no_alarm_and_knows_more_than_the_base_rate() -> None:
    found = performance.measure(learned(), SETTINGS, outcomes(), UNTIL)
    assert found.unjudged is None
    assert abs(found.measures["calibration_gap"].value) < 0.03
    assert found.measures["skill"].low > 0
    assert performance.alarms(found, SETTINGS, 0.25) == []


@pytest.mark.parametrize("shift", [-0.12, 0.12])
def test_probabilities_that_are_all_too_low_or_too_high_are_an_alarm(shift: float) -> None:
    found = performance.measure(learned(), SETTINGS, outcomes(shift), UNTIL)
    raised = performance.alarms(found, SETTINGS, 0.25)
    assert [alarm.kind for alarm in raised] == ["performance"]
    assert "mean prediction less what came" in raised[0].message


def test_only_days_whose_labels_are_all_ripe_are_judged_on() -> None:
    found = performance.measure(learned(), SETTINGS, outcomes(ripe_days=33), UNTIL)
    assert (found.start, found.end) == (START + pd.Timedelta(days=5), START + pd.Timedelta(days=33))
    assert found.rows == 28 * 50
    assert [window["maturity"] for window in found.windows] == [1, 1, 1, 1, pytest.approx(5 / 7, abs=1e-3), 0]


def test_what_has_too_few_labels_is_not_judged_and_that_is_said() -> None:
    sparse = performance.measure(learned(), SETTINGS, outcomes(labelled=0.6), UNTIL)
    assert sparse.measures == {}
    assert sparse.unjudged is not None
    assert "of the ripe predictions have a label" in sparse.unjudged
    assert sparse.coverage == pytest.approx(0.6, abs=0.03)
    early = performance.measure(learned(), SETTINGS, outcomes(ripe_days=6), UNTIL)
    assert early.unjudged is not None
    assert "days" in early.unjudged
    assert performance.measure(learned(), SETTINGS, outcomes(ripe_days=0), UNTIL).unjudged is not None


def test_a_model_that_knows_less_than_the_base_rate_is_an_alarm() -> None:
    honest = outcomes()
    turned = Outcomes(honest.asked, 1 - honest.scores, honest.labels, honest.ripe)
    found = performance.measure(learned(), SETTINGS, turned, UNTIL)
    assert found.measures["skill"].high < 0
    assert "worse than always saying" in performance.alarms(found, SETTINGS, 0.25)[0].message


def test_a_rows_answer_that_was_never_given_judges_nothing() -> None:
    honest = outcomes()
    scores = np.where(np.arange(len(honest.scores)) % 10 == 0, np.nan, honest.scores)
    found = performance.measure(learned(), SETTINGS, Outcomes(honest.asked, scores, honest.labels, honest.ripe), UNTIL)
    assert found.rows == 28 * 45


def test_a_regression_that_errs_to_one_side_is_an_alarm() -> None:
    honest = outcomes()
    values = np.where(np.isfinite(honest.labels), honest.scores * 10, np.nan)
    biased = Outcomes(honest.asked, honest.scores * 10 + 3, values, honest.ripe)
    spread = learned("regression")
    found = performance.measure(spread, SETTINGS, biased, UNTIL)
    assert found.measures["bias"].value == pytest.approx(3 / spread.spread)
    assert "mean error in standard deviations" in performance.alarms(found, SETTINGS, spread.base)[0].message


@pytest.mark.parametrize(
    ("value", "low", "is_one"), [(0.02, 0.005, True), (0.02, -0.005, False), (0.005, 0.001, False)]
)
def test_a_shadow_that_loses_less_is_an_alarm_when_that_counts_and_is_sure(
    value: float, low: float, is_one: bool
) -> None:
    found = Performance(START, UNTIL, measures={"regret": metrics.Interval(value, low, 0.03)})
    assert bool(performance.alarms(found, SETTINGS, 0.25)) is is_one
