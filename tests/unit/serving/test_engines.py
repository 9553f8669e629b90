"""A graph by other hands: what a server gives it, and what it does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from mlplat.bundle import CONTRACT_FILE, NULL_TEXT, UNKNOWN_TEXT, BundleError, Column, Contract, Row
from mlplat.serving.columns import InputError
from mlplat.serving.engines import OnnxEngine
from mlplat.serving.model import Model, load

COLUMNS = (
    Column(name="carrier", type="string", nullable=True),
    Column(name="hour", type="long"),
    Column(name="seats", type="long", nullable=True),
    Column(name="wind", type="double"),
    Column(name="holiday", type="boolean"),
)
TYPES = {
    "carrier": TensorProto.STRING,
    "hour": TensorProto.INT64,
    "seats": TensorProto.DOUBLE,
    "wind": TensorProto.FLOAT,
    "holiday": TensorProto.BOOL,
}
WEIGHTS = {"AA": 1.0, NULL_TEXT: 2.0, UNKNOWN_TEXT: 3.0}
UNKNOWN = 4.0
ROW: Row = {"carrier": "AA", "hour": 7, "seats": 100, "wind": 0.5, "holiday": True}


def graph(*, opset: int = 17) -> bytes:
    """Return a graph that adds a weight by text, the hour, the seats or -1, the wind, and 1000 on holidays."""
    nodes = [
        helper.make_node(
            "LabelEncoder",
            ["carrier"],
            ["weight"],
            domain="ai.onnx.ml",
            keys_strings=list(WEIGHTS),
            values_floats=list(WEIGHTS.values()),
            default_float=UNKNOWN,
        ),
        helper.make_node("Cast", ["weight"], ["weight64"], to=TensorProto.DOUBLE),
        helper.make_node("Cast", ["hour"], ["hour64"], to=TensorProto.DOUBLE),
        helper.make_node("Cast", ["wind"], ["wind64"], to=TensorProto.DOUBLE),
        helper.make_node("Cast", ["holiday"], ["holiday64"], to=TensorProto.DOUBLE),
        helper.make_node("Mul", ["holiday64", "thousand"], ["day"]),
        helper.make_node("IsNaN", ["seats"], ["empty"]),
        helper.make_node("Where", ["empty", "minus", "seats"], ["filled"]),
        helper.make_node("Sum", ["weight64", "hour64", "wind64", "day", "filled"], ["variable"]),
    ]
    constants = [
        helper.make_tensor(name, TensorProto.DOUBLE, [1, 1], [value])
        for name, value in (("thousand", 1000.0), ("minus", -1.0))
    ]
    inputs = [helper.make_tensor_value_info(name, kind, [None, 1]) for name, kind in TYPES.items()]
    output = [helper.make_tensor_value_info("variable", TensorProto.DOUBLE, [None, 1])]
    made = helper.make_graph(nodes, "tests", inputs, output, constants)
    sets = [helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", 3)]
    return bytes(helper.make_model(made, opset_imports=sets, ir_version=8).SerializeToString())


def written(folder: Path, **changes: Any) -> Path:
    known: dict[str, Any] = {
        "project": "tests",
        "model": "sum",
        "task": "regression",
        "columns": COLUMNS,
        "format": "onnx",
        "file": "model.onnx",
        "null_text": NULL_TEXT,
    }
    folder.mkdir(exist_ok=True)
    (folder / "model.onnx").write_bytes(graph())
    (folder / CONTRACT_FILE).write_text(Contract(**(known | changes)).model_dump_json())
    return folder


@pytest.fixture
def model(tmp_path: Path) -> Model:
    return load(written(tmp_path / "model"))


def value(model: Model, **changes: Any) -> float:
    (answer,) = model.predict([{**ROW, **changes}])
    return float(answer["value"])


def test_each_column_reaches_its_own_tensor(model: Model) -> None:
    assert model.engine.form == "columns"
    assert value(model) == 1108.5
    assert value(model, hour=8, holiday=False) == 109.5
    assert value(model, wind=-0.5) == 1107.5


@pytest.mark.parametrize(
    ("carrier", "weight"), [(None, 2.0), (NULL_TEXT, 3.0), (UNKNOWN_TEXT, 3.0), ("", UNKNOWN), ("AA\0", UNKNOWN)]
)
def test_a_null_text_is_told_apart_from_every_text(model: Model, carrier: str | None, weight: float) -> None:
    assert value(model, carrier=carrier) == 1107.5 + weight


def test_a_null_number_is_a_null(model: Model) -> None:
    assert value(model, seats=None) == 1007.5


def test_whole_numbers_are_given_whole(model: Model) -> None:
    assert value(model, hour=2**40 + 1, seats=0) == 1001.5 + 2**40 + 1


@pytest.mark.parametrize("wind", [1e39, -1e300])
def test_a_number_that_float32_cannot_hold_is_refused_not_rounded_to_infinity(model: Model, wind: float) -> None:
    with pytest.raises(InputError, match=r"rows\[0\]\.wind: is too large"):
        value(model, wind=wind)


def test_many_rows_are_answered_as_each_alone(model: Model) -> None:
    rows: list[Row] = [{**ROW, "carrier": text, "hour": hour} for hour in range(50) for text in ("AA", None, "x")]
    together = [answer["value"] for answer in model.predict(rows)]
    assert together == [model.predict([row])[0]["value"] for row in rows]


def test_a_graph_that_knows_no_null_is_refused_nullable_texts(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="`carrier` is nullable"):
        load(written(tmp_path / "model", null_text=""))


def test_a_graph_with_another_word_for_null_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="for a null, and this server gives"):
        load(written(tmp_path / "model", null_text="NA"))


def test_a_graph_newer_than_the_runtime_is_refused_with_both_versions(tmp_path: Path) -> None:
    folder = written(tmp_path / "model", environment={"onnxruntime": "99.0.0"})
    newest = onnx.defs.onnx_opset_version()
    (folder / "model.onnx").write_bytes(graph(opset=newest + 20))
    with pytest.raises(BundleError, match="cannot be read as an ONNX model") as caught:
        load(folder)
    assert caught.value.hint is not None
    assert "made with onnxruntime 99.0.0, and 1." in caught.value.hint


def test_a_matrix_of_float64_reaches_its_graph_unrounded(tmp_path: Path) -> None:
    large = 2.0**40 + 1
    nodes = [helper.make_node("ReduceSum", ["input"], ["variable"], keepdims=1, axes=[1])]
    inputs = [helper.make_tensor_value_info("input", TensorProto.DOUBLE, [None, 2])]
    outputs = [helper.make_tensor_value_info("variable", TensorProto.DOUBLE, [None, 1])]
    made = helper.make_model(
        helper.make_graph(nodes, "tests", inputs, outputs), opset_imports=[helper.make_opsetid("", 12)], ir_version=8
    )
    (tmp_path / "model.onnx").write_bytes(made.SerializeToString())
    columns = (Column(name="a", type="double"), Column(name="b", type="boolean"))
    contract = Contract(project="tests", model="sum", task="regression", columns=columns, format="onnx", frame=False)
    engine = OnnxEngine(tmp_path / "model.onnx", contract)
    assert engine.score({"a": np.array([large]), "b": np.array([True])}).tolist() == [large + 1]
