from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from mlplat.bundle import Contract
from mlplat.errors import UsageError
from mlplat.runtime import bundles, onnx_export, preprocessing
from mlplat.runtime.preprocessing import Winsorizer
from mlplat.spec.preprocessing import SelectionSpec
from mlplat.spec.project import TrainingSpec

WHOLE: dict[str, Any] = {
    "winsorize": {"low": 0.05, "high": 0.95},
    "impute": "median",
    "scale": "robust",
}


def settings(family: str = "gradient_boosting", **preprocessing_: Any) -> TrainingSpec:
    return TrainingSpec().changed({"family": family, "rare_rows": 1, **_dotted(preprocessing_)})


def _dotted(values: dict[str, Any]) -> dict[str, Any]:
    return {f"preprocessing.{key}": value for key, value in values.items()}


def test_numbers_beyond_the_quantiles_count_as_them_and_nulls_stay() -> None:
    source = np.random.default_rng(0)
    learned = source.exponential(size=(500, 1))
    made = Winsorizer(0.1, 0.9).fit(learned)
    low, high = np.quantile(learned, [0.1, 0.9])
    asked = np.array([[-5.0], [low], [(low + high) / 2], [high], [1e9], [np.nan]])
    assert made.transform(asked).ravel() == pytest.approx([0, 0, 0.5, 1, 1, np.nan], nan_ok=True)


def test_a_column_that_is_nearly_always_zero_keeps_its_ends() -> None:
    """Rain: both quantiles are 0, and a cut to them would leave nothing of the column."""
    learned = np.zeros((1000, 1))
    learned[:3] = [[0.5], [1.0], [2.0]]
    made = Winsorizer(0.01, 0.99).fit(learned)
    assert made.transform(np.array([[0.0], [1.0], [2.0], [3.0]])).ravel() == pytest.approx([0, 0.5, 1, 1])


def test_a_column_without_any_value_is_no_failure() -> None:
    learned = np.full((10, 1), np.nan)
    assert np.isnan(Winsorizer().fit(learned).transform(learned)).all()


@pytest.mark.parametrize("encode", ["one_hot", "ordinal", "target"])
def test_what_is_prepared_is_served_exactly_and_by_scikit_learn_s_own_types_alone(
    rows: pd.DataFrame, encode: str, tmp_path: Any
) -> None:
    features, labels = rows[["carrier", "hour", "wind"]], rows["y"].to_numpy()
    chosen = settings(encode=encode, **WHOLE)
    prepare = preprocessing.transformer(chosen, "binary", ["carrier"], ["hour", "wind"])
    estimator = make_pipeline(prepare, LogisticRegression()).fit(features[:1500], labels[:1500])
    later = features[1500:]
    before = estimator.predict_proba(later)
    preprocessing.settle(estimator)
    assert np.array_equal(estimator.predict_proba(later), before)
    assert all(name.startswith(("sklearn.", "numpy.")) for name in bundles.trusted_types(estimator))
    contract = Contract(
        project="tests", model="late", task="binary", columns=bundles.columns_of(features), classes=(0, 1)
    )
    written = bundles.write(tmp_path / "skops", estimator, contract, later)
    _, served = onnx_export.choose("auto", written, estimator, later, tmp_path / "onnx")
    assert served.format == "onnx", served.reason


def test_bounds_are_learned_from_the_rows_that_are_fitted_on(rows: pd.DataFrame) -> None:
    prepare = preprocessing.transformer(settings(winsorize={}), "binary", [], ["wind"])
    later = rows[1500:].assign(wind=1e6)
    fitted = prepare.fit(rows[:1500])
    assert fitted.transform(later).max() == 1.0
    scaler = fitted.named_transformers_["number"][0]
    assert scaler.data_max_[0] == pytest.approx(rows["wind"][:1500].quantile(0.995))


def test_settled_parts_are_plain_everywhere_in_a_pipeline(rows: pd.DataFrame) -> None:
    prepare = preprocessing.transformer(settings(winsorize={}), "binary", [], ["wind"])
    estimator = make_pipeline(prepare).fit(rows)
    preprocessing.settle(estimator)
    kinds = {type(part) for part in preprocessing._parts(estimator)}
    assert MinMaxScaler in kinds
    assert Winsorizer not in kinds


def test_a_text_s_mean_is_learned_from_other_rows_and_an_unseen_text_gets_the_overall_one() -> None:
    """A column with a text for each row knows its label by heart where that label is among what it learned from."""
    source = np.random.default_rng(0)
    frame = pd.DataFrame({"id": [f"n{number % 300}" for number in range(600)]})
    labels = source.integers(0, 2, 600)
    prepare = preprocessing.transformer(settings(encode="target"), "binary", ["id"], [])
    learned = prepare.fit_transform(frame, labels).ravel()
    assert abs(np.corrcoef(learned, labels)[0, 1]) < 0.15
    assert np.array_equal(prepare.fit_transform(frame, labels).ravel(), learned), "the same at every fit"
    assert prepare.transform(pd.DataFrame({"id": ["never seen"]})).item() == pytest.approx(labels.mean())


def test_by_default_trees_take_numbers_as_they_are_and_linear_models_take_no_nulls(rows: pd.DataFrame) -> None:
    texts, numbers = ["carrier"], ["hour", "wind"]
    trees = preprocessing.transformer(settings(), "binary", texts, numbers).fit_transform(rows, rows["y"])
    assert np.array_equal(trees[:, 1:], rows[numbers].to_numpy(dtype=np.float64), equal_nan=True)
    linear = preprocessing.transformer(settings("linear"), "binary", texts, numbers).fit_transform(rows, rows["y"])
    assert not np.isnan(linear).any()
    # Three carriers, two numbers, and which of them were missing.
    assert linear.shape[1] == 6


def test_nulls_for_a_linear_model_are_refused_before_anything_is_fitted() -> None:
    with pytest.raises(UsageError, match="takes no nulls"):
        preprocessing.transformer(settings("linear", impute="none"), "binary", [], ["x"])


def test_each_column_that_goes_has_its_reason_and_of_two_alike_the_earlier_stays() -> None:
    source = np.random.default_rng(0)
    first = source.normal(size=400)
    frame = pd.DataFrame(
        {
            "one": 1.0,
            "first": first,
            "same": first,
            "near": first**3,
            "other": source.normal(size=400),
            "text": source.choice(["a", "b"], 400),
            "gone": np.where(np.arange(400) < 300, np.nan, first),
        }
    )
    frame["text2"] = frame["text"]
    wanted = SelectionSpec(constant=True, duplicate=True, max_missing=0.5, max_correlation=0.99)
    found = {each.column: each.reason for each in preprocessing.select(frame, wanted)}
    assert found == {
        "one": "has one value only",
        "same": "equals `first`",
        "near": "its ranks correlate with `first` at 1.000, and 0.99 is allowed",
        "gone": "75.0% are missing, and 50.0% may be",
        "text2": "equals `text`",
    }
    assert preprocessing.select(frame, SelectionSpec()) == ()
