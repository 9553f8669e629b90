from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder

from mlplat.bundle import Contract, digest, read_contract
from mlplat.errors import RefusedError, UsageError
from mlplat.runtime import bundles, calibration
from mlplat.serving.columns import Schema
from mlplat.serving.model import Model, load

FEATURES = ["carrier", "hour", "wind", "holiday"]


def pipeline(kind: str) -> Any:
    """Return a pipeline over texts, numbers, truth values and nulls."""
    numbers = ["hour", "wind", "holiday"]
    if kind == "trees":
        texts = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
        return make_pipeline(
            make_column_transformer((texts, ["carrier"]), ("passthrough", numbers)),
            HistGradientBoostingClassifier(max_iter=20),
        )
    texts = OneHotEncoder(handle_unknown="ignore")
    return make_pipeline(
        make_column_transformer((texts, ["carrier"]), (SimpleImputer(), numbers)),
        Ridge() if kind == "numbers" else LogisticRegression(max_iter=1000),
    )


def written(folder: Path, rows: pd.DataFrame, kind: str, classes: Sequence[Any]) -> tuple[Model, Any]:
    columns = bundles.columns_of(rows[FEATURES])
    features = Schema(columns).to_frame(Schema(columns).from_frame(rows[FEATURES]))
    labels = rows["y"].to_numpy(dtype=np.float64)
    estimator = pipeline(kind).fit(features, labels if kind == "numbers" else rows["y"])
    task: Any = "regression" if kind == "numbers" else "binary"
    if classes:
        estimator = calibration.calibrate(estimator, features, labels)
        estimator.classes_ = np.array(classes)
    contract = Contract(project="tests", model="late", task=task, columns=columns, classes=tuple(classes))
    return bundles.write(folder, estimator, contract, rows), estimator


KINDS: list[tuple[str, tuple[Any, ...]]] = [
    ("trees", (0, 1)),
    ("linear", (2, 10)),
    ("trees", ("no", "yes")),
    ("linear", (False, True)),
    ("numbers", ()),
]


@pytest.mark.parametrize(("kind", "classes"), KINDS, ids=str)
def test_what_is_loaded_answers_as_what_was_trained(
    tmp_path: Path, rows: pd.DataFrame, kind: str, classes: tuple[Any, ...]
) -> None:
    model, estimator = written(tmp_path / "model", rows, kind, classes)
    again = load(tmp_path / "model", digest=model.digest)
    frame = again.schema.to_frame(again.schema.from_frame(rows))
    wanted = estimator.predict_proba(frame)[:, 1] if classes else estimator.predict(frame)
    np.testing.assert_allclose(again.score(rows), wanted, rtol=1e-9)
    assert again.contract.classes == classes
    if classes:
        assert {answer["label"] for answer in again.predict(as_json(rows, again))} == set(classes)


def as_json(rows: pd.DataFrame, model: Model) -> list[dict[str, Any]]:
    return [bundles.plain(row) for row in rows[list(model.schema.names)].to_dict(orient="records")]


@pytest.mark.parametrize("kind", ["trees", "numbers"])
def test_examples_hold_a_null_and_an_unseen_category_and_their_answers(
    tmp_path: Path, rows: pd.DataFrame, kind: str
) -> None:
    model, _ = written(tmp_path / "model", rows, kind, () if kind == "numbers" else (0, 1))
    examples = model.contract.examples
    assert any(example.row["wind"] is None for example in examples)
    assert any(example.row["carrier"] == bundles.UNSEEN for example in examples)
    assert {type(example.row["hour"]) for example in examples} == {int}
    assert {type(example.row["holiday"]) for example in examples} == {bool}
    scores = model.score_columns(model.schema.from_rows([dict(example.row) for example in examples]))
    np.testing.assert_allclose(scores, [float(example.prediction) for example in examples])


def test_a_null_is_among_the_examples_even_when_no_given_row_has_one(rows: pd.DataFrame) -> None:
    contract = Contract(project="tests", model="late", task="regression", columns=bundles.columns_of(rows[FEATURES]))
    assert any(row["wind"] is None for row in bundles.examples(rows.dropna(), contract))


def test_packing_and_unpacking_keep_the_digest(tmp_path: Path, rows: pd.DataFrame) -> None:
    model, _ = written(tmp_path / "model", rows, "linear", (0, 1))
    packed = bundles.pack(model.folder)
    assert bundles.pack(model.folder) == packed
    (tmp_path / "other").mkdir()
    assert digest(bundles.unpack(packed, tmp_path / "other")) == model.digest == digest(model.folder)
    assert bundles.pack(tmp_path / "other") == packed


def test_an_archive_puts_nothing_outside_of_its_folder(tmp_path: Path) -> None:
    import io
    import tarfile

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("../escaped"))
    (tmp_path / "in").mkdir()
    with pytest.raises(tarfile.OutsideDestinationError):
        bundles.unpack(buffer.getvalue(), tmp_path / "in")


def test_the_contract_says_what_it_was_made_with(tmp_path: Path, rows: pd.DataFrame) -> None:
    written(tmp_path / "model", rows, "trees", (0, 1))
    contract = read_contract(tmp_path / "model")
    assert set(contract.environment) == {"python", *bundles.RECORDED}
    assert contract.trusted_types
    assert all(name.startswith(("sklearn.", "numpy.")) for name in contract.trusted_types)
    assert [(c.name, c.type, c.nullable) for c in contract.columns] == [
        ("carrier", "string", False), ("hour", "long", False), ("wind", "double", True), ("holiday", "boolean", False),
    ]  # fmt: skip


def test_mlflow_answers_as_the_signature_says(tmp_path: Path, rows: pd.DataFrame) -> None:
    import mlflow

    model, estimator = written(tmp_path / "model", rows, "linear", ("no", "yes"))
    frame = model.schema.to_frame(model.schema.from_frame(rows)).astype({"hour": "float64"})
    found = mlflow.pyfunc.load_model(str(tmp_path / "model")).predict(frame)
    np.testing.assert_allclose(found, estimator.predict_proba(frame))


def shout(frame: Any) -> Any:
    """Stand for a person's own function inside a pipeline."""
    return frame


def test_a_model_with_foreign_code_is_refused() -> None:
    with pytest.raises(RefusedError, match="which a model server does not load"):
        bundles.trusted_types(FunctionTransformer(shout))


@pytest.mark.parametrize(
    ("values", "kind", "nullable"),
    [
        ([True, False], "boolean", False),
        (pd.array([True, None], dtype="boolean"), "boolean", True),
        ([1, 2], "long", False),
        (pd.array([1, None], dtype="Int64"), "long", True),
        (np.array([1, 2], dtype=np.uint8), "long", False),
        ([1.5, None], "double", True),
        (np.array([1.5], dtype=np.float32), "double", False),
        (["a", None], "string", True),
        (pd.Series(["a", None], dtype=object), "string", True),
        (pd.Series(["a", np.nan], dtype=object), "string", True),
        (pd.Categorical(["a", "b"]), "string", False),
        ([None, None], "string", True),
    ],
)
def test_each_type_of_column_has_one_in_the_contract(values: Any, kind: str, nullable: bool) -> None:
    (column,) = bundles.columns_of(pd.DataFrame({"x": values}))
    assert (column.type, column.nullable) == (kind, nullable)


@pytest.mark.parametrize(
    "values",
    [pd.to_datetime(["2013-01-01"]), pd.to_timedelta([1], unit="h"), [1j], pd.Series(["a", 1], dtype=object)],
)
def test_a_type_that_is_not_served_is_named(values: Any) -> None:
    with pytest.raises(UsageError, match="`x` is of type"):
        bundles.columns_of(pd.DataFrame({"x": values}))


def test_a_row_is_written_as_json_has_it() -> None:
    row = {"a": np.int64(1), "b": np.float64("nan"), "c": pd.NA, "d": None, "e": np.bool_(True), "f": "x", "g": pd.NaT}
    assert bundles.plain(row) == {"a": 1, "b": None, "c": None, "d": None, "e": True, "f": "x", "g": None}
