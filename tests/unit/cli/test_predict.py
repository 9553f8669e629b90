from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mlplat.cli.endpoints import Place
from mlplat.contracts import Connection
from mlplat.controller.store import SqliteStore
from mlplat.tracking import Tracking

if TYPE_CHECKING:
    from .conftest import Endpoints, Upstream

ROW = {"origin": "JFK", "distance": 1089.0}


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        (json.dumps(ROW), [ROW]),
        (json.dumps([ROW, ROW]), [ROW, ROW]),
        (json.dumps({"rows": [ROW]}), [ROW]),
        (f"{json.dumps(ROW)}\n{json.dumps(ROW)}\n", [ROW, ROW]),
        ("origin,distance\nJFK,1089\nEWR,\n", [ROW, {"origin": "EWR", "distance": None}]),
        ("origin,distance\nJFK,far\n", [{"origin": "JFK", "distance": "far"}]),
    ],
)
def test_rows_are_read_as_json_json_lines_or_csv(
    endpoints: Endpoints, upstream: Upstream, tmp_path: Path, text: str, rows: list[Any]
) -> None:
    endpoints.deployed()
    (tmp_path / "rows").write_text(text)
    from_file = endpoints.run("predict", "flights/late", "--data", str(tmp_path / "rows"))
    from_stdin = endpoints.run("predict", "flights/late", "--data", "-", stdin=text)
    assert upstream.asked == [("/endpoints/flights/late/predict", {"rows": rows})] * 2
    expected = [{"label": False, "probability": 0.25}] * len(rows)
    assert [json.loads(line) for line in from_file.stdout.splitlines()] == expected
    assert from_stdin.stdout == from_file.stdout


def test_example_rows_are_those_of_the_serving_version(endpoints: Endpoints, upstream: Upstream) -> None:
    endpoints.deployed()
    result = endpoints.run("predict", "flights/late", "--example", "--json")
    assert upstream.asked[0][1] == {"rows": [ROW]}
    assert json.loads(result.stdout)["revision"] == "r1"


def test_many_rows_are_sent_in_parts_and_answered_in_order(endpoints: Endpoints, upstream: Upstream) -> None:
    endpoints.deployed()
    text = "\n".join(json.dumps({**ROW, "distance": float(index)}) for index in range(2500))
    result = endpoints.run("predict", "flights/late", "--data", "-", stdin=text)
    assert [len(body["rows"]) for _, body in upstream.asked] == [1000, 1000, 500]
    assert len(result.stdout.splitlines()) == 2500


WHY = {
    "base": 0.2371,
    "background_rows": 64,
    "explanations": [
        {
            "label": None,
            "probability": 0.5204,
            "abstained": True,
            "contributions": {
                "flight_30d": {"value": 0.3, "error": 0.0041},
                "origin": {"value": -0.041, "error": 0.004},
                "distance": {"value": 0.0243, "error": 0.012},
                "a": {"value": 0.0002, "error": 0},
                "b": {"value": -0.0001, "error": 0},
                "c": {"value": 0.00004, "error": 0},
                "d": {"value": -0.00002, "error": 0},
            },
        }
    ],
}


def test_what_moved_an_answer_most_is_shown_and_the_rest_is_added_up(endpoints: Endpoints, upstream: Upstream) -> None:
    endpoints.deployed()
    upstream.answer = WHY
    result = endpoints.run(
        "predict", "flights/late", "--explain", "--data", "-", stdin='{"origin": "JFK", "distance": null}'
    )
    assert upstream.asked[0][0] == "/endpoints/flights/late/explain"
    head, *lines = result.stdout.splitlines()
    assert head == "probability 0.52, no label: left to a person; 0.237 on average"
    assert [line.split() for line in lines if line] == [
        ["COLUMN", "VALUE", "MOVES", "IT", "BY", "ERROR"],
        ["flight_30d", "+0.3", "0.0041"],
        ["origin", "JFK", "-0.041", "0.004"],
        ["distance", "null", "+0.0243", "0.012"],
        ["a", "+0.0002", "0"],
        ["b", "-0.0001", "0"],
        ["2", "others", "+2e-05"],
    ]
    whole = endpoints.run("predict", "flights/late", "--explain", "--example", "--json")
    assert json.loads(whole.stdout) == WHY


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"label": False, "probability": 0.25}, "probability 0.25, label False; 2 on average"),
        ({"label": "late", "probability": 0.5, "abstained": False}, "probability 0.5, label late; 2 on average"),
        ({"probability": 0.25}, "probability 0.25; 2 on average"),  # a server of an earlier version
        ({"value": 12.345}, "value 12.3; 2 on average"),
        ({"value": 1, "unknown": ["weather"]}, "value 1; 2 on average; nothing is known of `weather`"),
    ],
)
def test_each_explained_row_begins_with_its_answer(
    endpoints: Endpoints, upstream: Upstream, answer: dict[str, Any], said: str
) -> None:
    endpoints.deployed()
    upstream.answer = {"base": 2, "explanations": [{**answer, "contributions": {}}]}
    assert endpoints.run("predict", "flights/late", "--explain", "--example").stdout.splitlines()[0] == said


def test_rows_are_explained_a_few_at_a_time_and_each_table_shows_its_own_row(
    endpoints: Endpoints, upstream: Upstream
) -> None:
    endpoints.deployed()
    share = {"probability": 0.5, "contributions": {"distance": {"value": 0.1, "error": 0.01}}}
    upstream.answer = {"base": 0.4, "explanations": [share] * 8}
    text = "\n".join(json.dumps({**ROW, "distance": index}) for index in range(16))
    result = endpoints.run("predict", "flights/late", "--explain", "--data", "-", stdin=text)
    assert [len(body["rows"]) for _, body in upstream.asked] == [8, 8]
    shown = [line.split()[1] for line in result.stdout.splitlines() if line.startswith("distance")]
    assert shown == [str(index) for index in range(16)]


@pytest.mark.parametrize(
    ("explain", "status", "hint"),
    [
        (True, 404, "`explanations.route: true`"),
        (True, 429, "ask again in a few s"),
        (True, 500, None),
        (False, 404, None),
    ],
)
def test_what_to_do_is_said_where_nothing_was_explained(
    endpoints: Endpoints, upstream: Upstream, explain: bool, status: int, hint: str | None
) -> None:
    endpoints.deployed()
    upstream.status, upstream.answer = status, {"error": "not here, not now"}
    result = endpoints.run("predict", "flights/late", "--example", *(["--explain"] if explain else []))
    assert (result.exit_code, result.stdout) == (1, "")
    assert "not here, not now" in str(result.exception)
    told = getattr(result.exception, "hint", None)
    assert told is None if hint is None else hint in str(told)


@pytest.mark.parametrize(
    ("status", "answer", "code", "says"),
    [
        (422, {"error": "rows[0].distance: is no number"}, 2, "the rows were refused: rows[0].distance: is no number"),
        (404, {"error": "no endpoint answers here"}, 1, "answers with 404: no endpoint answers here"),
        (503, "upstream connect error", 1, "answers with 503"),
    ],
)
def test_errors_of_the_server_are_passed_on(
    endpoints: Endpoints, upstream: Upstream, status: int, answer: Any, code: int, says: str
) -> None:
    endpoints.deployed()
    upstream.status, upstream.answer = status, answer
    result = endpoints.run("predict", "flights/late", "--example")
    assert (result.exit_code, result.stdout) == (code, "")
    assert says in str(result.exception)


def test_an_unreachable_gateway_is_named(endpoints: Endpoints, free_port: int) -> None:
    endpoints.deployed()
    result = endpoints.run("predict", "flights/late", "--example")
    assert result.exit_code == 1
    assert f"127.0.0.1:{free_port}" in str(result.exception)


@pytest.mark.parametrize(
    ("arguments", "stdin", "says"),
    [
        (("--data", "none.csv"), None, "none.csv: No such file"),
        (("--data", "-"), "", "standard input: holds no rows"),
        (("--data", "-"), "{broken", "is neither JSON nor JSON lines"),
        (("--data", "-"), '{"rows": 3}', "`rows` is no list"),
        (("--data", "-", "--example"), "", "exclude each other"),
    ],
)
def test_rows_that_cannot_be_read_are_wrong_usage(
    endpoints: Endpoints, arguments: tuple[str, ...], stdin: str | None, says: str
) -> None:
    endpoints.deployed()
    result = endpoints.run("predict", "flights/late", *arguments, stdin=stdin)
    assert result.exit_code == 2
    assert says in str(result.exception)


def test_an_endpoint_that_serves_nothing_says_why(endpoints: Endpoints) -> None:
    endpoints.deployed(endpoints.serving(champion=None, phase="refused", message="the gate refused it"))
    result = endpoints.run("predict", "flights/late", "--example")
    assert result.exit_code == 1
    assert "serves nothing: the gate refused it" in str(result.exception)


def test_a_caller_is_known_by_what_the_environment_holds_and_by_nothing_else(
    endpoints: Endpoints, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoints.deployed()
    monkeypatch.delenv("MLPLAT_API_KEY", raising=False)
    monkeypatch.delenv("MLPLAT_TOKEN", raising=False)
    assert endpoints.run("predict", "flights/late", "--example").exit_code == 0
    assert not {"x-api-key", "authorization"} & {*upstream.headers[-1]}
    monkeypatch.setenv("MLPLAT_API_KEY", "for tests")
    monkeypatch.setenv("MLPLAT_TOKEN", "a.b.c")
    assert endpoints.run("predict", "flights/late", "--example").exit_code == 0
    sent = upstream.headers[-1]
    assert (sent["x-api-key"], sent["authorization"]) == ("for tests", "Bearer a.b.c")


@pytest.mark.parametrize("status", [401, 403])
def test_a_caller_who_is_not_let_in_is_told_where_a_key_goes(
    endpoints: Endpoints, upstream: Upstream, status: int
) -> None:
    endpoints.deployed()
    upstream.status, upstream.answer = status, {"error": "who are you?"}
    refused = endpoints.run("predict", "flights/late", "--example")
    assert refused.exit_code == 1
    assert "who are you?" in str(refused.exception)
    assert "MLPLAT_API_KEY" in str(getattr(refused.exception, "hint", ""))


def test_a_gateway_that_had_no_address_yet_is_told_with_what_writes_it(endpoints: Endpoints) -> None:
    endpoints.deployed()
    replace(Connection.read("mlplat", "local"), gateway="").write()
    refused = endpoints.run("predict", "flights/late", "--example")
    assert refused.exit_code == 1
    assert "`mlplat up -s local`" in str(getattr(refused.exception, "hint", ""))


def test_on_a_cluster_example_rows_are_those_that_the_registry_keeps(
    endpoints: Endpoints, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoints.deployed(endpoints.serving())
    contract = (endpoints.folder / "bundle" / "mlplat.json").read_bytes()
    (endpoints.folder / "bundle" / "mlplat.json").unlink()
    known = Connection.read("mlplat", "local")
    replace(known, tracking="http://tracking", store="kubernetes:here", namespaces={"flights": "growth"}).write()
    asked: list[tuple[str, ...]] = []

    def artifact(server: Tracking, *named: str) -> bytes:
        asked.append((server.address, *named))
        return contract

    monkeypatch.setattr(Tracking, "artifact", artifact)
    monkeypatch.setattr(Place, "store", lambda _: SqliteStore(endpoints.path))
    monkeypatch.setattr(Place, "reach", lambda _, url: contextlib.nullcontext(url.replace("tracking", "here")))
    assert endpoints.run("predict", "flights/late", "--example").exit_code == 0
    assert asked == [("http://here", "mlflow-artifacts:/1", "mlplat.json")]
    assert upstream.asked == [("/endpoints/flights/late/predict", {"rows": [ROW]})]
    # Rows of one's own need no registry.
    assert endpoints.run("predict", "flights/late", "--data", "-", stdin=json.dumps(ROW)).exit_code == 0
    assert len(asked) == 1
