"""What a graph answers is what scikit-learn answers, piece by piece; what it cannot be sure of it refuses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_transformer
from sklearn.ensemble import (
    ExtraTreesClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    RobustScaler,
    StandardScaler,
    TargetEncoder,
)
from sklearn.tree import DecisionTreeClassifier

from mlplat.bundle import NULL_TEXT, UNKNOWN_TEXT, Contract
from mlplat.runtime import bundles, calibration, onnx_export, onnx_graph
from mlplat.serving.columns import Columns, Schema
from mlplat.serving.engines import OnnxEngine
from mlplat.serving.tabulated import Unsupported

Answers = Callable[[Any, pd.DataFrame], OnnxEngine]
TEXTS, NUMBERS = ["carrier", "gate"], ["hour", "seats", "wind", "holiday"]
EXACT = 1e-12


@pytest.fixture(scope="module")
def flights() -> pd.DataFrame:
    """Rows with each kind of column, nulls in those that may have them."""
    source = np.random.default_rng(5)
    count = 1500
    frame = pd.DataFrame(
        {
            "carrier": source.choice(["AA", "B6", "UA", "é"], count),
            "gate": source.choice(np.array(["1", "2", None], dtype=object), count),
            "hour": source.integers(5, 24, count),
            "seats": np.where(source.random(count) < 0.1, np.nan, source.integers(50, 300, count)),
            "wind": np.where(source.random(count) < 0.1, np.nan, source.normal(10, 4, count)),
            "holiday": source.random(count) < 0.1,
        }
    )
    frame["seats"] = frame["seats"].astype("Int64")
    return frame


@pytest.fixture(scope="module")
def served(flights: pd.DataFrame) -> pd.DataFrame:
    return as_served(flights)


def as_served(frame: pd.DataFrame) -> pd.DataFrame:
    schema = Schema(bundles.columns_of(frame))
    return schema.to_frame(schema.from_frame(frame))


@pytest.fixture(scope="module")
def labels(served: pd.DataFrame) -> np.ndarray[Any, np.dtype[np.int64]]:
    odds = served["hour"] / 8 + (served["carrier"] == "B6") + served["wind"].fillna(10) / 8 + served["gate"].isna() - 4
    return np.asarray(np.random.default_rng(1).random(len(served)) < 1 / (1 + np.exp(-odds)), dtype=np.int64)


@pytest.fixture
def engine(tmp_path: Path) -> Answers:
    """Return what makes an engine of an estimator over a frame's columns."""

    def make(estimator: Any, frame: pd.DataFrame) -> OnnxEngine:
        columns = bundles.columns_of(frame)
        binary = hasattr(estimator, "predict_proba")
        path = tmp_path / "model.onnx"
        path.write_bytes(onnx_graph.export(estimator, columns, binary=binary))
        contract = Contract(
            project="tests",
            model="late",
            task="binary" if binary else "regression",
            columns=columns,
            classes=(0, 1) if binary else (),
            frame=onnx_graph.takes_columns(columns),
            null_text=NULL_TEXT,
        )
        return OnnxEngine(path, contract)

    return make


def trees_over(texts: Any, model: Any) -> Any:
    return make_pipeline(make_column_transformer((texts, TEXTS), ("passthrough", NUMBERS)), model)


def ordinal(**more: Any) -> OrdinalEncoder:
    known: dict[str, Any] = {"handle_unknown": "use_encoded_value", "unknown_value": -1, "encoded_missing_value": -2}
    return OrdinalEncoder(**(known | more))


def lines_over(*steps: Any, model: Any) -> Any:
    texts = OneHotEncoder(handle_unknown="ignore")
    return make_pipeline(make_column_transformer((texts, [*TEXTS, "seats"]), (make_pipeline(*steps), NUMBERS)), model)


MEDIAN = SimpleImputer(strategy="median", add_indicator=True)
PIPELINES = {
    "boosting": trees_over(ordinal(min_frequency=50), HistGradientBoostingClassifier(max_iter=30)),
    "boosted counts": trees_over(ordinal(), HistGradientBoostingRegressor(loss="poisson", max_iter=20)),
    "boosted numbers": trees_over(ordinal(), HistGradientBoostingRegressor(max_iter=20)),
    "forest": trees_over(ordinal(), RandomForestClassifier(20, min_samples_leaf=3)),
    "forest of numbers": trees_over(TargetEncoder(), RandomForestRegressor(20, min_samples_leaf=3)),
    "tree": trees_over(ordinal(), DecisionTreeClassifier(max_depth=4)),
    "logistic": lines_over(MEDIAN, StandardScaler(), model=LogisticRegression(max_iter=1000)),
    "ridge": lines_over(SimpleImputer(), RobustScaler(), model=Ridge()),
    "scaled": lines_over(SimpleImputer(), MaxAbsScaler(), FunctionTransformer(), model=Ridge()),
}


def expected(estimator: Any, table: Any) -> Any:
    return estimator.predict_proba(table)[:, 1] if hasattr(estimator, "predict_proba") else estimator.predict(table)


def every(frame: pd.DataFrame) -> tuple[Columns, pd.DataFrame]:
    """Return rows and what else a contract allows, as columns and as a frame."""
    schema = Schema(bundles.columns_of(frame))
    columns = onnx_export.trial(schema, schema.from_frame(frame))
    return columns, schema.to_frame(columns)


@pytest.mark.parametrize("kind", PIPELINES)
def test_a_graph_answers_as_the_pipeline(
    kind: str, flights: pd.DataFrame, served: pd.DataFrame, labels: Any, engine: Answers
) -> None:
    fitted = PIPELINES[kind].fit(served, labels)
    columns, table = every(flights)
    np.testing.assert_allclose(engine(fitted, flights).score(columns), expected(fitted, table), rtol=EXACT, atol=EXACT)


@pytest.mark.parametrize("kind", ["boosting", "forest", "logistic"])
def test_a_graph_answers_as_the_calibrated_pipeline(
    kind: str, flights: pd.DataFrame, served: pd.DataFrame, labels: Any, engine: Answers
) -> None:
    fitted = calibration.calibrate(PIPELINES[kind].fit(served, labels), served, labels)
    columns, table = every(flights)
    np.testing.assert_allclose(engine(fitted, flights).score(columns), expected(fitted, table), rtol=EXACT, atol=EXACT)


@pytest.mark.parametrize(
    "model",
    [
        HistGradientBoostingClassifier(max_iter=10),
        ExtraTreesClassifier(10),
        make_pipeline(StandardScaler(), LogisticRegression()),
        make_pipeline(make_column_transformer((StandardScaler(), ["b"]), ("passthrough", ["a"])), LogisticRegression()),
    ],
    ids=["boosting", "forest", "array pipeline", "some columns in another order"],
)
def test_numbers_alone_are_taken_as_one_tensor(model: Any, engine: Answers) -> None:
    frame = pd.DataFrame(np.random.default_rng(2).normal(size=(400, 3)), columns=["a", "b", "c"])
    fitted = model.fit(frame, (frame["a"] > frame["b"]).astype(int))
    found = engine(fitted, frame)
    assert found.form == "array"
    answers = found.score(Schema(bundles.columns_of(frame)).from_frame(frame))
    np.testing.assert_allclose(answers, expected(fitted, frame), rtol=EXACT, atol=EXACT)


@pytest.mark.parametrize("model", [HistGradientBoostingRegressor(max_iter=5), RandomForestRegressor(5)], ids=str)
def test_rows_on_a_split_and_beside_it_go_where_scikit_learn_sends_them(model: Any, engine: Answers) -> None:
    # Above 2**24 float32 has no odd numbers: it would send half of these rows the other way.
    ids = pd.DataFrame({"id": np.arange(2**30, 2**30 + 400, dtype=np.float64)})
    jumps = np.random.default_rng(0).normal(size=400)
    fitted = model.fit(ids, jumps)
    if isinstance(model, HistGradientBoostingRegressor):
        nodes = np.concatenate([tree.nodes[tree.nodes["is_leaf"] == 0] for (tree,) in fitted._predictors])
        splits = nodes["num_threshold"]
    else:
        splits = np.concatenate([one.tree_.threshold[one.tree_.feature >= 0] for one in fitted.estimators_])
    near = np.concatenate([ids["id"], splits, np.nextafter(splits, -np.inf), np.nextafter(splits, np.inf)])
    wanted = fitted.predict(pd.DataFrame({"id": near}))
    np.testing.assert_allclose(engine(fitted, ids).score({"id": near}), wanted, rtol=EXACT)
    if isinstance(model, HistGradientBoostingRegressor):
        rounded = fitted.predict(pd.DataFrame({"id": near.astype(np.float32).astype(np.float64)}))
        assert np.abs(rounded - wanted).max() > 0.01


def test_trees_without_a_split_answer(engine: Answers) -> None:
    frame = pd.DataFrame({"a": np.arange(30.0)})
    for model in (HistGradientBoostingRegressor(min_samples_leaf=30), RandomForestRegressor(3, max_depth=1)):
        fitted = model.fit(frame, np.full(30, 7.5))
        assert engine(fitted, frame).score({"a": np.array([1.0, np.nan, 1e9])[:1]}).tolist() == [7.5]


def test_a_null_is_no_text_and_no_text_is_a_null(flights: pd.DataFrame, served: pd.DataFrame, engine: Answers) -> None:
    far = ordinal(encoded_missing_value=50)  # so that splits lie between a null, `2`, and a text never seen
    labels = np.where(served["gate"].isna(), np.arange(len(served)) % 2, served["gate"] == "2")
    fitted = trees_over(far, HistGradientBoostingClassifier(max_iter=10)).fit(served, labels)
    texts = [None, "2", NULL_TEXT, UNKNOWN_TEXT, "nan", "None", "", "2\0", "\0"]
    rows = pd.concat([served.iloc[[0]]] * len(texts), ignore_index=True)
    rows["gate"] = pd.Series([np.nan if text is None else text for text in texts], dtype=object)
    found = engine(fitted, flights).score(Schema(bundles.columns_of(flights)).from_frame(rows))
    np.testing.assert_allclose(found, fitted.predict_proba(rows)[:, 1], rtol=EXACT)
    null, known, *unknown = found.tolist()
    assert 0.2 < null < 0.8 < known
    assert max(unknown) < 0.2


@pytest.mark.parametrize("value", [4e38, -4e38])
def test_what_a_forest_cannot_hold_has_no_answer(value: float, engine: Answers) -> None:
    frame = pd.DataFrame({"a": np.arange(40.0), "b": np.arange(40.0)})
    fitted = RandomForestClassifier(5).fit(frame, np.arange(40) > 20)
    found = engine(fitted, frame).score({"a": np.array([1.0, value]), "b": np.array([1.0, 1.0])})
    assert np.isfinite(found).tolist() == [True, False]
    with np.errstate(over="ignore"), pytest.raises(ValueError, match="too large for dtype"):
        fitted.predict(pd.DataFrame({"a": [value], "b": [1.0]}))


REFUSED = {
    "MLPClassifier": lambda: make_pipeline(
        make_column_transformer((ordinal(), TEXTS), (SimpleImputer(), NUMBERS)),
        MLPClassifier(max_iter=2000, random_state=0),  # one that is not done by then warns, and that is an error
    ),
    "PolynomialFeatures": lambda: lines_over(SimpleImputer(), PolynomialFeatures(), model=Ridge()),
    "categorical splits": lambda: trees_over(ordinal(), HistGradientBoostingClassifier(categorical_features=[0])),
    "`carrier` holds texts, and no encoder takes it": lambda: make_pipeline(
        FunctionTransformer(), make_column_transformer((ordinal(), TEXTS)), HistGradientBoostingClassifier()
    ),
    "calibration by isotonic": lambda: CalibratedClassifierCV(
        FrozenEstimator(trees_over(ordinal(), HistGradientBoostingClassifier(max_iter=2))), method="isotonic"
    ),
    "more than one model": lambda: CalibratedClassifierCV(
        trees_over(ordinal(), HistGradientBoostingClassifier(max_iter=2)), cv=2
    ),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_a_piece_without_an_exact_form_is_refused_by_name(
    reason: str, flights: pd.DataFrame, served: pd.DataFrame, labels: Any
) -> None:
    estimator = REFUSED[reason]()
    if isinstance(estimator, CalibratedClassifierCV) and isinstance(estimator.estimator, FrozenEstimator):
        estimator.estimator.estimator.fit(served, labels)
    fitted = estimator.fit(served, labels)
    with pytest.raises(Unsupported, match=reason):
        onnx_graph.export(fitted, bundles.columns_of(flights), binary=True)


def test_more_than_two_classes_are_refused(served: pd.DataFrame, flights: pd.DataFrame) -> None:
    fitted = trees_over(ordinal(), RandomForestClassifier(2)).fit(served, np.arange(len(served)) % 3)
    with pytest.raises(Unsupported, match="more than one answer"):
        onnx_graph.export(fitted, bundles.columns_of(flights), binary=True)


@pytest.mark.parametrize(
    ("name", "reason"), [("probabilities", "as the graph's answer is"), ("/0", "no tensor may be")]
)
def test_a_column_that_would_be_taken_for_another_tensor_is_refused(name: str, reason: str) -> None:
    frame = pd.DataFrame({"text": ["a", "b"] * 20, name: np.arange(40.0)})
    made = make_column_transformer((ordinal(), ["text"]), ("passthrough", [name]))
    fitted = make_pipeline(made, RandomForestClassifier(2)).fit(frame, np.arange(40) > 20)
    with pytest.raises(Unsupported, match=reason):
        onnx_graph.export(fitted, bundles.columns_of(frame), binary=True)


def test_a_category_that_stands_for_a_null_is_refused() -> None:
    frame = pd.DataFrame({"text": ["a", NULL_TEXT] * 20})
    fitted = make_pipeline(make_column_transformer((ordinal(), ["text"])), RandomForestClassifier(2))
    with pytest.raises(Unsupported, match="keeps for itself"):
        onnx_graph.export(fitted.fit(frame, np.arange(40) > 20), bundles.columns_of(frame), binary=True)


def test_the_same_model_is_the_same_bytes(flights: pd.DataFrame, served: pd.DataFrame, labels: Any) -> None:
    fitted = PIPELINES["boosting"].fit(served, labels)
    columns = bundles.columns_of(flights)
    assert onnx_graph.export(fitted, columns, binary=True) == onnx_graph.export(fitted, columns, binary=True)
