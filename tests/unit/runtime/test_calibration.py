from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from mlplat.runtime import calibration
from mlplat.runtime.metrics import Floats
from mlplat.spec.project import CostSpec

SCORES = st.one_of(st.floats(0, 1, width=16), st.sampled_from([0.3, float(np.nextafter(0.3, 1)), 0.0, 1.0]))
COSTS = st.sampled_from([0.1, 1.0, 3.0, 50.0])


def cost(labels: Floats, called: NDArray[np.bool_], costs: CostSpec) -> float:
    return float(costs.missed * (labels * ~called).sum() + costs.false_alarm * ((1 - labels) * called).sum())


@given(st.lists(st.tuples(st.sampled_from([0.0, 1.0]), SCORES), min_size=1, max_size=25), COSTS, COSTS)
def test_no_other_threshold_costs_less(rows: list[tuple[float, float]], missed: float, false_alarm: float) -> None:
    labels, scores = np.array(rows).T
    costs = CostSpec(missed=missed, false_alarm=false_alarm)
    found = cost(labels, scores >= calibration.threshold(labels, scores, costs), costs)
    tried = [*scores, np.nextafter(scores.max(), np.inf)]
    assert found == pytest.approx(min(cost(labels, scores >= one, costs) for one in tried))


@pytest.mark.parametrize(("missed", "false_alarm"), [(1e6, 1.0), (1.0, 1e6)])
def test_a_last_digit_of_a_score_decides_no_label(missed: float, false_alarm: float) -> None:
    source = np.random.default_rng(0)
    scores = source.random(500)
    labels = (source.random(500) < 0.5).astype(np.float64)
    found = calibration.threshold(labels, scores, CostSpec(missed=missed, false_alarm=false_alarm))
    for other in (np.nextafter(scores, np.inf), np.nextafter(scores, -np.inf)):
        assert np.array_equal(other >= found, scores >= found)


def test_a_dear_miss_lowers_the_threshold_and_a_dear_alarm_raises_it() -> None:
    source = np.random.default_rng(0)
    scores = source.random(2000)
    labels = (source.random(2000) < scores).astype(np.float64)
    found = [
        calibration.threshold(labels, scores, CostSpec(missed=m, false_alarm=f)) for m, f in [(9, 1), (1, 1), (1, 9)]
    ]
    assert found == pytest.approx([0.1, 0.5, 0.9], abs=0.08)


def test_calibration_mends_probabilities_that_are_too_low_and_keeps_their_order() -> None:
    source = np.random.default_rng(1)
    rows = pd.DataFrame({"x": source.normal(size=4000)})
    labels = (source.random(4000) < 1 / (1 + np.exp(-2 * rows["x"].to_numpy()))).astype(np.float64)
    model = LogisticRegression(C=1e-4).fit(rows, labels)
    model.intercept_ -= 2
    made = calibration.calibrate(model, rows, labels)
    before, after = (one.predict_proba(rows)[:, 1] for one in (model, made))
    assert abs(before.mean() - labels.mean()) > 0.2
    assert after.mean() == pytest.approx(labels.mean(), abs=0.005)
    assert np.array_equal(np.argsort(before, kind="stable"), np.argsort(after, kind="stable"))


def test_the_line_of_probabilities_says_how_they_are_off() -> None:
    source = np.random.default_rng(2)
    odds = source.normal(size=40_000)
    labels = (source.random(40_000) < 1 / (1 + np.exp(-(0.5 * odds - 1)))).astype(np.float64)
    # Too sure of itself by half, and too high by a whole log odd.
    found = calibration.line(labels, 1 / (1 + np.exp(-odds)))
    assert (found.slope, found.intercept) == pytest.approx((0.5, -1.0), abs=0.05)
    honest = calibration.line(labels, 1 / (1 + np.exp(-(0.5 * odds - 1))))
    assert (honest.slope, honest.intercept) == pytest.approx((1.0, 0.0), abs=0.08)
    flat = calibration.line(labels, np.full(40_000, 0.9))
    assert (flat.slope, flat.intercept) == pytest.approx((0.0, np.log(labels.mean() / (1 - labels.mean()))))


def test_lines_after_calibration_come_from_days_that_it_has_not_seen() -> None:
    """Twenty days of pure chance: a sigmoid that was judged on its own days would look right there."""
    source = np.random.default_rng(3)
    rows = pd.DataFrame({"x": source.normal(size=2000)})
    days = np.repeat(np.arange(20), 100)
    labels = (source.random(2000) < 1 / (1 + np.exp(-2 * rows["x"].to_numpy()))).astype(np.float64)
    model = LogisticRegression(C=1e-4).fit(rows, labels)
    found = calibration.lines(model, rows, labels, days)
    assert found["before"].slope > 2
    assert found["after"].slope == pytest.approx(1, abs=0.15)
    assert found["after"].slope != pytest.approx(1, abs=1e-6)
    assert calibration.lines(model, rows, (days % 2).astype(np.float64), days) == {}
