"""The two ways to ask a model: rows of JSON, and the Open Inference Protocol's tensors (version 2, REST).

Everything here is a plain function of bytes, so that it can run on the event loop or beside it. Errors name the place
in the request: `rows[3].carrier: …`, `inputs[carrier].data[3]: …`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

import mlplat
from mlplat.bundle import Column, Contract
from mlplat.serving.columns import Columns, InputError, cut, shown
from mlplat.serving.model import Model

UNKNOWN = "unknown"
"""What answers call the groups of features that were looked up and not found, or are too old."""
ARRAY_INPUT = "input-0"
"""Name of the one tensor, rows by columns, that a model without column names takes instead of a tensor a column."""

INTEGERS = frozenset({"INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64"})
FLOATS = frozenset({"FP16", "FP32", "FP64"})
DATATYPES = {"boolean": "BOOL", "long": "INT64", "double": "FP64", "string": "BYTES"}
ACCEPTED = {
    "boolean": frozenset({"BOOL"}),
    "long": INTEGERS,
    "double": FLOATS | INTEGERS,
    "string": frozenset({"BYTES"}),
}
_PLATFORMS = {"skops": "sklearn_skops", "onnx": "onnx_onnxruntime"}


class FormatError(InputError):
    """The body is no JSON object at all (400), rather than one with wrong values (422)."""


class TooManyRowsError(InputError):
    """A request holds more rows than the server takes at a time (413)."""


@dataclass(frozen=True)
class Served:
    """A loaded model under the names that answers carry, and the most rows that one request may hold."""

    model: Model
    version: str
    revision: str
    rows: int


@dataclass(frozen=True, slots=True)
class Asked:
    """One request that was read: its rows, and how their scores are written as an answer."""

    columns: Columns
    reply: Callable[[NDArray[np.float64]], bytes]
    unknown: Unknown = field(default_factory=dict)


Protocol = Callable[[Served, bytes], Asked]
Unknown = Mapping[int, Sequence[str]]
"""Groups of features of which nothing is known, by row; rows that lack none are left out."""


def read_rows(served: Served, body: bytes) -> Asked:
    """Read `{"rows": [{column: value, …}, …]}`. Raises `InputError`."""
    return Asked(served.model.schema.from_rows(given_rows(served, body)), partial(rows_reply, served, {}))


def given_rows(served: Served, body: bytes) -> Any:
    """Return what a request holds as `rows`, not looked at but for how many there are. Raises `InputError`."""
    document = decode(body)
    if len(document) != 1 or "rows" not in document:
        if odd := [key for key in document if key != "rows"]:
            raise InputError([f"{cut(str(odd[0]))}: unknown key; a request holds `rows` only"])
        raise InputError(["rows: is missing"])
    rows = document["rows"]
    _check_count(served, len(rows) if isinstance(rows, list) else 0, "rows")
    return rows


def rows_reply(served: Served, unknown: Unknown, scores: NDArray[np.float64]) -> bytes:
    """Write the answer to rows."""
    contract = served.model.contract
    return orjson.dumps(
        {
            "model": f"{contract.project}/{contract.model}",
            "version": served.version,
            "revision": served.revision,
            "predictions": answers(served, unknown, scores),
        }
    )


def answers(served: Served, unknown: Unknown, scores: NDArray[np.float64]) -> list[dict[str, Any]]:
    """Return the answer to each row, with the groups of features of which nothing is known."""
    made = served.model.answers(scores)
    for row, groups in unknown.items():
        made[row][UNKNOWN] = groups
    return made


def read_tensors(served: Served, body: bytes) -> Asked:
    """Read an inference request of the Open Inference Protocol. Raises `InputError`."""
    given = read_inference(served, body)
    return Asked(_columns(served, given.tensors), partial(tensors_reply, served, given, {}))


@dataclass(frozen=True, slots=True)
class Inference:
    """An inference request, its tensors not looked at."""

    identifier: str | None
    wanted: Sequence[str]
    """Names of the outputs that are asked for."""
    tensors: dict[str, dict[str, Any]]


def read_inference(served: Served, body: bytes) -> Inference:
    """Read an inference request up to its tensors. Raises `InputError`."""
    document = decode(body)
    identifier = document.get("id")
    if identifier is not None and not isinstance(identifier, str):
        raise InputError([f"id: must be a string, not {shown(identifier)}"])
    wanted = _wanted_outputs(served.model.contract, document.get("outputs"))
    return Inference(identifier, wanted, _by_name(document.get("inputs")))


def tensors_reply(served: Served, given: Inference, unknown: Unknown, scores: NDArray[np.float64]) -> bytes:
    """Write the answer to an inference request."""
    reply: dict[str, Any] = {"model_name": served.model.contract.model, "model_version": served.version}
    if given.identifier is not None:
        reply["id"] = given.identifier
    reply["outputs"] = [
        _unknown(unknown, len(scores)) if name == UNKNOWN else _output(served.model, name, scores)
        for name in given.wanted
    ]
    return orjson.dumps(reply)


def decode(body: bytes) -> dict[str, Any]:
    """Read a JSON object. Raises `FormatError`."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise FormatError([f"the body is no JSON: {error}"]) from error
    if not isinstance(document, dict):
        raise FormatError([f"the body must be a JSON object, not {shown(document)}"])
    return document


def server_metadata() -> dict[str, Any]:
    """Describe the server."""
    return {"name": "mlplat", "version": mlplat.__version__, "extensions": []}


def model_metadata(served: Served) -> dict[str, Any]:
    """Describe the model's tensors, one a column."""
    contract = served.model.contract
    return {
        "name": contract.model,
        "versions": [served.version],
        "platform": _PLATFORMS[contract.format],
        "inputs": [*_inputs(contract)],
        "outputs": [_tensor(name, output_datatype(contract, name)) for name in output_names(contract)],
    }


def _inputs(contract: Contract) -> Iterator[dict[str, Any]]:
    """Describe each input; of what is looked up, and of what is needed for that alone, with the group that it is of."""
    names = {column.name for column in contract.columns}
    looked_up = {name: each.group for each in contract.lookups for name in each.columns}
    for column in contract.columns:
        group = looked_up.get(column.name)
        yield _tensor(column.name, DATATYPES[column.type]) | ({"parameters": {"looked_up": group}} if group else {})
    for key in contract.keys.values():
        if key.name not in names:
            groups = [each.group for each in contract.lookups if key in each.keys]
            yield _tensor(key.name, DATATYPES[key.type]) | {"parameters": {"key_of": ",".join(groups)}}


def _tensor(name: str, datatype: str) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": [-1]}


def output_names(contract: Contract) -> tuple[str, ...]:
    """Return the names of a model's output tensors."""
    unknown = (UNKNOWN,) if contract.lookups else ()
    if contract.task == "regression":
        return ("value", *unknown)
    # A tensor holds no nulls: the label stays what the threshold says, and a third one tells where not to take it.
    return ("label", "probability", *(("abstained",) if contract.abstain else ()), *unknown)


def output_datatype(contract: Contract, name: str) -> str:
    """Return the protocol's type of an output."""
    if name != "label":
        return {"abstained": "BOOL", UNKNOWN: "BYTES"}.get(name, "FP64")
    kinds = {type(label) for label in contract.classes}
    return "BOOL" if kinds == {bool} else "INT64" if kinds == {int} else "BYTES"


def _output(model: Model, name: str, scores: NDArray[np.float64]) -> dict[str, Any]:
    datatype = output_datatype(model.contract, name)
    if name == "abstained":
        data = model.abstained(scores).tolist()
    else:
        data = model.labels(scores) if name == "label" else scores.tolist()
    if name == "label" and datatype == "BYTES":
        data = [str(label) for label in data]
    return {"name": name, "datatype": datatype, "shape": [len(scores)], "data": data}


def _unknown(unknown: Unknown, rows: int) -> dict[str, Any]:
    """Write the groups of which nothing is known as a tensor: a text a row, empty where everything is known."""
    data = [",".join(unknown.get(row, ())) for row in range(rows)]
    return {"name": UNKNOWN, "datatype": "BYTES", "shape": [rows], "data": data}


def _wanted_outputs(contract: Contract, wanted: object) -> Sequence[str]:
    names = output_names(contract)
    if wanted is None:
        return names
    if not isinstance(wanted, list) or not all(isinstance(item, dict) for item in wanted):
        raise InputError([f"outputs: must be a list of objects with a `name`, not {shown(wanted)}"])
    if odd := [item.get("name") for item in wanted if item.get("name") not in names]:
        raise InputError([f"outputs[{cut(str(odd[0]))}]: the model has no such output; it has {', '.join(names)}"])
    asked = list(dict.fromkeys(item["name"] for item in wanted))
    return asked or names


def _columns(served: Served, tensors: dict[str, dict[str, Any]]) -> Columns:
    if (columns := from_array(served, tensors)) is not None:
        return columns
    schema = served.model.schema
    check_names(tensors, schema.names, schema.names)
    return schema.from_values(tensor_values(served, schema.columns, tensors), tensor_place)


def check_names(tensors: Collection[str], wanted: Sequence[str], allowed: Collection[str]) -> None:
    """Raise `InputError` unless all wanted tensors are there, and no other than those allowed."""
    problems = [f"inputs[{name}]: is missing" for name in wanted if name not in tensors]
    problems += [f"inputs[{cut(name)}]: the model has no such input" for name in tensors if name not in allowed]
    if problems:
        raise InputError(problems)


def tensor_values(
    served: Served, columns: Sequence[Column], tensors: Mapping[str, dict[str, Any]]
) -> dict[str, list[Any]]:
    """Return the values of tensors, one a column and all of one length. Raises `InputError`."""
    values = {column.name: _values(served, column, tensors[column.name]) for column in columns}
    _check_lengths(values)
    return values


def tensor_place(name: str, row: int) -> str:
    """Write where a value stands in the tensors of a request."""
    return f"inputs[{name}].data[{row}]"


def _by_name(inputs: object) -> dict[str, dict[str, Any]]:
    if not isinstance(inputs, list) or not inputs:
        raise InputError([f"inputs: must be a list of tensors, not {shown(inputs)}"])
    tensors: dict[str, dict[str, Any]] = {}
    for place, tensor in enumerate(inputs):
        name = tensor.get("name") if isinstance(tensor, dict) else None
        if not isinstance(name, str):
            raise InputError([f"inputs[{place}]: must be an object with a `name`"])
        if name in tensors:
            raise InputError([f"inputs[{cut(name)}]: is there twice"])
        tensors[name] = tensor
    return tensors


def _values(served: Served, column: Column, tensor: dict[str, Any]) -> list[Any]:
    place = f"inputs[{column.name}]"
    _check_datatype(place, tensor, ACCEPTED[column.type], DATATYPES[column.type])
    shape = _shape(place, tensor)
    if len(shape) not in {1, 2} or shape[1:] not in {(), (1,)}:
        raise InputError([f"{place}.shape: must be [n] or [n, 1], not {list(shape)}"])
    return _data(served, place, tensor, shape)


def from_array(served: Served, tensors: Mapping[str, dict[str, Any]]) -> Columns | None:
    """Return the columns of a model of numbers that is given one array; None where there is another input.

    Raises `InputError`.
    """
    schema = served.model.schema
    if served.model.contract.frame or set(tensors) != {ARRAY_INPUT} or schema.names == (ARRAY_INPUT,):
        return None
    tensor, place = tensors[ARRAY_INPUT], f"inputs[{ARRAY_INPUT}]"
    _check_datatype(place, tensor, FLOATS | INTEGERS, "FP64")
    shape, width = _shape(place, tensor), len(schema.names)
    if len(shape) != 2 or shape[1] != width:  # noqa: PLR2004 - rows and columns
        raise InputError([f"{place}.shape: must be [n, {width}], not {list(shape)}"])
    flat = _data(served, place, tensor, shape)
    if (columns := schema.from_flat(flat, shape[0])) is not None:
        return columns
    values = {name: flat[index::width] for index, name in enumerate(schema.names)}
    return schema.from_values(values, lambda name, row: f"{place}.data[{row}][{schema.names.index(name)}]")


def _check_datatype(place: str, tensor: dict[str, Any], accepted: frozenset[str], usual: str) -> None:
    datatype = tensor.get("datatype")
    if not isinstance(datatype, str) or datatype not in accepted:
        raise InputError([f"{place}.datatype: must be {usual}, not {shown(datatype)}"])


def _shape(place: str, tensor: dict[str, Any]) -> tuple[int, ...]:
    shape = tensor.get("shape")
    if not isinstance(shape, list) or not shape or not all(type(size) is int and size >= 0 for size in shape):
        raise InputError([f"{place}.shape: must be a list of sizes, not {shown(shape)}"])
    return tuple(shape)


def _data(served: Served, place: str, tensor: dict[str, Any], shape: tuple[int, ...]) -> list[Any]:
    """Return a tensor's values in row-major order; they may be nested as its shape is."""
    _check_count(served, shape[0], place)
    data = tensor.get("data")
    if not isinstance(data, list):
        raise InputError([f"{place}.data: must be a list, not {shown(data)}"])
    if not shape[0]:
        raise InputError([f"{place}.data: holds no rows"])
    width = shape[1] if len(shape) > 1 else 1
    if len(shape) > 1 and len(data) == shape[0] and all(type(row) is list and len(row) == width for row in data):
        return [value for row in data for value in row]
    if len(data) != shape[0] * width:
        raise InputError([f"{place}.data: holds {len(data)} values, and its shape {list(shape)} is {shape[0] * width}"])
    return data


def _check_lengths(values: dict[str, list[Any]]) -> None:
    first, *rest = values
    if odd := [name for name in rest if len(values[name]) != len(values[first])]:
        found = f"{len(values[odd[0]])} rows, and inputs[{first}] holds {len(values[first])}"
        raise InputError([f"inputs[{odd[0]}].data: holds {found}"])


def _check_count(served: Served, count: int, place: str) -> None:
    if count > served.rows:
        raise TooManyRowsError([f"{place}: holds {count} rows, and one request may hold {served.rows}"])
