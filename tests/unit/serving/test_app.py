"""The routes of the model server, asked over ASGI with real models behind them."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from httpx import AsyncClient, Response
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mlplat.serving.app import Server
from mlplat.serving.columns import Columns
from mlplat.serving.engines import Scores
from mlplat.serving.options import Options
from mlplat.serving.server import build

Make = Callable[..., Options]
Clients = Callable[[Any], AsyncClient]


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


def ask(clients: Clients, server: Server, method: str, path: str, **sent: Any) -> Response:
    async def send() -> Response:
        async with clients(server) as client:
            return await client.request(method, path, **sent)

    response: Response = run(send())
    return response


@pytest.fixture
def server(pipeline_bundle: Path, options: Make) -> Server:
    return build(options(pipeline_bundle))


def rows(server: Server) -> list[dict[str, Any]]:
    return [dict(one.row) for one in server.served.model.contract.examples]


def tensors(server: Server) -> list[dict[str, Any]]:
    kinds = {"boolean": "BOOL", "long": "INT64", "double": "FP64", "string": "BYTES"}
    given_rows = rows(server)
    return [
        {
            "name": column.name,
            "datatype": kinds[column.type],
            "shape": [len(given_rows)],
            "data": [row[column.name] for row in given_rows],
        }
        for column in server.served.model.contract.columns
    ]


def test_every_model_answers_rows_with_its_judged_answers(any_bundle: Path, options: Make, client: Clients) -> None:
    server = build(options(any_bundle))
    response = ask(client, server, "POST", "/predict", json={"rows": rows(server)})
    contract = server.served.model.contract
    assert response.status_code == 200
    assert response.json()["model"] == f"{contract.project}/{contract.model}"
    assert (response.json()["version"], response.json()["revision"]) == ("3", "r1")
    name = "value" if contract.task == "regression" else "probability"
    answers = [answer[name] for answer in response.json()["predictions"]]
    assert np.allclose(answers, [float(one.prediction) for one in contract.examples], atol=1e-6)


def test_every_model_answers_tensors_as_it_answers_rows(any_bundle: Path, options: Make, client: Clients) -> None:
    server = build(options(any_bundle))
    name = server.served.model.contract.model
    by_rows = ask(client, server, "POST", "/predict", json={"rows": rows(server)}).json()["predictions"]
    for path in (f"/v2/models/{name}/infer", f"/v2/models/{name}/versions/3/infer"):
        answer = ask(client, server, "POST", path, json={"id": "a-1", "inputs": tensors(server)}).json()
        assert (answer["model_name"], answer["model_version"], answer["id"]) == (name, "3", "a-1")
        by_name = {output["name"]: output for output in answer["outputs"]}
        for output, found in by_name.items():
            assert found["data"] == [row[output] for row in by_rows]
            assert found["shape"] == [len(by_rows)]


def test_metadata_names_each_column(server: Server, client: Clients) -> None:
    found = ask(client, server, "GET", "/v2/models/late").json()
    assert found["versions"] == ["3"]
    assert found["inputs"][0] == {"name": "carrier", "datatype": "BYTES", "shape": [-1]}
    assert {tensor["name"]: tensor["datatype"] for tensor in found["inputs"]}["holiday"] == "BOOL"
    assert [(tensor["name"], tensor["datatype"]) for tensor in found["outputs"]] == [
        ("label", "INT64"),
        ("probability", "FP64"),
    ]
    assert ask(client, server, "GET", "/v2").json()["name"] == "mlplat"


def test_tensors_may_be_columns_of_one(server: Server, client: Clients) -> None:
    flat = ask(client, server, "POST", "/v2/models/late/infer", json={"inputs": tensors(server)}).json()
    stood = [t | {"shape": [len(t["data"]), 1], "data": [[value] for value in t["data"]]} for t in tensors(server)]
    assert ask(client, server, "POST", "/v2/models/late/infer", json={"inputs": stood}).json() == flat
    half = [t | {"shape": [len(t["data"]), 1]} for t in tensors(server)]
    assert ask(client, server, "POST", "/v2/models/late/infer", json={"inputs": half}).json() == flat


@pytest.mark.parametrize("nested", [True, False])
def test_an_array_model_takes_one_tensor(array_bundle: Path, options: Make, client: Clients, nested: bool) -> None:
    server = build(options(array_bundle))
    matrix = [list(row.values()) for row in rows(server)]
    data: list[Any] = matrix if nested else [value for row in matrix for value in row]
    tensor = {"name": "input-0", "datatype": "FP32", "shape": [len(matrix), 4], "data": data}
    answer = ask(client, server, "POST", "/v2/models/signal/infer", json={"inputs": [tensor]}).json()
    want = ask(client, server, "POST", "/predict", json={"rows": rows(server)}).json()["predictions"]
    assert answer["outputs"][0] == {
        "name": "label",
        "datatype": "BYTES",
        "shape": [8],
        "data": [w["label"] for w in want],
    }


def test_only_the_wanted_outputs_come_back(server: Server, client: Clients) -> None:
    sent = {"inputs": tensors(server), "outputs": [{"name": "probability"}]}
    found = ask(client, server, "POST", "/v2/models/late/infer", json=sent).json()
    assert [output["name"] for output in found["outputs"]] == ["probability"]


def without(items: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    return [item for item in items if item["name"] != name]


BAD_TENSORS: dict[str, tuple[Callable[[list[dict[str, Any]]], dict[str, Any]], str]] = {
    "no inputs": (lambda _: {}, "inputs: must be a list"),
    "a missing column": (lambda t: {"inputs": without(t, "hour")}, "inputs[hour]: is missing"),
    "an unknown column": (lambda t: {"inputs": [*t, t[0] | {"name": "odd"}]}, "inputs[odd]: the model has no such"),
    "a column twice": (lambda t: {"inputs": [*t, t[0]]}, "inputs[carrier]: is there twice"),
    "another datatype": (lambda t: {"inputs": [t[0] | {"datatype": "FP64"}, *t[1:]]}, "inputs[carrier].datatype"),
    "another length": (
        lambda t: {"inputs": [t[0] | {"shape": [1], "data": ["AA"]}, *t[1:]]},
        "inputs[destination].data",
    ),
    "a shape that lies": (
        lambda t: {"inputs": [t[0] | {"shape": [3]}, *t[1:]]},
        "inputs[carrier].data: holds 20 values",
    ),
    "a wide shape": (lambda t: {"inputs": [t[0] | {"shape": [10, 2]}, *t[1:]]}, "inputs[carrier].shape: must be [n]"),
    "a negative shape": (lambda t: {"inputs": [t[0] | {"shape": [-1]}, *t[1:]]}, "inputs[carrier].shape"),
    "no rows": (lambda t: {"inputs": [x | {"shape": [0], "data": []} for x in t]}, "holds no rows"),
    "a wrong value": (
        lambda t: {"inputs": [t[0] | {"data": [5, *t[0]["data"][1:]]}, *t[1:]]},
        "inputs[carrier].data[0]",
    ),
    "no data": (lambda t: {"inputs": [{k: v for k, v in t[0].items() if k != "data"}, *t[1:]]}, "inputs[carrier].data"),
    "an unknown output": (lambda t: {"inputs": t, "outputs": [{"name": "odd"}]}, "outputs[odd]: the model has no such"),
    "outputs of no form": (lambda t: {"inputs": t, "outputs": ["label"]}, "outputs: must be a list"),
    "an id that is no text": (lambda t: {"inputs": t, "id": 7}, "id: must be a string"),
}


@pytest.mark.parametrize(("make", "reason"), BAD_TENSORS.values(), ids=BAD_TENSORS)
def test_wrong_tensors_are_refused_by_name(
    server: Server, client: Clients, make: Callable[[list[dict[str, Any]]], dict[str, Any]], reason: str
) -> None:
    response = ask(client, server, "POST", "/v2/models/late/infer", json=make(tensors(server)))
    assert response.status_code == 422
    assert reason in response.json()["error"]


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        (b"", 400, "no JSON"),
        (b"{", 400, "no JSON"),
        (b'{"rows": [{"x": NaN}]}', 400, "no JSON"),
        (b"\xff\xfe", 400, "no JSON"),
        (b"[]", 400, "must be a JSON object"),
        (b"{}", 422, "rows: is missing"),
        (b'{"rows": {}}', 422, "rows: must be a list"),
        (b'{"rows": []}', 422, "rows: holds no rows"),
        (b'{"rows": [[]]}', 422, "rows[0]: must be an object"),
        (b'{"rows": [], "limit": 1}', 422, "limit: unknown key"),
    ],
)
def test_a_body_of_no_use_is_refused(server: Server, client: Clients, body: bytes, status: int, reason: str) -> None:
    response = ask(client, server, "POST", "/predict", content=body)
    assert response.status_code == status
    assert reason in response.json()["error"]


def test_a_wrong_row_is_named_and_so_are_the_others(server: Server, client: Clients) -> None:
    given_rows = rows(server)[:4]
    given_rows[3]["destination"] = None
    given_rows[2]["hour"] = "8"
    response = ask(client, server, "POST", "/predict", json={"rows": given_rows})
    assert response.status_code == 422
    assert response.json()["details"] == [
        'rows[2].hour: must be a whole number, not "8"',
        "rows[3].destination: must not be null",
    ]
    assert response.json()["error"] == response.json()["details"][0]


def test_limits_are_kept(pipeline_bundle: Path, options: Make, client: Clients) -> None:
    server = build(options(pipeline_bundle, rows=5, body_bytes=4000))
    many = ask(client, server, "POST", "/predict", json={"rows": rows(server)[:6]})
    assert (many.status_code, many.json()["error"]) == (413, "rows: holds 6 rows, and one request may hold 5")
    assert ask(client, server, "POST", "/predict", content=b" " * 4001).status_code == 413

    async def pieces() -> Any:
        for _ in range(5):
            yield b" " * 1000

    assert ask(client, server, "POST", "/predict", content=pieces()).status_code == 413


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/predict", 405),
        ("GET", "/nowhere", 404),
        ("GET", "/v2/models/other", 404),
        ("GET", "/v2/models/late/versions/9/ready", 404),
        ("POST", "/v2/models/late/versions/9/infer", 404),
    ],
)
def test_errors_of_http_are_json_too(server: Server, client: Clients, method: str, path: str, status: int) -> None:
    response = ask(client, server, method, path)
    assert response.status_code == status
    assert response.json()["error"]


def test_readiness_is_told_apart_from_life(server: Server, client: Clients) -> None:
    paths = ("/v2/health/live", "/v2/health/ready", "/v2/models/late/ready")
    assert [ask(client, server, "GET", path).status_code for path in paths] == [200, 200, 200]
    server.ready = False
    assert [ask(client, server, "GET", path).status_code for path in paths] == [200, 503, 503]


def test_a_requests_name_comes_back(server: Server, client: Clients) -> None:
    named = ask(client, server, "GET", "/v2", headers={"x-request-id": "abc-1"})
    assert named.headers["x-request-id"] == "abc-1"
    odd = ask(client, server, "GET", "/v2", headers={"x-request-id": "a b" * 100})
    assert len(odd.headers["x-request-id"]) == 32


def test_requests_rows_and_answers_are_counted(server: Server, client: Clients) -> None:
    ask(client, server, "POST", "/predict", json={"rows": rows(server)[:5]})
    ask(client, server, "POST", "/predict", json={"rows": 1})
    ask(client, server, "GET", "/never/heard/of")
    text = ask(client, server, "GET", "/metrics").text
    lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert lines['mlplat_requests_total{route="predict",status="200"}'] == "1.0"
    assert lines['mlplat_requests_total{route="predict",status="422"}'] == "1.0"
    assert lines['mlplat_requests_total{route="other",status="404"}'] == "1.0"
    assert lines["mlplat_rows_total"] == "5.0"
    assert lines["mlplat_predictions_count"] == "5.0"
    judged = [float(one.prediction) for one in server.served.model.contract.examples[:5]]
    assert float(lines["mlplat_predictions_sum"]) == pytest.approx(sum(judged))
    assert f'digest="{server.served.model.digest}"' in text
    assert 'endpoint="flights/late"' in text


class Slow:
    """An engine that computes until it is told to end."""

    form = "array"

    def __init__(self) -> None:
        self.started, self.end = threading.Event(), threading.Event()

    def score(self, columns: Columns) -> Scores:
        self.started.set()
        assert self.end.wait(20)
        return np.zeros(len(next(iter(columns.values()))))


def slow_server(array_bundle: Path, options: Make, **changes: Any) -> tuple[Server, Slow]:
    built = build(options(array_bundle, **changes))
    engine = Slow()
    served = dataclasses.replace(built.served, model=dataclasses.replace(built.served.model, engine=engine))
    # A lane that has not seen this model being fast.
    return Server(served, built.metrics, waiting=changes.get("waiting", 64)), engine


def test_health_answers_while_the_model_computes(array_bundle: Path, options: Make, client: Clients) -> None:
    server, engine = slow_server(array_bundle, options)

    async def scene() -> tuple[int, int]:
        async with client(server) as http:
            asked = asyncio.create_task(http.post("/predict", json={"rows": rows(server)}))
            assert await asyncio.to_thread(engine.started.wait, 20)
            health = await http.get("/v2/health/ready")
            engine.end.set()
            return health.status_code, (await asked).status_code

    assert run(scene()) == (200, 200)


def test_a_full_server_says_so_at_once(array_bundle: Path, options: Make, client: Clients) -> None:
    server, engine = slow_server(array_bundle, options, waiting=2)

    async def scene() -> tuple[Response, list[int]]:
        async with client(server) as http:
            asked = [asyncio.create_task(http.post("/predict", json={"rows": rows(server)})) for _ in range(2)]
            assert await asyncio.to_thread(engine.started.wait, 20)
            await both(server)
            refused = await http.post("/predict", json={"rows": rows(server)})
            engine.end.set()
            return refused, [(await one).status_code for one in asked]

    refused, served = run(scene())
    assert (refused.status_code, refused.headers["retry-after"], served) == (503, "1", [200, 200])
    assert server.lane.admitted == 0


async def both(server: Server) -> None:
    """Let the loop run until two requests are admitted."""
    async with asyncio.timeout(20):
        while server.lane.admitted < 2:  # noqa: ASYNC110 - the server has no event for it, and needs none
            await asyncio.sleep(0)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def almost(names: tuple[str, ...]) -> st.SearchStrategy[Any]:
    """Bodies that are nearly right: rows with the model's own columns and any value."""
    return st.fixed_dictionaries(
        {"rows": st.lists(st.dictionaries(st.sampled_from([*names, "odd"]), JSON), max_size=3)}
    )


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_no_json_makes_the_server_fail(any_bundle: Path, options: Make, client: Clients, data: st.DataObject) -> None:
    server = cached(any_bundle, options)
    names = server.served.model.schema.names
    full = st.fixed_dictionaries({"rows": st.lists(st.fixed_dictionaries(dict.fromkeys(names, JSON)), max_size=2)})
    tensor = st.fixed_dictionaries(
        {"name": st.sampled_from([*names, "input-0"]), "datatype": st.sampled_from(["FP64", "BYTES", "INT64"])},
        optional={"shape": JSON, "data": JSON},
    )
    body = data.draw(JSON | almost(names) | full | st.fixed_dictionaries({"inputs": st.lists(tensor, max_size=8)}))
    sent = orjson.dumps(body, option=orjson.OPT_PASSTHROUGH_SUBCLASS) if _fits(body) else b"{}"
    for path in ("/predict", f"/v2/models/{server.served.model.contract.model}/infer"):
        assert ask(client, server, "POST", path, content=sent).status_code < 500


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(body=st.binary(max_size=64))
@example(body=b'{"rows":[' + b"[" * 2000)
@example(body=b'{"rows":[{"x0":1e999,"x1":1,"x2":1,"x3":1}]}')
@example(body=b'{"rows":[{"x0":1e308,"x1":-1e308,"x2":1,"x3":1}]}')
@example(body=b'{"rows":[{"x0":123456789012345678901234567890,"x1":1,"x2":1,"x3":1}]}')
@example(body=b'{"rows":[{"x0":1,"x0":2}]}')
def test_no_bytes_make_the_server_fail(array_bundle: Path, options: Make, client: Clients, body: bytes) -> None:
    server = cached(array_bundle, options)
    assert ask(client, server, "POST", "/predict", content=body).status_code < 500


_servers: dict[Path, Server] = {}


def cached(bundle: Path, options: Make) -> Server:
    if bundle not in _servers:
        _servers[bundle] = build(options(bundle))
    return _servers[bundle]


def _fits(body: Any) -> bool:
    try:
        orjson.dumps(body)
    except orjson.JSONEncodeError:
        return False
    return True
