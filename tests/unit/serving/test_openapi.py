"""The server's own description says what it takes and gives."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from httpx import AsyncClient, Response
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlplat.serving.app import Server
from mlplat.serving.options import Options
from mlplat.serving.server import build

Make = Callable[..., Options]
Clients = Callable[[Any], AsyncClient]


def ask(clients: Clients, server: Server, method: str, path: str, **sent: Any) -> Response:
    async def send() -> Response:
        async with clients(server) as client:
            return await client.request(method, path, **sent)

    return asyncio.run(send())


def checker(document: dict[str, Any], name: str) -> jsonschema.Draft202012Validator:
    schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
    return jsonschema.Draft202012Validator(schema)


@pytest.fixture
def server(any_bundle: Path, options: Make) -> Server:
    return build(options(any_bundle))


@pytest.fixture
def document(server: Server, client: Clients) -> dict[str, Any]:
    found: dict[str, Any] = ask(client, server, "GET", "/openapi.json").json()
    return found


def test_every_form_is_a_schema_and_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    for name, schema in document["components"]["schemas"].items():
        jsonschema.Draft202012Validator.check_schema(schema)
        checker(document, name).is_valid({})


def test_every_described_path_answers_as_described(server: Server, client: Clients, document: dict[str, Any]) -> None:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            response = ask(client, server, method.upper(), path, **({"content": b"{}"} if method == "post" else {}))
            described = operation["responses"][str(response.status_code)]
            assert response.headers["content-type"].split(";")[0] in described["content"]
            if (schema := described["content"].get("application/json")) is not None:
                checked = {**schema["schema"], "components": document["components"]}
                jsonschema.Draft202012Validator(checked).validate(response.json())
        other = ask(client, server, "DELETE", path)
        assert other.status_code == 405
        assert set(other.headers["allow"].lower().split(", ")) - {"head"} == set(operations)


def test_the_examples_are_rows_as_described(server: Server, client: Clients, document: dict[str, Any]) -> None:
    rows = {"rows": [dict(example.row) for example in server.served.model.contract.examples]}
    checker(document, "Rows").validate(rows)
    checker(document, "Predictions").validate(ask(client, server, "POST", "/predict", json=rows).json())


LARGEST_COMPUTED = 1e30
"""Above it a model may have no answer."""
JSON = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
)


def test_what_the_description_does_not_allow_is_refused(
    server: Server, client: Clients, document: dict[str, Any]
) -> None:
    """One value of a right row is replaced by any other; the answer is 422 exactly where the schema says no."""
    example = dict(server.served.model.contract.examples[0].row)
    rows = checker(document, "Rows")

    @settings(max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(name=st.sampled_from([*example, "odd"]), value=JSON)
    def replaced(name: str, value: Any) -> None:
        row = example | {name: value}
        response = ask(client, server, "POST", "/predict", content=json.dumps({"rows": [row]}))
        if not rows.is_valid({"rows": [row]}):
            assert response.status_code == 422
        elif not (isinstance(value, float | int) and abs(value) > LARGEST_COMPUTED):
            assert response.status_code == 200, response.text
        if response.status_code == 422:
            checker(document, "Error").validate(response.json())

    replaced()


def test_a_large_answer_is_compressed_for_who_takes_it(server: Server, client: Clients) -> None:
    async def raw(accepted: str) -> tuple[str | None, bytes]:
        async with (
            client(server) as http,
            http.stream("GET", "/openapi.json", headers={"accept-encoding": accepted}) as response,
        ):
            return response.headers.get("content-encoding"), b"".join([part async for part in response.aiter_raw()])

    coding, body = asyncio.run(raw("gzip"))
    assert coding == "gzip"
    assert asyncio.run(raw("gzip;q=0, identity")) == (None, gzip.decompress(body))
    assert asyncio.run(raw("*"))[0] == "gzip"
