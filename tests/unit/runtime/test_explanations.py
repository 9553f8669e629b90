from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlplat.bundle import Column, Contract
from mlplat.errors import UsageError
from mlplat.runtime import bundles, explanations
from mlplat.runtime.explanations import Rows
from mlplat.serving.columns import Columns, Schema
from mlplat.serving.model import Model
from mlplat.spec.project import ProjectSpec

MakeSpec = Callable[..., ProjectSpec]
ROWS, DAYS = 1200, 30


class Formula:
    """An engine that computes a formula of columns."""

    form = "columns"

    def __init__(self, formula: Callable[[Columns], Any]) -> None:
        self.formula = formula

    def score(self, columns: Columns) -> Any:
        return np.asarray(self.formula(columns), dtype=np.float64)


def model(columns: tuple[Column, ...], formula: Callable[[Columns], Any], task: Any = "binary") -> Model:
    classes = (0, 1) if task == "binary" else ()
    contract = Contract(project="tests", model="late", task=task, columns=columns, classes=classes)
    return Model(Path(), "sha256:0", contract, Schema(columns), Formula(formula))


@pytest.fixture(scope="module")
def rows() -> Rows:
    source = np.random.default_rng(8)
    known = source.normal(size=ROWS)
    features = pd.DataFrame(
        {
            "known": known,
            "copy": known,
            "noise": source.normal(size=ROWS),
            "text": source.choice(["a", "b"], ROWS, p=[0.97, 0.03]),
        }
    )
    labels = (source.random(ROWS) < 1 / (1 + np.exp(-2 * known))).astype(float)
    return Rows(features, labels, np.repeat(np.arange(DAYS), ROWS // DAYS))


def logistic(*names: str) -> Callable[[Columns], Any]:
    return lambda columns: 1 / (1 + np.exp(-sum(columns[name] for name in names)))


def explained(spec: ProjectSpec, found: Model, rows: Rows) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the whole document, and what each column and group is worth by its name."""
    document = explanations.explain(spec, found, rows)
    return document, {each["name"]: each for each in [*document["columns"], *document["groups"]]}


def test_what_a_model_never_looks_at_is_worth_nothing(make_spec: MakeSpec, rows: Rows) -> None:
    found = model(bundles.columns_of(rows.features), logistic("known"))
    document, worth = explained(make_spec(), found, rows)
    assert document["columns"][0]["name"] == "known"
    assert worth["known"]["low"] > 0.1
    for name in ("copy", "noise", "text"):
        assert (worth[name]["value"], worth[name]["low"], worth[name]["high"]) == (0, 0, 0)
    assert document["digest"] == found.digest


def test_columns_that_cover_for_each_other_show_when_shuffled_together(make_spec: MakeSpec, rows: Rows) -> None:
    spec = make_spec(data__features={"both": {"columns": ["known", "copy"]}, "alone": {"columns": ["noise"]}})
    document, worth = explained(spec, model(bundles.columns_of(rows.features), logistic("known", "copy")), rows)
    assert [each["columns"] for each in document["groups"]] == [["known", "copy"]]
    assert worth["both.*"]["value"] > worth["known"]["value"] + worth["copy"]["value"]


def test_an_error_that_grows_is_worth_as_much_as_it_grows(make_spec: MakeSpec, rows: Rows) -> None:
    exact = Rows(rows.features, rows.features["known"].to_numpy() * 3, rows.blocks)
    found = model(bundles.columns_of(rows.features), lambda columns: 3 * columns["known"], "regression")
    _, worth = explained(make_spec(task="regression"), found, exact)
    # A shuffled copy of a variable of standard deviation 3 is √2 of that away.
    assert worth["known"]["value"] == pytest.approx(3 * np.sqrt(2), rel=0.1)


def test_the_same_rows_are_always_explained_alike_and_never_more_than_asked_for(
    make_spec: MakeSpec, rows: Rows
) -> None:
    spec = make_spec(explanations__rows=400)
    found = model(bundles.columns_of(rows.features), logistic("known", "noise"))
    first = explanations.explain(spec, found, rows)
    assert first == explanations.explain(spec, found, rows)
    assert (first["rows"], first["of"]) == (400, ROWS)
    assert len(np.unique(rows.evenly(400).blocks)) == DAYS


def test_a_slice_is_measured_on_its_own_rows_and_left_out_where_they_are_few(make_spec: MakeSpec, rows: Rows) -> None:
    spec = make_spec(explanations__slices=["text"])
    found = model(
        bundles.columns_of(rows.features), lambda columns: logistic("known")(columns) * (columns["text"] == "a")
    )
    common, rare = explanations.explain(spec, found, rows)["slices"]
    assert (common["value"], rare["value"]) == ("a", "b")
    assert common["rows"] + rare["rows"] == ROWS
    assert "left_out" not in common
    assert "rows of the rarer class, and 20 are needed" in rare["left_out"]


def test_numbers_are_sliced_at_their_quarters() -> None:
    found = list(explanations.values_of(pd.Series(np.arange(100.0))))
    assert [int(mask.sum()) for _, mask in found] == [25, 25, 25, 25]
    assert np.sum([mask for _, mask in found], axis=0).tolist() == [1] * 100
    few = list(explanations.values_of(pd.Series([1, 1, 2, None])))
    assert [(value, mask.tolist()) for value, mask in few] == [
        ("1.0", [True, True, False, False]),
        ("2.0", [False, False, True, False]),
    ]


@pytest.mark.parametrize(
    ("days", "positives", "why"),
    [(5, 600, "5 days or groups, and 10 are needed"), (30, 3, "3 rows of the rarer class, and 20 are needed")],
)
def test_of_too_few_rows_nothing_is_said(make_spec: MakeSpec, rows: Rows, days: int, positives: int, why: str) -> None:
    labels = (np.arange(ROWS) < positives).astype(float)
    small = Rows(rows.features, labels, np.arange(ROWS) % days)
    document = explanations.explain(make_spec(), model(bundles.columns_of(rows.features), logistic("known")), small)
    assert (document["left_out"], document["columns"]) == (why, [])


def test_who_wants_no_explanation_gets_none(make_spec: MakeSpec, rows: Rows) -> None:
    def never(_columns: Columns) -> Any:
        raise AssertionError("the model must not be asked")

    spec = make_spec(explanations__method="none")
    document = explanations.explain(spec, model(bundles.columns_of(rows.features), never), rows)
    assert document["left_out"] == "the project asks for none"


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")  # of matplotlib, while it is imported
def test_shap_shares_a_sum_out_among_its_parts(
    make_spec: MakeSpec, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")  # to compile takes longer than a hundred rows do
    spec = make_spec(task="regression", explanations__method="shap", explanations__rows=1000)

    def formula(columns: Columns) -> Any:
        return 2 * columns["known"] + 0.5 * columns["noise"] + 4 * (columns["text"] == "b")

    document, worth = explained(spec, model(bundles.columns_of(rows.features), formula, "regression"), rows)
    assert document["rows"] == 100
    asked = rows.evenly(100).features["known"].to_numpy()
    ordinary = asked[np.linspace(0, 99, explanations.BACKGROUND).astype(int)]
    assert worth["known"]["value"] == pytest.approx(np.abs(2 * (asked - ordinary.mean())).mean(), rel=1e-6)
    assert worth["copy"]["value"] == 0
    assert worth["text"]["value"] > 0


def test_shap_that_is_not_installed_is_said_before_a_run_begins(
    make_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "shap", None)
    explanations.check(make_spec(), ["a"])
    with pytest.raises(UsageError, match="the package `shap` is not installed") as caught:
        explanations.check(make_spec(explanations__method="shap"), ["a"])
    assert "requirements.in" in str(caught.value.hint)


def test_a_slice_of_no_column_is_said_before_a_run_begins(make_spec: MakeSpec) -> None:
    with pytest.raises(UsageError, match="the model has no column `orgin`"):
        explanations.check(make_spec(explanations__slices=["orgin"]), ["origin"])
