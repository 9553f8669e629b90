"""The forms in which servers are asked for the same rows, and where each answers with the probability."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from mlplat.bundle import Column, Row

POSITIVE = 1
"""Place of the positive class's probability where a server answers with both."""
_DATATYPES = {"boolean": "BOOL", "long": "INT64", "double": "FP64", "string": "BYTES"}


@dataclass(frozen=True)
class Form:
    """One way to ask a server."""

    name: str
    path: str
    encode: Callable[[Sequence[Row]], bytes]
    decode: Callable[[Any], list[float]]
    """From the answer's JSON to one probability a row."""


def rows_form() -> Form:
    """Ask for `{"rows": [{column: value}]}`: mlplat's own route."""

    def encode(rows: Sequence[Row]) -> bytes:
        return orjson.dumps({"rows": list(rows)})

    return Form("/predict", "/predict", encode, lambda answer: [each["probability"] for each in answer["predictions"]])


def array_form(path: str, *, output: str) -> Form:
    """Ask by the Open Inference Protocol with one tensor, rows by columns."""

    def encode(rows: Sequence[Row]) -> bytes:
        data = [list(row.values()) for row in rows]
        tensor = {"name": "input-0", "datatype": "FP64", "shape": [len(data), len(data[0])], "data": data}
        return orjson.dumps({"inputs": [tensor], "outputs": [{"name": output}]})

    return Form("OIP", path, encode, _probabilities)


def columns_form(path: str, columns: Sequence[Column], *, output: str) -> Form:
    """Ask by the Open Inference Protocol with one tensor a column."""

    def encode(rows: Sequence[Row]) -> bytes:
        inputs = [_tensor(column, rows) for column in columns]
        return orjson.dumps({"inputs": inputs, "outputs": [{"name": output}]})

    return Form("OIP", path, encode, _probabilities)


def frame_form(path: str, columns: Sequence[Column], *, output: str | None) -> Form:
    """Ask by the same protocol for what MLServer makes a DataFrame of.

    Every number is a double, as the models' MLflow signatures have them.
    """

    def encode(rows: Sequence[Row]) -> bytes:
        floats = [
            column.model_copy(update={"type": "double"}) if column.type == "long" else column for column in columns
        ]
        inputs = [_tensor(column, rows) for column in floats]
        for column, tensor in zip(floats, inputs, strict=True):
            tensor["shape"] = [len(rows), 1]
            if column.type == "string":
                tensor["parameters"] = {"content_type": "str"}
        wanted = {"outputs": [{"name": output}]} if output else {}
        return orjson.dumps({"parameters": {"content_type": "pd"}, "inputs": inputs, **wanted})

    return Form("OIP", path, encode, _probabilities)


def split_form(path: str, columns: Sequence[Column]) -> Form:
    """Ask with MLflow's `dataframe_split`."""
    names = [column.name for column in columns]

    def encode(rows: Sequence[Row]) -> bytes:
        data = [[row[name] for name in names] for row in rows]
        return orjson.dumps({"dataframe_split": {"columns": names, "data": data}})

    return Form("/invocations", path, encode, lambda answer: [each[POSITIVE] for each in answer["predictions"]])


def _tensor(column: Column, rows: Sequence[Row]) -> dict[str, Any]:
    data = [row[column.name] for row in rows]
    return {"name": column.name, "datatype": _DATATYPES[column.type], "shape": [len(data)], "data": data}


def _probabilities(answer: Any) -> list[float]:
    (output,) = answer["outputs"]
    data: list[float] = output["data"]
    both = len(output["shape"]) > 1 and output["shape"][1] > POSITIVE
    return data[POSITIVE::2] if both else data
