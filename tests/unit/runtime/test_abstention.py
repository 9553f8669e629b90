from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from mlplat.bundle import Contract
from mlplat.errors import SpecError
from mlplat.runtime import abstention, bundles, card
from mlplat.runtime.gate import Holdout
from mlplat.runtime.split import Window
from mlplat.runtime.steps import judgement, preparation, training
from mlplat.runtime.steps.preparation import Options
from mlplat.serving.explainer import Explainer
from mlplat.serving.model import load, withheld
from mlplat.spec.project import ProjectSpec, TrainingSpec

MakeSpec = Callable[..., ProjectSpec]
COSTS = st.floats(0.1, 50)
UNEXPLAINED: dict[str, Any] = {"left_out": "nobody asked", "columns": [], "groups": [], "slices": []}


def contract(spec: ProjectSpec, threshold: float = 0.5) -> Contract:
    known: dict[str, Any] = {"project": "tests", "model": "late", "task": "binary", "columns": (), "classes": (0, 1)}
    return Contract(**known, threshold=threshold, abstain=abstention.band(spec))


@given(COSTS, COSTS, st.floats(0.01, 0.99), st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_a_row_is_left_to_a_person_exactly_where_either_label_is_expected_to_cost_more(
    make_spec: MakeSpec, missed: float, false_alarm: float, share: float, scores: list[float]
) -> None:
    review = share * missed * false_alarm / (missed + false_alarm)
    spec = make_spec(cost__missed=missed, cost__false_alarm=false_alarm, cost__review=review)
    found = withheld(contract(spec), np.array(scores))
    for score, left in zip(scores, found, strict=True):
        cheaper = min(score * missed, (1 - score) * false_alarm)
        if cheaper != pytest.approx(review):  # at the ends both are as good
            assert left == (cheaper > review)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"cost__review": 0.5}, "no label is expected to cost more than 0.5"),
        ({"cost__review": 0.9, "cost__missed": 9}, "no label is expected to cost more than 0.9"),
        ({"serving__abstain": {"low": 0.6, "high": 0.6}}, "low must be below high"),
        ({"task": "regression", "cost__review": 0.2}, "cost.review: a regression has no label"),
        ({"task": "regression", "serving__abstain": {"low": 0.4, "high": 0.6}}, "serving.abstain: a regression"),
        ({"task": "regression", "gate__min_coverage": 0.8}, "gate.min_coverage: a regression has no label"),
    ],
)
def test_a_band_that_cannot_be_meant_is_refused(make_spec: MakeSpec, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError, match=said):
        make_spec(**settings)


def test_a_band_that_is_given_outright_goes_before_the_costs(make_spec: MakeSpec) -> None:
    spec = make_spec(cost__review=0.2, serving__abstain={"low": 0.45, "high": 0.5})
    band = abstention.band(spec)
    assert band is not None
    assert (band.low, band.high) == (0.45, 0.5)
    assert abstention.band(make_spec()) is None


def test_the_report_holds_what_the_rows_cost(make_spec: MakeSpec) -> None:
    source = np.random.default_rng(4)
    scores = source.beta(1.2, 2, 3000)
    labels = (source.random(3000) < scores).astype(np.float64)
    spec = make_spec(cost__missed=2, cost__review=0.3)
    holdout = Holdout(labels, np.arange(3000) // 100, 0.4)
    found = abstention.measured(spec, contract(spec, 0.4), holdout, scores)["abstention"]

    left = (scores >= 0.15) & (scores < 0.7)
    called = scores >= 0.4
    forced = 2 * labels * ~called + (1 - labels) * called
    assert (found["low"], found["high"], found["rows"]) == (0.15, 0.7, left.sum())
    wanted = {
        "coverage": (~left).mean(),
        "cost_of_a_label": forced[~left].mean(),
        "worth_of_a_review": forced[left].mean(),
        "saved_per_row": forced.mean() - np.where(left, 0.3, forced).mean(),
    }
    assert {name: found[name]["value"] for name in wanted} == pytest.approx(wanted, abs=1e-6)
    # Of probabilities that mean what they say, a look pays for itself, and more than by chance.
    assert found["saved_per_row"]["low"] > 0
    assert found["worth_of_a_review"]["low"] > 0.3 > found["cost_of_a_label"]["high"]


def test_a_measure_of_no_rows_is_left_out(make_spec: MakeSpec) -> None:
    holdout = Holdout(np.tile([0.0, 1.0], 50), np.arange(100) // 10, 0.5)
    spec = make_spec(serving__abstain={"low": 0.3, "high": 0.7})
    inside = abstention.measured(spec, contract(spec), holdout, np.full(100, 0.5))["abstention"]
    assert inside["coverage"]["value"] == 0
    assert "cost_of_a_label" not in inside
    assert "saved_per_row" not in inside, "what a look costs is not known"
    outside = abstention.measured(spec, contract(spec), holdout, np.full(100, 0.9))["abstention"]
    assert (outside["coverage"]["value"], "worth_of_a_review" in outside) == (1, False)
    assert abstention.measured(make_spec(), contract(make_spec()), holdout, np.full(100, 0.5)) == {}


def make(_settings: TrainingSpec, _task: str, _texts: Sequence[str], numbers: Sequence[str]) -> Any:
    columns = make_column_transformer((SimpleImputer(), list(numbers)))
    return make_pipeline(columns, LogisticRegression(max_iter=1000))


def test_what_is_trained_carries_its_band_and_what_explains_it_and_its_card_says_so(
    make_spec: MakeSpec, rows: pd.DataFrame, tmp_path: Path
) -> None:
    asked = {"cost__missed": 50, "cost__review": 0.25, "gate__min_coverage": 0.995}
    spec = make_spec(gate__resamples=100, explanations__route=True, **asked)
    prepared = preparation.prepare(spec, Options(Window("2013-05-01")), rows)
    trained = training.train(spec, prepared, make)
    report = judgement.judge(spec, prepared, trained)
    model = load(bundles.unpack(trained.packed, tmp_path / "model"))
    band = model.contract.abstain
    assert band is not None
    assert (band.low, band.high) == (0.005, 0.75)
    assert trained.threshold is not None
    assert band.low <= trained.threshold <= band.high
    scores = model.score(prepared.features.iloc[prepared.split.holdout])
    assert report["abstention"]["rows"] == withheld(model.contract, scores).sum() > 0
    told = card.Run(spec, model.contract, model.digest, report, prepared.split.described(), UNEXPLAINED, {}, {})
    for page in (card.markdown, card.html):
        assert "gives no label and leaves the row to a person, whose look costs 0.25" in page(told)
        assert "worth of a review" in page(told)
        assert "share of rows that get a label: the interval" in page(told)
    (refused,) = [rule for rule in report["rules"] if not rule["passed"]]
    assert refused["name"] == "coverage_floor"
    assert refused["measured"].startswith(f"{report['abstention']['coverage']['value']:.3f} [")

    # And what its answers will be explained with: rows that it learned from, whichever format it is served in.
    assert model.contract.explaining is not None
    assert model.contract.explaining.budget_ms == spec.explanations.route_budget_ms
    explainer = Explainer(model, model.contract.explaining)
    hours = explainer.background["hour"]
    learned = prepared.features.iloc[prepared.split.train]
    assert len(hours) == bundles.BACKGROUND
    assert set(hours) <= set(learned["hour"])
    assert [hours[0], hours[-1]] == [learned["hour"].iloc[0], learned["hour"].iloc[-1]]
