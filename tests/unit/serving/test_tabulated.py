"""A tabulated pipeline answers as the pipeline does, or is not used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import KBinsDiscretizer, OneHotEncoder, OrdinalEncoder, StandardScaler, TargetEncoder

from mlplat.bundle import Column
from mlplat.serving.columns import Schema
from mlplat.serving.model import load
from mlplat.serving.tabulated import UNSEEN, Unsupported, agree, probes, tabulate

SCHEMA = Schema(
    [
        Column(name="city", type="string", nullable=True),
        Column(name="kind", type="string"),
        Column(name="hour", type="long"),
        Column(name="warmth", type="double", nullable=True),
    ]
)


def table(rows: int = 300) -> pd.DataFrame:
    source = np.random.default_rng(1)
    frame = pd.DataFrame(
        {
            "city": source.choice(["a", "b", "c", "rare"], rows, p=[0.4, 0.3, 0.29, 0.01]),
            "kind": source.choice(["x", "y"], rows),
            "hour": source.integers(0, 24, rows),
            "warmth": source.normal(size=rows),
        }
    )
    frame.loc[::7, "city"] = None
    frame.loc[::5, "warmth"] = None
    return frame


FRAME = table()
TARGET = ((FRAME["hour"] > 12) ^ (FRAME["kind"] == "x")).astype(int)
TEXT = ["city", "kind"]
UNKNOWN = {"handle_unknown": "use_encoded_value", "unknown_value": -1}
ENCODERS: dict[str, Any] = {
    "ordinal": lambda: OrdinalEncoder(**UNKNOWN),
    "ordinal, null named": lambda: OrdinalEncoder(**UNKNOWN, encoded_missing_value=-2),
    "ordinal, rare together": lambda: OrdinalEncoder(**UNKNOWN, min_frequency=20),
    "one-hot": lambda: OneHotEncoder(handle_unknown="ignore"),
    "one-hot, rare together": lambda: OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=20),
    "one-hot, dense": lambda: OneHotEncoder(handle_unknown="ignore", sparse_output=False),
    "target": lambda: TargetEncoder(cv=3),
    "imputed": lambda: make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore")),
}


def fit(encoder: Any, model: Any, *, encoded: list[str] = TEXT) -> Pipeline:
    others = [name for name in SCHEMA.names if name not in encoded]
    columns = ColumnTransformer([("encoded", encoder, encoded), ("rest", "passthrough", others)])
    return Pipeline([("columns", columns), ("model", model)]).fit(FRAME, TARGET)


@pytest.mark.parametrize("encoder", ENCODERS.values(), ids=ENCODERS)
def test_encoders_are_looked_up_exactly(encoder: Any) -> None:
    fitted = fit(encoder(), HistGradientBoostingClassifier(max_iter=10))
    replaced, rows = tabulate(fitted, SCHEMA), probes(SCHEMA, fitted, [])
    want = fitted[0].transform(SCHEMA.to_frame(rows))
    want = want.toarray() if hasattr(want, "toarray") else want
    assert np.array_equal(replaced.steps[0][1].transform(rows), want.astype(np.float64), equal_nan=True)
    assert np.array_equal(replaced.predict_proba(rows), fitted.predict_proba(SCHEMA.to_frame(rows)))


def test_numbers_may_be_categories() -> None:
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    fitted = fit(encoder, HistGradientBoostingClassifier(max_iter=5), encoded=[*TEXT, "hour"])
    rows = probes(SCHEMA, fitted, [])
    assert agree(tabulate(fitted, SCHEMA).predict_proba(rows), fitted.predict_proba(SCHEMA.to_frame(rows)))


def test_imputers_and_scalers_are_their_arithmetic() -> None:
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    parts = [("n", numbers, ["warmth", "hour"]), ("t", OneHotEncoder(handle_unknown="ignore"), TEXT)]
    fitted = Pipeline([("columns", ColumnTransformer(parts)), ("model", LogisticRegression())]).fit(FRAME, TARGET)
    rows = probes(SCHEMA, fitted, [])
    assert agree(tabulate(fitted, SCHEMA).predict_proba(rows), fitted.predict_proba(SCHEMA.to_frame(rows)))


def test_a_calibrated_pipeline_is_tabulated_inside() -> None:
    inner = fit(OrdinalEncoder(**UNKNOWN), HistGradientBoostingClassifier(max_iter=10))
    fitted = CalibratedClassifierCV(FrozenEstimator(inner), method="sigmoid").fit(FRAME, TARGET)
    rows = probes(SCHEMA, fitted, [])
    assert np.array_equal(tabulate(fitted, SCHEMA).predict_proba(rows), fitted.predict_proba(SCHEMA.to_frame(rows)))


def test_the_given_pipeline_stays_as_it_was() -> None:
    fitted = fit(OrdinalEncoder(**UNKNOWN), HistGradientBoostingClassifier(max_iter=5))
    before = fitted.predict_proba(FRAME)
    tabulate(fitted, SCHEMA)
    assert np.array_equal(fitted.predict_proba(FRAME), before)


def test_another_piece_is_not_replaced() -> None:
    parts = [
        ("bins", KBinsDiscretizer(quantile_method="averaged_inverted_cdf"), ["hour"]),
        ("t", OrdinalEncoder(), ["kind"]),
    ]
    fitted = Pipeline([("c", ColumnTransformer(parts)), ("m", LogisticRegression())]).fit(FRAME, TARGET)
    with pytest.raises(Unsupported, match="KBinsDiscretizer"):
        tabulate(fitted, SCHEMA)


def test_probes_meet_null_and_unknown_values() -> None:
    fitted = fit(OrdinalEncoder(**UNKNOWN), HistGradientBoostingClassifier(max_iter=5))
    rows = probes(SCHEMA, fitted, [])
    cities = set(rows["city"].tolist())
    assert {"a", "rare", UNSEEN} <= cities
    assert any(city != city for city in cities)  # noqa: PLR0124 - NaN


@pytest.mark.parametrize("name", ["pipeline_bundle", "regression_bundle"])
def test_a_served_pipeline_is_tabulated(name: str, request: pytest.FixtureRequest) -> None:
    assert load(request.getfixturevalue(name)).engine.form == "columns"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_row_is_answered_as_the_pipeline_answers_it(pipeline_bundle: Path, data: st.DataObject) -> None:
    model, pipeline = load_once(pipeline_bundle)
    text, number = st.sampled_from(["AA", "B6", "BOS", "LAX", "", "?"]), st.floats(-1e9, 1e9)
    row = {
        "carrier": data.draw(st.none() | text),
        "destination": data.draw(text | st.text(max_size=3)),
        "hour": data.draw(st.integers(-(2**40), 2**40)),
        "seats": data.draw(st.none() | st.integers(0, 500)),
        "temperature": data.draw(st.none() | number),
        "distance": data.draw(number),
        "holiday": data.draw(st.booleans()),
    }
    columns = model.schema.from_rows([row])
    assert model.score_columns(columns)[0] == pipeline.predict_proba(model.schema.to_frame(columns))[0, 1]


_loaded: dict[Path, Any] = {}


def load_once(folder: Path) -> Any:
    if folder not in _loaded:
        model = load(folder)
        _loaded[folder] = model, skops.io.load(folder / "model.skops", trusted=list(model.contract.trusted_types))
    return _loaded[folder]
