"""What a project tells a feature server, by HTTP alone. The server itself, with Feast, is met in tests/e2e."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pandas as pd
import pytest

from mlplat.bundle import Column, Contract
from mlplat.contracts import FEATURES, Connection
from mlplat.errors import RefusedError, UnreachableError, UsageError
from mlplat.runtime import online
from mlplat.runtime.online import Online
from mlplat.spec.project import ProjectSpec

MakeSpec = Callable[..., ProjectSpec]
GROUPS = {
    "weather": {"columns": ["temp", "wind"], "online": {"keys": ["origin"], "ttl_minutes": 60}},
    "rates": {"columns": ["rate"], "online": {"keys": ["carrier", "flight"], "ttl_minutes": 1440}},
    "schedule": {"columns": ["origin", "carrier"]},
}
ROWS = pd.DataFrame(
    {"temp": [1.5, None], "wind": [3, 4], "rate": [0.5, 0.25], "origin": "EWR", "carrier": "AA", "flight": [7, 8]}
)


@dataclass
class Server:
    """A feature server that keeps what it was asked, and answers what it is told to."""

    url: str = ""
    asked: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    answers: list[tuple[int, dict[str, Any]]] = field(default_factory=list)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    made = Server()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            made.asked.append((self.command, self.path, body))
            rows = len(body.get("observed", []))
            status, told = made.answers.pop(0) if made.answers else (200, {"written": rows, "older": 0, "unknown": []})
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(told).encode())

        do_PUT = do_POST = answer  # noqa: N815 - the library's names

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever)
        thread.start()
        made.url = f"http://127.0.0.1:{httpd.server_port}"
        monkeypatch.setenv(FEATURES, made.url)
        # It is asked directly, whatever proxy there is.
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
        yield made
        httpd.shutdown()
        thread.join()


@pytest.fixture
def spec(make_spec: MakeSpec) -> ProjectSpec:
    return make_spec(project="late-flights", data__features=GROUPS)


def contract(spec: ProjectSpec, features: pd.DataFrame) -> Contract:
    found = online.look_ups(spec, features, online.keys_of(ROWS, spec))
    types = tuple(Column(name=str(name), type="double") for name in features.columns)
    return Contract(project=spec.project, model=spec.model, task="binary", columns=types, **found)


def test_a_contract_names_what_is_looked_up_and_by_which_keys(spec: ProjectSpec, server: Server) -> None:
    made = contract(spec, ROWS[["temp", "wind", "rate"]])
    weather, rates = made.lookups
    assert (weather.group, weather.columns, weather.ttl_seconds) == ("weather", ("temp", "wind"), 3600)
    # A key need be no feature, and has a type all the same.
    assert [(key.name, key.type) for key in rates.keys] == [("carrier", "string"), ("flight", "long")]
    assert made.features.startswith("late_")
    online.define(made)
    (method, path, told) = server.asked[0]
    assert (method, path, told["service"]) == ("PUT", "/late_flights/definitions", made.features)
    assert told["groups"][0]["keys"] == [{"name": "origin", "type": "string"}]


def test_a_service_has_a_name_of_its_own_for_each_set_of_look_ups(spec: ProjectSpec, server: Server) -> None:
    one, same = contract(spec, ROWS[["temp", "wind"]]), contract(spec, ROWS[["temp", "wind"]])
    fewer = contract(spec, ROWS[["temp"]])
    assert one.features == same.features != fewer.features
    assert [each.columns for each in fewer.lookups] == [("temp",)]
    assert server.asked == []


@pytest.mark.parametrize("variable", [None, ""])
def test_without_a_feature_server_requests_bring_everything_and_it_is_said(
    spec: ProjectSpec, monkeypatch: pytest.MonkeyPatch, variable: str | None
) -> None:
    monkeypatch.delenv(FEATURES, raising=False)
    if variable is not None:
        monkeypatch.setenv(FEATURES, variable)
    made = contract(spec, ROWS[["temp", "wind", "rate"]])
    assert (made.features, made.lookups) == ("", ())
    assert "features" not in made.model_dump(mode="json")
    assert "requests bring `weather`, `rates`" in online.remark(spec, made)
    online.define(made)


def test_nothing_is_said_where_it_is_looked_up_or_nothing_ever_is(
    spec: ProjectSpec, server: Server, make_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = contract(spec, ROWS[["temp"]])
    assert online.remark(spec, made) == ""
    # Promoted to a platform that has none: the contract says what is missing there.
    monkeypatch.delenv(FEATURES)
    assert online.remark(spec, made).endswith("requests bring `weather`")
    plain = make_spec()
    assert online.remark(plain, contract(plain, ROWS[["temp"]])) == ""


def test_a_request_leaves_out_what_is_looked_up_and_brings_the_keys(spec: ProjectSpec) -> None:
    names = ["temp", "origin", "wind", "hour", "rate", "carrier"]
    assert online.left_to_send(spec, names) == ["origin", "hour", "carrier", "flight"]


def test_a_key_that_no_row_has_is_refused_by_name(spec: ProjectSpec) -> None:
    with pytest.raises(UsageError, match="by `flight`, which the rows do not have"):
        online.keys_of(ROWS.drop(columns="flight"), spec)


def test_a_key_that_no_value_is_found_by_is_refused(spec: ProjectSpec) -> None:
    with pytest.raises(UsageError, match="by `flight`, which is double: a key is a whole number or a text"):
        online.keys_of(ROWS.assign(flight=0.5), spec)


def test_rows_are_pushed_in_parts_without_those_that_have_no_key(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(online, "ROWS", 2)
    rows = pd.DataFrame(
        {
            "origin": ["EWR", None, "JFK", "LGA"],
            "temp": [1.5, 2, None, 4],
            "seen": pd.Timestamp("2013-07-01T10:00Z"),
        }
    )
    server.answers = [
        (200, {"written": 1, "older": 1, "unknown": ["x"]}),
        (200, {"written": 1, "older": 0, "unknown": []}),
    ]
    told = Online(f"{server.url}/tests").push("weather", rows, keys=["origin"], observed="seen")
    assert (told.written, told.older, told.unknown) == (2, 1, frozenset({"x"}))
    sent = [body for _, _, body in server.asked]
    assert [body["keys"]["origin"] for body in sent] == [["EWR", "JFK"], ["LGA"]]
    assert [body["columns"] for body in sent] == [{"temp": [1.5, None]}, {"temp": [4.0]}]
    assert sent[0]["observed"] == ["2013-07-01T10:00:00+00:00"] * 2


@pytest.mark.parametrize(
    ("status", "kind", "hint"),
    [(404, RefusedError, "mlplat run train"), (409, RefusedError, "data.features"), (503, UnreachableError, "status")],
)
def test_an_answer_that_says_no_is_told_with_the_servers_own_words(
    spec: ProjectSpec, server: Server, status: int, kind: type[Exception], hint: str
) -> None:
    server.answers = [(status, {"error": "because of this"})]
    with pytest.raises(kind, match="because of this") as caught:
        Online(server.url).define(contract(spec, ROWS[["temp"]]))
    assert hint in str(getattr(caught.value, "hint", ""))


def test_who_erases_gives_the_value_in_the_body_alone_and_an_unknown_project_holds_nothing(server: Server) -> None:
    asked = Online.of(server.url, "late-flights")
    held = [{"group": "rates", "rows": 2, "hash": "sha256:a"}]
    server.answers = [(200, {"groups": held}), (200, {"hash": None}), (404, {"error": "no"}), (404, {"error": "no"})]
    assert asked.holding("who", "Anna") == held
    assert asked.erase("rates", "who", "Anna") is None
    assert (asked.holding("who", "Anna"), asked.erase("rates", "who", "Anna")) == ([], None)
    assert [path for _, path, _ in server.asked[:2]] == ["/late_flights/findings", "/late_flights/erasures"]
    assert server.asked[1][2] == {"group": "rates", "column": "who", "value": "Anna"}


def test_a_server_that_cannot_erase_yet_is_not_taken_for_one_that_holds_nothing(server: Server) -> None:
    """It answers as Feast does."""
    server.answers = [(404, {"detail": "Not Found"})]
    with pytest.raises(RefusedError, match="it answers with 404"):
        Online.of(server.url, "late-flights").holding("who", "Anna")


def test_whoever_tells_a_server_first_learns_that_it_knew_nothing(spec: ProjectSpec, server: Server) -> None:
    made = contract(spec, ROWS[["temp"]])
    server.answers = [(200, {"first": True}), (200, {"first": False})]
    assert online.define(made) == Online.of(server.url, spec.project)
    assert online.define(made) is None


def test_who_pushes_finds_the_server_of_the_projects_platform(
    make_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(FEATURES, raising=False)
    spec = make_spec(project="late-flights")
    Connection("mlplat", "local", "local", "", "", "").write()
    with pytest.raises(RefusedError, match="has no feature server") as caught:
        Online.find(spec)
    assert "features: {enabled: true}" in str(caught.value.hint)
    Connection("mlplat", "local", "local", "", "", "", features="http://127.0.0.1:6566").write()
    assert Online.find(spec).url == "http://127.0.0.1:6566/late_flights"
    # On a cluster, what runs there is told by a variable.
    monkeypatch.setenv(FEATURES, "http://online.mlplat.svc:6566")
    assert Online.find(spec).url == "http://online.mlplat.svc:6566/late_flights"


def test_a_server_that_is_away_is_asked_again_and_not_for_ever() -> None:
    pauses: list[float] = []
    tried = iter([UnreachableError("gone"), UnreachableError("gone"), "there"])

    def ask() -> object:
        found = next(tried)
        if isinstance(found, Exception):
            raise found
        return found

    assert online.patiently(ask, 30.0, pauses.append) == "there"
    assert pauses == [0.5, 1.0]

    def gone() -> None:
        raise UnreachableError("gone")

    pauses.clear()
    with pytest.raises(UnreachableError):
        online.patiently(gone, 30.0, pauses.append)
    assert 30 <= sum(pauses) < 100
