"""A graph is served only when it answers as the trained model does, and a model always with its reason."""

from __future__ import annotations

import copy
import dataclasses
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

from mlplat.bundle import NULL_TEXT, Column, Contract, digest
from mlplat.runtime import bundles, onnx_export, onnx_graph
from mlplat.runtime.onnx_export import Parity
from mlplat.serving.columns import Schema
from mlplat.serving.model import Model, load

FEATURES = ["carrier", "hour", "wind", "holiday"]


@dataclasses.dataclass
class Case:
    """A trained model, written as skops."""

    written: Model
    estimator: Any
    rows: pd.DataFrame


@pytest.fixture(scope="module")
def case(rows: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Case:
    columns = bundles.columns_of(rows[FEATURES])
    schema = Schema(columns)
    texts = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    transformer = make_column_transformer((texts, ["carrier"]), ("passthrough", FEATURES[1:]))
    fitted = make_pipeline(transformer, HistGradientBoostingClassifier(max_iter=10))
    fitted.fit(schema.to_frame(schema.from_frame(rows)), rows["y"])
    contract = Contract(project="tests", model="late", task="binary", columns=columns, classes=(0, 1), threshold=0.4)
    written = bundles.write(tmp_path_factory.mktemp("export") / "skops", fitted, contract, rows)
    return Case(written, fitted, rows)


def chosen(case: Case, folder: Path, wish: onnx_export.Wish = "auto") -> tuple[Model, onnx_export.Choice]:
    return onnx_export.choose(wish, case.written, case.estimator, case.rows, folder)


def test_a_graph_that_answers_alike_is_served_from_its_own_bundle(case: Case, tmp_path: Path) -> None:
    model, choice = chosen(case, tmp_path / "onnx")
    assert (choice.format, model.contract.format, model.contract.file) == ("onnx", "onnx", "model.onnx")
    assert choice.parity is not None
    assert choice.parity.real_rows == len(case.rows)
    assert (choice.parity.flips, choice.parity.problem()) == (0, None)
    assert "as the trained model does" in choice.reason
    again = load(tmp_path / "onnx", digest=model.digest)
    np.testing.assert_allclose(again.score(case.rows), case.written.score(case.rows), rtol=1e-12)
    assert {"onnx", "onnxruntime", "scikit-learn"} <= set(again.contract.environment)
    assert again.contract.null_text == NULL_TEXT
    assert again.contract.threshold == 0.4
    assert [one.row for one in again.contract.examples] == [one.row for one in case.written.contract.examples]
    assert digest(case.written.folder) == case.written.digest, "the first bundle is as it was"


def test_mlflow_reads_a_bundle_with_a_graph_in_both_of_its_flavors(case: Case, tmp_path: Path) -> None:
    import mlflow.onnx
    import onnx

    model, _ = chosen(case, tmp_path / "onnx")
    rows = case.rows[FEATURES].astype({"hour": "float64"})
    found = mlflow.pyfunc.load_model(str(model.folder)).predict(rows)
    np.testing.assert_allclose(found[:, 1], model.score(case.rows), rtol=1e-12)
    graph = mlflow.onnx.load_model(str(model.folder))
    assert graph == onnx.load(model.folder / "model.onnx")


def test_skops_is_served_without_a_try_where_it_is_asked_for(case: Case, tmp_path: Path) -> None:
    model, choice = chosen(case, tmp_path / "onnx", "skops")
    assert (model, choice.format, choice.reason) == (case.written, "skops", "mlplat.yaml asks for skops")
    assert not list(tmp_path.iterdir())


def planted(monkeypatch: pytest.MonkeyPatch, estimator: Any) -> None:
    """Make the graph that of another model."""
    made = onnx_graph.export
    monkeypatch.setattr(onnx_graph, "export", lambda _, columns, binary: made(estimator, columns, binary=binary))


def test_a_graph_that_gives_other_labels_is_not_served(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = make_pipeline(make_column_transformer(("passthrough", ["hour"])), LogisticRegression())
    planted(monkeypatch, numbers.fit(case.rows[["hour"]], case.rows["y"]))
    model, choice = chosen(case, tmp_path / "onnx")
    assert (model, choice.format) == (case.written, "skops")
    assert choice.parity is not None
    assert choice.parity.flips > 0
    assert f"{choice.parity.flips} of {choice.parity.rows} rows get another label" in choice.reason


def test_a_graph_that_is_off_by_what_float32_leaves_is_not_served(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = copy.deepcopy(case.estimator)
    other[-1]._baseline_prediction = other[-1]._baseline_prediction + 1e-7
    planted(monkeypatch, other)
    model, choice = chosen(case, tmp_path / "onnx")
    assert (model, choice.format) == (case.written, "skops")
    assert choice.reason.startswith(("an answer differs by", "1 of"))


def unseen_elsewhere(estimator: Any) -> None:
    """Send a text that was never seen to the other end of the numbers."""
    estimator[0].named_transformers_["ordinalencoder"].unknown_value = 1000


def nulls_elsewhere(estimator: Any) -> None:
    """Send a null down the other branch of every split."""
    for (predictor,) in estimator[-1]._predictors:
        nodes = predictor.nodes.copy()
        nodes["missing_go_to_left"] = 1 - nodes["missing_go_to_left"]
        predictor.nodes = nodes


@pytest.mark.parametrize("change", [unseen_elsewhere, nulls_elsewhere])
def test_a_silent_fault_that_no_real_row_shows_is_found_by_planted_ones(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Any
) -> None:
    """Converters exist that are right on every row there is, and wrong by up to .98 on a null or an unseen category."""
    other = copy.deepcopy(case.estimator)
    change(other)
    real = case.rows.dropna()
    table = case.written.schema.to_frame(case.written.schema.from_frame(real))
    np.testing.assert_array_equal(other.predict_proba(table), case.estimator.predict_proba(table))
    planted(monkeypatch, other)
    model, choice = onnx_export.choose("auto", case.written, case.estimator, real, tmp_path / "onnx")
    assert (model, choice.format) == (case.written, "skops")
    assert choice.parity is not None
    assert choice.parity.rows > choice.parity.real_rows == len(real)
    assert choice.parity.problem() == choice.reason


def test_a_converters_error_is_cut_to_a_line(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> bytes:
        raise RuntimeError("the whole model:\n" + "node {}\n" * 40_000)

    monkeypatch.setattr(onnx_graph, "export", fail)
    model, choice = chosen(case, tmp_path / "onnx")
    assert model == case.written
    assert choice.reason.startswith("RuntimeError: the whole model: node")
    assert len(choice.reason) < 250
    assert "\n" not in choice.reason


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_a_package_that_is_not_there_is_named(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    for name in [name for name in sys.modules if name.startswith(f"{package}.")]:
        monkeypatch.delitem(sys.modules, name)
    model, choice = chosen(case, tmp_path / "onnx")
    assert model == case.written
    assert choice.reason == f"`{package}` is not installed where the model is trained"


def test_what_was_not_learned_from_is_tried_with_every_null_and_unseen_text() -> None:
    schema = Schema(
        [
            Column(name="text", type="string", nullable=True),
            Column(name="place", type="string"),
            Column(name="whole", type="long"),
            Column(name="seats", type="long", nullable=True),
            Column(name="number", type="double", nullable=True),
            Column(name="flag", type="boolean"),
        ]
    )
    row = {"text": "a", "place": "b", "whole": 1, "seats": 2, "number": 0.5, "flag": True}
    real = schema.from_rows([row] * 10)
    tried = schema.to_frame(onnx_export.trial(schema, real))
    nulls = tried.isna()
    assert (nulls["text"] & nulls["seats"] & nulls["number"]).any()
    for name in ("text", "seats", "number"):
        assert (nulls[name] & (nulls.sum(axis="columns") == 1)).any()
    assert not nulls[["place", "whole", "flag"]].any(axis=None)
    unseen = tried == bundles.UNSEEN
    assert (unseen["text"] & unseen["place"]).any()
    assert (tried["whole"] == 2**40 + 1).any()
    assert (tried["number"] == 1e30).any()
    assert tried["whole"].dtype == np.int64
    assert tried.iloc[:10].equals(schema.to_frame(real))


def test_rows_are_spread_evenly_and_none_is_lost_below_the_most() -> None:
    frame = pd.DataFrame({"a": np.arange(1000)})
    assert onnx_export.spread(frame, 1000).equals(frame)
    assert onnx_export.spread(frame, 4)["a"].tolist() == [0, 333, 666, 999]


@pytest.mark.parametrize(
    ("difference", "flips", "problem"),
    [(0.0, 0, None), (1e-9, 0, None), (2e-9, 0, "differs by 2e-09"), (np.nan, 0, "nan"), (0.0, 3, "3 of 100 rows")],
)
def test_parity_is_a_bound_on_every_row(difference: float, flips: int, problem: str | None) -> None:
    found = Parity(100, 90, difference, onnx_export.TOLERANCE, flips).problem()
    assert found is None if problem is None else problem in str(found)
