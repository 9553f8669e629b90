"""`POST /explain`: what it answers, what it is refused for, and that predictions do not wait for it."""

from __future__ import annotations

import asyncio
import json
import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from httpx import AsyncClient, Response

from mlplat.bundle import CONTRACT_FILE, BundleError
from mlplat.cli import predict
from mlplat.errors import MlplatError
from mlplat.serving import shapley
from mlplat.serving.app import Server
from mlplat.serving.explainer import MOST_ROWS, WAITING, Explainer
from mlplat.serving.model import load
from mlplat.serving.options import Options
from mlplat.serving.protocol import Served
from mlplat.serving.server import build
from mlplat.watching.dashboards import rollout

Make = Callable[..., Options]
Clients = Callable[[Any], AsyncClient]


@pytest.fixture
def explained(any_bundle: Path, tmp_path: Path) -> Path:
    """Each of the bundles, as training writes one that explains single answers."""
    return explaining(any_bundle, tmp_path / "bundle")


def explaining(source: Path, folder: Path, content: str | None = None, **changes: Any) -> Path:
    shutil.copytree(source, folder)
    document = json.loads((folder / CONTRACT_FILE).read_text()) | changes
    document["explaining"] = {"background": "background.json", "budget_ms": 50.0}
    (folder / CONTRACT_FILE).write_text(json.dumps(document))
    rows = [example["row"] for example in document["examples"]]
    (folder / "background.json").write_text(content if content is not None else json.dumps(rows))
    return folder


def rows_of(server: Server) -> list[dict[str, Any]]:
    return [dict(example.row) for example in server.served.model.contract.examples]


async def ask(http: AsyncClient, rows: list[dict[str, Any]]) -> Response:
    return await http.post("/explain", json={"rows": rows})


def test_contributions_lead_from_the_usual_answer_to_the_row_s_own(
    explained: Path, options: Make, client: Clients, tmp_path: Path
) -> None:
    server = build(options(explained, log_dir=tmp_path / "log"))
    rows = rows_of(server)[:3]

    async def both() -> tuple[Any, Any, Any, str]:
        async with client(server) as http:
            why = (await ask(http, rows)).json()
            answers = (await http.post("/predict", json={"rows": rows})).json()
            described = (await http.get("/openapi.json")).json()
            return why, answers, described, (await http.get("/metrics")).text

    why, answers, described, counted = asyncio.run(both())
    schema = {"$ref": "#/components/schemas/Explanations", "components": described["components"]}
    jsonschema.Draft202012Validator(schema).validate(why)
    answer = "value" if server.served.model.contract.task == "regression" else "probability"
    for each, prediction in zip(why["explanations"], answers["predictions"], strict=True):
        assert {name: each[name] for name in prediction} == pytest.approx(prediction)
        found = [share["value"] for share in each["contributions"].values()]
        assert why["base"] + sum(found) == pytest.approx(prediction[answer])
        assert [abs(value) for value in found] == sorted(map(abs, found), reverse=True)
        assert set(each["contributions"]) == set(server.served.model.schema.names)
    assert 'mlplat_requests_total{route="explain",status="200"} 1.0' in counted
    assert {*rollout.ROUTES} < {route.name for route in server._routes.values()} - {"explain"}
    assert "mlplat_explained_total 3.0" in counted
    assert "mlplat_rows_total 3.0" in counted, "an explanation is no prediction"
    assert server.log is not None
    server.log.close()
    (part,) = (tmp_path / "log").glob("*.parquet")
    assert part.is_file()


def test_more_rows_than_a_few_and_rows_that_are_none_are_refused_as_predictions_are(
    pipeline_bundle: Path, options: Make, client: Clients, tmp_path: Path
) -> None:
    server = build(options(explaining(pipeline_bundle, tmp_path / "bundle")))
    rows = rows_of(server)

    async def send() -> list[Response]:
        async with client(server) as http:
            many = (rows * MOST_ROWS)[: MOST_ROWS + 1]
            return [await ask(http, many), await ask(http, [{**rows[0], "hour": "noon"}])]

    many, wrong = asyncio.run(send())
    assert (many.status_code, wrong.status_code) == (413, 422)
    assert f"one request may hold {MOST_ROWS}" in many.json()["error"]
    assert "rows[0].hour" in wrong.json()["error"]


def test_a_server_that_does_not_explain_has_no_such_path(pipeline_bundle: Path, options: Make, client: Clients) -> None:
    server = build(options(pipeline_bundle))

    async def send() -> tuple[Response, Any]:
        async with client(server) as http:
            return await ask(http, rows_of(server)[:1]), (await http.get("/openapi.json")).json()

    answer, described = asyncio.run(send())
    assert answer.status_code == 404
    assert "/explain" not in described["paths"]


def test_a_path_that_the_gateway_takes_for_a_predictions_explains_nothing(
    pipeline_bundle: Path, options: Make, client: Clients, tmp_path: Path
) -> None:
    server = build(options(explaining(pipeline_bundle, tmp_path / "bundle")))
    body = {"rows": rows_of(server)[:1]}

    async def send() -> list[int]:
        async with client(server) as http:
            return [(await http.post(path, json=body)).status_code for path in ("/explai%6E", "/predic%74", "/explain")]

    assert asyncio.run(send()) == [404, 200, 200]


def test_predictions_are_answered_while_an_explanation_is_made_and_too_many_of_those_are_turned_away(
    pipeline_bundle: Path, options: Make, client: Clients, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, over = threading.Event(), threading.Event()
    server = build(options(explaining(pipeline_bundle, tmp_path / "bundle")))

    def held(*given: Any) -> Any:
        begun.set()
        assert over.wait(30)
        return shapley.shares(*given)

    monkeypatch.setattr("mlplat.serving.explainer.shares", held)
    rows = rows_of(server)[:1]

    async def crowd() -> tuple[list[Response], Response, Response]:
        async with client(server) as http:
            first = [asyncio.create_task(ask(http, rows))]
            await asyncio.to_thread(begun.wait, 30)
            first += [asyncio.create_task(ask(http, rows)) for _ in range(WAITING - 1)]
            while server._explained.admitted < WAITING:  # noqa: ASYNC110 - what the server has read sets no event
                await asyncio.sleep(0)
            refused, predicted = await ask(http, rows), await http.post("/predict", json={"rows": rows})
            over.set()
            return await asyncio.gather(*first), refused, predicted

    made, refused, predicted = asyncio.run(crowd())
    assert [each.status_code for each in made] == [200] * WAITING
    assert predicted.status_code == 200
    # No 5xx: the gateway would count it against the version, and a rollout would end for it.
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) >= 1


def asked(listening: Any, rows: list[dict[str, Any]]) -> list[Any]:
    """Ask as `mlplat predict --explain` does, but for the gateway between."""
    url = f"http://127.0.0.1:{listening.port}/{predict.EXPLAIN.path}"
    return list(predict.ask(url, predict.EXPLAIN, rows, {}))


def test_the_command_line_gets_many_rows_explained_those_without_a_label_among_them(
    pipeline_bundle: Path, options: Make, listen: Callable[..., Any], tmp_path: Path
) -> None:
    assert predict.EXPLAIN.rows == MOST_ROWS
    server = build(options(explaining(pipeline_bundle, tmp_path / "bundle", abstain={"low": 0.1, "high": 0.7})))
    rows = rows_of(server)
    parts = asked(listen(server), rows)
    explained = [each for part in parts for each in part["explanations"]]
    assert len(explained) == len(rows) > 2 * MOST_ROWS
    probabilities = server.served.model.score_columns(server.served.model.schema.from_rows(rows))
    assert [each["probability"] for each in explained] == pytest.approx(probabilities.tolist())
    left = [each["label"] is None for each in explained]
    assert left == [each["abstained"] for each in explained]
    assert 0 < sum(left) < len(left)


def test_the_command_line_is_told_what_to_do_where_nothing_is_explained_and_where_others_are_before_it(
    pipeline_bundle: Path,
    options: Make,
    listen: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun, over = threading.Event(), threading.Event()
    plain = build(options(pipeline_bundle))
    with pytest.raises(MlplatError, match="answers with 404: there is nothing at this path") as none:
        asked(listen(plain), rows_of(plain)[:1])
    assert "`explanations.route: true`" in str(none.value.hint)

    server = build(options(explaining(pipeline_bundle, tmp_path / "bundle")))
    busy, rows = listen(server), rows_of(server)[:1]

    def held(*given: Any) -> Any:
        begun.set()
        assert over.wait(30)
        return shapley.shares(*given)

    monkeypatch.setattr("mlplat.serving.explainer.shares", held)
    with ThreadPoolExecutor(WAITING) as callers:
        try:
            first = [callers.submit(asked, busy, rows) for _ in range(WAITING)]
            deadline = time.monotonic() + 30
            while server._explained.admitted < WAITING and time.monotonic() < deadline:
                begun.wait(0.01)
            with pytest.raises(MlplatError, match="answers with 429: other explanations are being made") as turned:
                asked(busy, rows)
        finally:
            over.set()
        assert all(len(each.result()) == 1 for each in first)
    assert "ask again in 1 s" in str(turned.value.hint)


@pytest.mark.parametrize("content", ["[]", "no json", '[{"hour": 1}]'])
def test_a_background_that_is_no_rows_of_the_model_is_found_before_a_request_meets_it(
    pipeline_bundle: Path, options: Make, tmp_path: Path, content: str
) -> None:
    with pytest.raises(BundleError, match="cannot be explained with"):
        build(options(explaining(pipeline_bundle, tmp_path / "bundle", content)))


@pytest.mark.parametrize(("seconds", "kept"), [(0.02, 20), (0.04, 20), (0.3, 10), (40.0, 10)])
def test_a_slow_model_is_held_against_fewer_rows_and_never_against_hardly_any(
    pipeline_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, kept: int
) -> None:
    """A clock that explaining one row against all twenty moves by so much; the time to be had are 50 ms."""
    now = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])

    def slow(score: Any, rows: Any, background: Any) -> Any:
        now[0] += seconds * len(background["hour"]) / 20
        return shapley.shares(score, rows, background)

    monkeypatch.setattr("mlplat.serving.explainer.shares", slow)
    model = load(explaining(pipeline_bundle, tmp_path / "bundle"))
    assert model.contract.explaining is not None
    explainer = Explainer(model, model.contract.explaining)
    assert len(explainer.background["hour"]) == kept
    answer = json.loads(explainer.written(Served(model, "3", "r1", 9), explainer.explain(explainer.background), {}))
    assert answer["background_rows"] == kept


def test_a_contract_without_explanations_is_written_as_before_there_were_any(pipeline_bundle: Path) -> None:
    assert "explaining" not in json.loads(load(pipeline_bundle).contract.model_dump_json())
