"""The server's own description, OpenAPI 3.1, made of the model's contract: what `/openapi.json` answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mlplat
from mlplat.bundle import Column, Contract, LookUp
from mlplat.serving.connection import Limits
from mlplat.serving.explainer import MOST_ROWS
from mlplat.serving.protocol import (
    ACCEPTED,
    ARRAY_INPUT,
    DATATYPES,
    FLOATS,
    INTEGERS,
    UNKNOWN,
    Served,
    output_datatype,
    output_names,
)

Schema = dict[str, Any]

_LARGEST_DOUBLE = 1.7976931348623157e308
_LARGEST_LONG = 2**63 - 1
_TYPES: dict[str, Schema] = {
    "boolean": {"type": "boolean"},
    "long": {"type": "integer", "minimum": -_LARGEST_LONG - 1, "maximum": _LARGEST_LONG},
    "double": {"type": "number", "minimum": -_LARGEST_DOUBLE, "maximum": _LARGEST_DOUBLE},
    "string": {"type": "string"},
}
_PARAMETERS: Schema = {"parameters": {"type": "object", "additionalProperties": {"type": "string"}}}
_ERRORS = {
    "400": "The body is no JSON object, or a header does not hold what it should.",
    "404": "Another model or version is served here.",
    "405": "The path takes another method.",
    "408": "The request did not come in time.",
    "413": "The body, or the number of rows, is above the limit.",
    "415": "The body is coded in a way that is not read here.",
    "422": "The rows do not hold what the model's contract asks for; `details` names each place.",
    "429": "Other explanations are being made; come again.",
    "431": "The headers are too large.",
    "500": "The model has no answer for rows that its contract allows, or the server failed.",
    "503": "The server has as much to do as it can do in the time that a request may wait, or ends, or features cannot"
    " be looked up.",
    "504": "The request's own time was over before it could be computed.",
}
_REQUEST_ERRORS = ("400", "405", "408", "413", "431", "503")
_HEADERS = {"x-request-id": {"description": "The request's name.", "schema": {"type": "string"}, "required": True}}


def openapi(served: Served, limits: Limits) -> Schema:
    """Return the description of one server."""
    contract = served.model.contract
    bases = (f"/v2/models/{contract.model}", f"/v2/models/{contract.model}/versions/{served.version}")
    infer = {base: "infer" + ("" if base == bases[0] else "_version") for base in bases}
    paths: dict[str, Schema] = {
        "/predict": {"post": _post("predict", "Answer rows.", "Rows", "Predictions", limits)},
        **{f"{base}/infer": {"post": _infer(name, limits)} for base, name in infer.items()},
        "/v2": {"get": _get("server", "Describe the server.", "Server")},
        "/v2/health/live": {"get": _get("live", "Tell whether the process answers.", "Live")},
        "/v2/health/ready": {"get": _get("ready", "Tell whether requests are taken.", "Ready", unready=True)},
        "/metrics": {"get": _metrics()},
        "/openapi.json": {"get": _get("openapi", "Give this description.", "Document")},
    }
    if contract.explaining:
        paths["/explain"] = {"post": _explain(limits, has_look_ups=bool(contract.lookups))}
    for place, base in enumerate(bases):
        suffix = "_version" * place
        paths[base] = {"get": _get(f"model{suffix}", "Describe the model's tensors.", "Model")}
        ready = _get(f"model_ready{suffix}", "Tell whether the model answers.", "ModelReady", unready=True)
        paths[f"{base}/ready"] = {"get": ready}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"{contract.project}/{contract.model}",
            "version": served.version,
            "description": "Rows of JSON, and the Open Inference Protocol (REST, version 2), of one model.",
        },
        "paths": paths,
        "components": {"schemas": schemas(served)},
    }


def schemas(served: Served) -> dict[str, Schema]:
    """Return the form of each body."""
    contract = served.model.contract
    text: Schema = {"type": "string"}
    texts: Schema = {"type": "array", "items": {"type": "string"}}
    tensor: dict[str, Schema] = {
        "name": text,
        "datatype": text,
        "shape": {"type": "array", "items": {"type": "integer"}},
    }
    return {
        "Row": _row(contract),
        "Rows": _object({"rows": {"type": "array", "items": _ref("Row"), "minItems": 1, "maxItems": served.rows}}),
        "Prediction": _object(_prediction(contract) | _unknown(contract), optional=(UNKNOWN,)),
        "Predictions": _object(
            {
                "model": {"const": f"{contract.project}/{contract.model}"},
                "version": {"const": served.version},
                "revision": {"const": served.revision},
                "predictions": {"type": "array", "items": _ref("Prediction"), "minItems": 1},
            }
        ),
        "InferenceRequest": _inference_request(served),
        "InferenceResponse": _object(
            {
                "model_name": {"const": contract.model},
                "model_version": {"const": served.version},
                "id": text,
                "outputs": {
                    "type": "array",
                    "items": {"oneOf": [_output(contract, n) for n in output_names(contract)]},
                },
            },
            optional=("id",),
        ),
        **(_explanations(served) if contract.explaining else {}),
        "Server": _object({"name": text, "version": {"const": mlplat.__version__}, "extensions": texts}),
        "Model": _object(
            {
                "name": {"const": contract.model},
                "versions": texts,
                "platform": text,
                "inputs": {"type": "array", "items": _object(tensor | _PARAMETERS, optional=("parameters",))},
                "outputs": {"type": "array", "items": _object(tensor)},
            }
        ),
        "ModelReady": _object({"name": {"const": contract.model}, "ready": {"type": "boolean"}}),
        "Live": _object({"live": {"const": True}}),
        "Ready": _object({"ready": {"type": "boolean"}}),
        "Document": {"type": "object", "required": ["openapi", "info", "paths"]},
        "Error": _object({"error": {"type": "string", "minLength": 1}, "details": texts}, optional=("details",)),
    }


def _explanations(served: Served) -> dict[str, Schema]:
    contract, number = served.model.contract, {"type": "number"}
    share = _object({"value": number, "error": {"type": "number", "minimum": 0}})
    shares = {"contributions": _object({column.name: share for column in contract.columns})}
    one = _object(_prediction(contract) | _unknown(contract) | shares, optional=(UNKNOWN,))
    most = min(served.rows, MOST_ROWS)
    return {
        "FewRows": _object({"rows": {"type": "array", "items": _ref("Row"), "minItems": 1, "maxItems": most}}),
        "Explanations": _object(
            {
                "model": {"const": f"{contract.project}/{contract.model}"},
                "version": {"const": served.version},
                "revision": {"const": served.revision},
                "base": {**number, "description": "Mean answer for the background; contributions add up from here."},
                "background_rows": {"type": "integer", "minimum": 1},
                "explanations": {"type": "array", "items": one, "minItems": 1},
            }
        ),
    }


def _row(contract: Contract) -> Schema:
    """Describe a row: of what is looked up it holds all columns of a group, or none of them and its keys."""
    properties = {name: _value(column) for name, column in contract.keys.items()}
    properties |= {column.name: _value(column) for column in contract.columns}
    wanted = {column.name for column in contract.columns} - contract.looked_up
    row = _object(properties, optional=tuple(properties.keys() - wanted))
    return {**row, "allOf": [_group(each) for each in contract.lookups]} if contract.lookups else row


def _group(group: LookUp) -> Schema:
    left_out: Schema = {
        "description": f"Without `{group.group}`, which is then looked up.",
        "required": [key.name for key in group.keys],
        "not": {"anyOf": [{"required": [name]} for name in group.columns]},
    }
    return {"oneOf": [{"required": list(group.columns)}, left_out]}


def _value(column: Column) -> Schema:
    found = _TYPES[column.type]
    return {**found, "type": [found["type"], "null"]} if column.nullable else found


def _prediction(contract: Contract) -> dict[str, Schema]:
    if contract.task == "regression":
        return {"value": {"type": "number"}}
    probability: Schema = {"type": "number", "minimum": 0, "maximum": 1}
    if contract.abstain is None:
        return {"label": {"enum": list(contract.classes)}, "probability": probability}
    return {
        "label": {"enum": [*contract.classes, None], "description": "null where the model abstains."},
        "probability": probability,
        "abstained": {"type": "boolean"},
    }


def _unknown(contract: Contract) -> dict[str, Schema]:
    if not contract.lookups:
        return {}
    groups: Schema = {"type": "array", "items": {"enum": [each.group for each in contract.lookups]}, "minItems": 1}
    return {UNKNOWN: {**groups, "description": "Groups that were not found, or are too old: null stands for them."}}


def _inference_request(served: Served) -> Schema:
    contract = served.model.contract
    ways = [_tensors([_input(column, served.rows) for column in contract.columns])]
    if contract.lookups:
        # Some groups may be sent, and others looked up: of those many ways, the two ends.
        ways.append(_tensors([_input(column, served.rows) for column in contract.requested.values()]))
    if not contract.frame:
        ways.append(_tensors([_array(contract, served.rows)]))
    outputs = {"type": "array", "items": _object({"name": {"enum": list(output_names(contract))}}, closed=False)}
    return {
        "type": "object",
        "properties": {"id": {"type": "string"}, "inputs": {"oneOf": ways}, "outputs": outputs},
        "required": ["inputs"],
    }


def _tensors(tensors: list[Schema]) -> Schema:
    return {"type": "array", "prefixItems": tensors, "minItems": len(tensors), "maxItems": len(tensors)}


def _input(column: Column, rows: int) -> Schema:
    """Describe one column's tensor; in which order the tensors come does not matter to the server."""
    return _object(
        {
            "name": {"const": column.name},
            "datatype": {"enum": [DATATYPES[column.type], *sorted(ACCEPTED[column.type] - {DATATYPES[column.type]})]},
            "shape": _shape(rows, {"const": 1}, optional=True),
            "data": {"type": "array", "items": _nested(_value(column)), "minItems": 1},
        },
        closed=False,
    )


def _array(contract: Contract, rows: int) -> Schema:
    width = len(contract.columns)
    number = _TYPES["double"]
    if any(column.nullable for column in contract.columns):
        number = {**number, "type": ["number", "null"]}
    return _object(
        {
            "name": {"const": ARRAY_INPUT},
            "datatype": {"enum": ["FP64", *sorted((FLOATS | INTEGERS) - {"FP64"})]},
            "shape": _shape(rows, {"const": width}, optional=False),
            "data": {"type": "array", "items": _nested(number), "minItems": 1},
        },
        closed=False,
    )


def _nested(value: Schema) -> Schema:
    return {"anyOf": [value, {"type": "array", "items": value}]}


def _shape(rows: int, second: Schema, *, optional: bool) -> Schema:
    sizes = [{"type": "integer", "minimum": 1, "maximum": rows}, second]
    return {"type": "array", "prefixItems": sizes, "minItems": 1 if optional else 2, "maxItems": 2}


def _output(contract: Contract, name: str) -> Schema:
    kinds = {"FP64": "number", "INT64": "integer", "BOOL": "boolean", "BYTES": "string"}
    datatype = output_datatype(contract, name)
    return _object(
        {
            "name": {"const": name},
            "datatype": {"const": datatype},
            "shape": {"type": "array", "items": {"type": "integer", "minimum": 1}, "minItems": 1, "maxItems": 1},
            "data": {"type": "array", "items": {"type": kinds[datatype]}, "minItems": 1},
        }
    )


def _object(properties: Mapping[str, Schema], *, optional: tuple[str, ...] = (), closed: bool = True) -> Schema:
    required = [name for name in properties if name not in optional]
    described: Schema = {"type": "object", "properties": dict(properties), "required": required}
    return {**described, "additionalProperties": False} if closed else described


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _json(description: str, name: str) -> Schema:
    return {"description": description, "headers": _HEADERS, "content": {"application/json": {"schema": _ref(name)}}}


def _errors(statuses: tuple[str, ...]) -> dict[str, Schema]:
    return {status: _json(_ERRORS[status], "Error") for status in statuses}


def _get(operation: str, summary: str, answer: str, *, unready: bool = False) -> Schema:
    responses = {"200": _json(summary, answer), **_errors(_REQUEST_ERRORS)}
    if unready:
        both = {"oneOf": [_ref(answer), _ref("Error")]}
        responses["503"] = {**_json(_ERRORS["503"], answer), "content": {"application/json": {"schema": both}}}
    return {"operationId": operation, "summary": summary, "responses": responses}


def _infer(operation: str, limits: Limits) -> Schema:
    return _post(operation, "Answer tensors.", "InferenceRequest", "InferenceResponse", limits)


def _explain(limits: Limits, *, has_look_ups: bool) -> Schema:
    described = _post("explain", "Share answers out among the columns.", "FewRows", "Explanations", limits)
    if not has_look_ups:
        del described["responses"]["503"]
    described["responses"] |= _errors(("429",))
    return described


def _post(operation: str, summary: str, body: str, answer: str, limits: Limits) -> Schema:
    description = f"At most {limits.body_bytes} bytes; `content-encoding: gzip` is read."
    timeout = {
        "name": "x-request-timeout-ms",
        "in": "header",
        "description": "Milliseconds from the request's first byte after which it is not begun any more.",
        "schema": {"type": "integer", "minimum": 0, "maximum": 999_999_999_999},
    }
    return {
        "operationId": operation,
        "summary": summary,
        "parameters": [timeout],
        "requestBody": {
            "required": True,
            "description": description,
            "content": {"application/json": {"schema": _ref(body)}},
        },
        "responses": {
            "200": _json(summary, answer),
            **_errors(("400", "405", "408", "413", "415", "422", "431", "500", "503", "504")),
        },
    }


def _metrics() -> Schema:
    return {
        "operationId": "metrics",
        "summary": "Give the counters, in Prometheus's text format.",
        "responses": {
            "200": {
                "description": "The counters.",
                "headers": _HEADERS,
                "content": {"text/plain": {"schema": {"type": "string"}}},
            },
            **_errors(_REQUEST_ERRORS),
        },
    }
