"""What wrk is told, and what is read of its answer."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bench import load
from bench.load import LoadError, measure, parse, script
from mlplat.errors import MlplatError

SAID = {"requests": 2000, "microseconds": 4_000_000, "errors": 0, "p50": 1500, "p99": 9000, "longest": 20_000}


def told(**changes: int) -> str:
    return f"Running 4s test\n{load.MARK}{json.dumps(SAID | changes)}\n"


def test_figures_are_in_requests_a_second_and_milliseconds() -> None:
    found = parse(told())
    assert (found.requests_per_second, found.p50_ms, found.p99_ms, found.longest_ms) == (500, 1.5, 9, 20)


def test_one_failed_request_fails_the_row() -> None:
    with pytest.raises(LoadError, match="1 of 2000 requests failed"):
        parse(told(errors=1))


def test_no_answer_at_all_is_no_speed() -> None:
    with pytest.raises(LoadError, match="no request was answered"):
        parse(told(requests=0))


def test_what_cannot_be_read_is_shown() -> None:
    with pytest.raises(LoadError, match="unable to connect"):
        parse("unable to connect to 127.0.0.1")


@pytest.mark.parametrize("body", [b'{"a": "]]"}', b'{"a": "]=]"}', b'["]==]", "]=]"]'])
def test_no_body_ends_its_own_lua_string(body: bytes) -> None:
    line = script(body).split("wrk.body = ")[1]
    level = line[1 : line.index("[", 1)]
    assert line.split(f"[{level}[\n", 1)[1].split(f"]{level}]", 1)[0] == body.decode()


def test_a_missing_load_generator_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MlplatError, match="`wrk`") as caught:
        load.find_wrk()
    assert "Debian" in (caught.value.hint or "")


class Answers(BaseHTTPRequestHandler):
    """Answers a known body, and nothing else, with success."""

    protocol_version = "HTTP/1.1"
    wanted = b""

    def do_POST(self) -> None:
        found = self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200 if found == self.wanted else 422)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""


@pytest.fixture
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not on PATH")
@pytest.mark.parametrize("body", ['{"a": "]] ]=] \\" ö\\n"}'.encode()])
def test_the_server_gets_exactly_the_body_and_a_refusal_is_an_error(
    address: str, body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Answers, "wanted", body)
    assert measure(address, body, connections=1, seconds=1).requests > 0
    with pytest.raises(LoadError, match="requests failed"):
        measure(address, b"{}", connections=1, seconds=1)
