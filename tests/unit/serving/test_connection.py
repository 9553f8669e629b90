"""What clients may do to a socket: everything is answered or ended, within bounds, and nobody else notices."""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import itertools
import json
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from commands import until
from mlplat.serving.app import Server
from mlplat.serving.columns import Columns
from mlplat.serving.connection import Limits
from mlplat.serving.engines import Scores
from mlplat.serving.options import Options
from mlplat.serving.server import build

Make = Callable[..., Options]
QUICK = Limits(head_seconds=0.3, body_seconds=0.3, idle_seconds=0.3, write_seconds=0.3)
LIVE = b"GET /v2/health/live HTTP/1.1\r\nhost: s\r\n\r\n"


@pytest.fixture(params=[True, False], ids=["uvloop", "asyncio"])
def quick(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


class Hand:
    """The clock that clients' time goes by, which stands still until it is moved."""

    def __init__(self) -> None:
        self.now = time.monotonic()

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Hand:
    """Give servers such a clock: on a busy computer, a client may take any time to send its next byte."""
    made = Hand()
    monkeypatch.setattr("mlplat.serving.connection.time", made)
    return made


@pytest.fixture
def serve(
    array_bundle: Path, options: Make, listen: Callable[..., Any], quick: bool, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Any]:
    """Start a server with other limits."""
    # A test may get the processor late, and is to read why all the same.
    monkeypatch.setattr("mlplat.serving.connection.LINGER_SECONDS", 60.0)

    def begin(limits: Limits | None = None, engine: Any = None, **changes: Any) -> Any:
        server = build(options(array_bundle))
        served = server.served
        if engine is not None:
            served = dataclasses.replace(served, model=dataclasses.replace(served.model, engine=engine))
        made = Server(served, server.metrics, limits=limits or Limits(), **changes)
        return listen(made, quick=quick)

    return begin


def rows(server: Any) -> list[dict[str, Any]]:
    return [dict(one.row) for one in server.server.served.model.contract.examples]


def post(body: bytes, *headers: str, path: str = "/predict") -> bytes:
    lines = [f"POST {path} HTTP/1.1", "host: s", f"content-length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def said(connection: socket.socket) -> bytes:
    """Read until the other side ends."""
    found = b""
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(65536):
            found += part
    return found


def answer(connection: socket.socket) -> tuple[int, dict[bytes, bytes], bytes]:
    """Read one answer."""
    found = b""
    while b"\r\n\r\n" not in found:
        part = connection.recv(65536)
        assert part, found
        found += part
    head, _, body = found.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    headers = dict(line.lower().split(b": ", 1) for line in lines)
    while len(body) < int(headers.get(b"content-length", b"0")):
        body += connection.recv(65536)
    return int(first.split()[1]), headers, body


def is_alive(server: Any) -> bool:
    """Tell whether somebody else is answered."""
    with server.connect() as other:
        other.sendall(LIVE)
        return answer(other)[0] == 200


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"", None),
        (b"GET /v2/health/li", b"408"),
        (b"GET /v2/health/live HTTP/1.1\r\nx-a: b", b"408"),
        (b"POST /predict HTTP/1.1\r\nhost: s\r\ncontent-length: 10\r\n\r\n{", b"408"),
        (LIVE, b"200"),
    ],
)
def test_a_client_that_keeps_the_server_waiting_is_ended(
    serve: Callable[..., Any], clock: Hand, sent: bytes, status: bytes | None
) -> None:
    server = serve(QUICK)
    with server.connect() as connection:
        connection.sendall(sent)
        assert is_alive(server), "and so has read what was sent before"
        clock.now += 1
        found = said(connection)
    assert found.split()[1:2] == ([] if status is None else [status])
    assert is_alive(server)


def test_a_client_that_sends_a_byte_at_a_time_has_no_longer(serve: Callable[..., Any], clock: Hand) -> None:
    server = serve(QUICK)
    with server.connect() as connection:
        connection.sendall(b"POST /predict HTTP/1.1\r\nx-slow: ")
        for _ in range(4):
            connection.sendall(b"a")
            assert is_alive(server), "and so has read the byte before"
            clock.now += QUICK.head_seconds / 3
        assert b" 408 " in said(connection)


def test_a_client_that_does_not_read_is_ended(serve: Callable[..., Any]) -> None:
    server = serve(Limits(write_seconds=0.3))
    with server.connect() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with contextlib.suppress(OSError):
            for _ in range(4000):
                connection.sendall(b"GET /openapi.json HTTP/1.1\r\nhost: s\r\n\r\n" * 20)
        assert is_alive(server)
    httpx.get(f"http://127.0.0.1:{server.port}/metrics")


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\n" + b"".join(b"x-%d: a\r\n" % place for place in range(101)) + b"\r\n",
        b"GET / HTTP/1.1\r\nx: " + b"a" * 40_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"x-a: b\r\n" * 6000 + b"\r\n",
    ],
    ids=["many", "long", "long path", "repeated"],
)
def test_headers_are_bounded(serve: Callable[..., Any], sent: bytes) -> None:
    server = serve()
    with server.connect() as connection:
        connection.sendall(sent)
        assert answer(connection)[0] == 431
    assert is_alive(server)


def test_a_header_without_end_is_bounded(serve: Callable[..., Any]) -> None:
    server = serve(Limits(head_bytes=1000))
    with server.connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nx: ")
        for _ in range(400):
            connection.sendall(b"a" * 1000)
        assert answer(connection)[0] == 431
    assert is_alive(server)


@pytest.mark.parametrize("stated", [True, False])
def test_a_body_is_bounded_and_the_client_gets_to_read_why(serve: Callable[..., Any], stated: bool) -> None:
    server = serve(Limits(body_bytes=1000))
    size = b"content-length: 400000" if stated else b"transfer-encoding: chunked"
    with server.connect() as connection:
        connection.sendall(b"POST /predict HTTP/1.1\r\nhost: s\r\n" + size + b"\r\n\r\n")
        for _ in range(4):
            connection.sendall(b"a" * 100_000 if stated else b"186A0\r\n" + b"a" * 100_000 + b"\r\n")
        assert answer(connection)[0] == 413
    assert server.hub.buffered == 0


def test_bodies_of_all_connections_are_bounded_together(serve: Callable[..., Any]) -> None:
    server = serve(Limits(buffered_bytes=1500))
    with server.connect() as first, server.connect() as second:
        first.sendall(post(b" " * 1000)[:-1])
        until(lambda: server.hub.buffered == 999)
        second.sendall(post(b" " * 1000))
        status, headers, _ = answer(second)
        assert (status, headers[b"retry-after"]) == (503, b"1")
        first.sendall(b" ")
        assert answer(first)[0] == 400
    assert server.hub.buffered == 0


def test_connections_are_bounded(serve: Callable[..., Any]) -> None:
    server = serve(Limits(connections=2))
    with server.connect() as first, server.connect() as second:
        for one in (first, second):
            one.sendall(LIVE)
            assert answer(one)[0] == 200
        with server.connect() as third:
            status, headers, _ = answer(third)
            assert (status, headers[b"retry-after"]) == (503, b"1")
        first.sendall(LIVE)
        assert answer(first)[0] == 200


def test_pipelined_requests_are_answered_in_order(serve: Callable[..., Any]) -> None:
    server = serve()
    one = json.dumps({"rows": rows(server)[:1]}).encode()
    sent = b"".join(post(one, f"x-request-id: q-{place}") + LIVE for place in range(20))
    with server.connect() as connection:
        connection.sendall(sent + b"GET /v2 HTTP/1.1\r\nhost: s\r\nconnection: close\r\n\r\n")
        found = said(connection)
    assert found.count(b"HTTP/1.1 200 OK") == 41
    names = [line for line in found.split(b"\r\n") if line.startswith(b"x-request-id: q-")]
    assert names == [b"x-request-id: q-%d" % place for place in range(20)]


@pytest.mark.parametrize(
    "sent",
    [
        b"POST /predict HTTP/1.1\r\nhost: s\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nhost: s\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nabcdef",
        b"POST /predict HTTP/1.1\r\nhost: s\r\ncontent-length: -1\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nhost: s\r\ncontent-length: 99999999999999999999999\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nhost: s\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\n\r\n",
    ],
)
def test_what_two_parsers_could_read_differently_is_refused(serve: Callable[..., Any], sent: bytes) -> None:
    server = serve()
    with server.connect() as connection:
        connection.sendall(sent)
        assert answer(connection)[0] == 400
        assert said(connection) == b""


def test_an_offer_of_another_protocol_is_left(serve: Callable[..., Any]) -> None:
    server = serve()
    body = json.dumps({"rows": rows(server)[:1]}).encode()
    offer = ("connection: upgrade, http2-settings", "upgrade: h2c", "http2-settings: AAMAAABkAAQAAP__")
    with server.connect() as connection:
        connection.sendall(post(body, *offer) * 3 + LIVE.replace(b"host: s", b"connection: close"))
        assert said(connection).count(b"HTTP/1.1 200 OK") == 4


def test_a_head_is_answered_without_a_body(serve: Callable[..., Any]) -> None:
    server = serve()
    with server.connect() as connection:
        connection.sendall(b"HEAD /v2 HTTP/1.1\r\nhost: s\r\nconnection: close\r\n\r\n")
        head, _, body = said(connection).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert b"content-length: 0" not in head
    assert body == b""


def test_a_client_that_asks_first_is_told_to_go_on(serve: Callable[..., Any]) -> None:
    server = serve()
    body = json.dumps({"rows": rows(server)[:1]}).encode()
    sent = post(body, "expect: 100-continue")
    with server.connect() as connection:
        connection.sendall(sent[: -len(body)])
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        assert answer(connection)[0] == 200


def test_every_request_without_a_name_gets_one_of_its_own(serve: Callable[..., Any]) -> None:
    server = serve()
    with server.connect() as connection:
        names = set()
        for _ in range(50):
            connection.sendall(LIVE)
            names.add(answer(connection)[1][b"x-request-id"])
    assert len(names) == 50


class Held:
    """An engine that computes when it is told to."""

    form = "array"

    def __init__(self) -> None:
        self.begun, self.go = threading.Event(), threading.Event()
        self.calls = 0

    def score(self, columns: Columns) -> Scores:
        self.calls += 1
        self.begun.set()
        assert self.go.wait(20)
        return np.zeros(len(next(iter(columns.values()))))


def test_work_whose_time_is_over_is_not_begun(serve: Callable[..., Any]) -> None:
    engine = Held()
    server = serve(engine=engine, wait_seconds=100)
    body = json.dumps({"rows": rows(server)[:1]}).encode()
    with server.connect() as first, server.connect() as late, server.connect() as envoys:
        first.sendall(post(body))
        assert engine.begun.wait(20)
        late.sendall(post(body, "x-request-timeout-ms: 1"))
        envoys.sendall(post(body, "x-request-timeout-ms: 100000", "x-envoy-expected-rq-timeout-ms: 0"))
        until(lambda: server.server.lane.admitted == 3)
        time.sleep(0.01)  # All three may have come within the second one's millisecond.
        engine.go.set()
        assert [answer(one)[0] for one in (first, late, envoys)] == [200, 504, 504]
    assert engine.calls == 1
    assert 'mlplat_not_begun_total{reason="deadline"} 2.0' in metrics(server)


@pytest.mark.parametrize("value", ["soon", "-1", "1.5", "9" * 13])
def test_a_time_that_is_none_is_refused(serve: Callable[..., Any], value: str) -> None:
    server = serve()
    with server.connect() as connection:
        connection.sendall(post(b"{}", f"x-request-timeout-ms: {value}"))
        assert answer(connection)[0] == 400


def test_what_is_asked_by_a_client_that_went_away_is_not_begun(serve: Callable[..., Any]) -> None:
    engine = Held()
    server = serve(engine=engine, wait_seconds=100)
    body = json.dumps({"rows": rows(server)[:1]}).encode()
    with server.connect() as first:
        first.sendall(post(body))
        assert engine.begun.wait(20)
        with server.connect() as gone:
            gone.sendall(post(body))
            until(lambda: server.server.lane.admitted == 2)
        until(lambda: len(server.hub.connections) == 1)
        engine.go.set()
        assert answer(first)[0] == 200
    until(lambda: server.server.lane.admitted == 0)
    assert engine.calls == 1
    assert server.hub.buffered == 0


def test_the_end_answers_what_was_begun_and_takes_nothing_new(serve: Callable[..., Any]) -> None:
    engine = Held()
    server = serve(engine=engine, wait_seconds=100)
    body = json.dumps({"rows": rows(server)[:1]}).encode()
    with server.connect() as running, server.connect() as reading, server.connect() as idle:
        idle.sendall(LIVE)
        assert answer(idle)[0] == 200
        reading.sendall(post(body)[:-1])
        running.sendall(post(body))
        assert engine.begun.wait(20)
        server.stop()
        assert said(idle) == b""
        until(lambda: is_refused(server))
        reading.sendall(body[-1:])
        engine.go.set()
        for one in (running, reading):
            status, headers, _ = answer(one)
            assert (status, headers[b"connection"]) == (200, b"close")
            assert said(one) == b""
    server.close()
    assert server.all_answered


def is_refused(server: Any) -> bool:
    try:
        server.connect().close()
    except ConnectionError:
        return True
    return False


def test_overload_is_refused_and_what_was_admitted_waits_for_a_bounded_time(
    serve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forty clients ask a model of 50 ms for whose queue 0.21 s are allowed: four wait, and the others hear so."""
    moments = itertools.count()
    monkeypatch.setattr("mlplat.serving.lane.time", SimpleNamespace(perf_counter=lambda: 0.05 * next(moments)))
    engine = Held()
    server = serve(engine=engine, wait_seconds=0.21)
    body = json.dumps({"rows": rows(server)[:1]}).encode()
    engine.go.set()
    with server.connect() as first:  # it teaches the lane how long the model takes
        first.sendall(post(body))
        assert answer(first)[0] == 200
    refused = 'mlplat_requests_total{route="predict",status="503"}'
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(server.connect()) for _ in range(40)]
        for turn in (1, 2, 3):
            engine.go.clear()
            for one in clients:
                one.sendall(post(body))
            until(lambda: f"{refused} {36 * turn}.0" in metrics(server))  # noqa: B023 - it is awaited within the turn
            assert server.server.lane.admitted == 4
            engine.go.set()
            found = [answer(one) for one in clients]
            assert sorted(status for status, _, _ in found) == [200] * 4 + [503] * 36
            assert {headers[b"retry-after"] for status, headers, _ in found if status == 503} == {b"1"}


def test_requests_computed_together_are_answered_as_alone_and_do_not_spoil_each_other(
    serve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    # However slow this computer is, the model is a quick one.
    monkeypatch.setattr("mlplat.serving.lane.time", SimpleNamespace(perf_counter=lambda: 0.0))
    server = serve(wait_seconds=100)
    examples = server.server.served.model.contract.examples
    bodies = [json.dumps({"rows": [dict(one.row)]}).encode() for one in examples]
    wrong = [b"{", b'{"rows":[{"x0":1e308,"x1":1,"x2":1,"x3":1}]}', b'{"rows":[{}]}']
    sizes: list[int] = []
    compute = server.server.lane._compute

    def watched(calls: Any) -> None:
        sizes.append(len(calls))
        compute(calls)

    server.server.lane._compute = watched
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(server.connect()) for _ in range(4 * len(bodies) + len(wrong))]
        for _ in range(20):
            with server.standing():
                for one, body in zip(clients, [*bodies * 4, *wrong], strict=True):
                    one.sendall(post(body))
            found = [answer(one) for one in clients]
            for (status, _, body), example in zip(found, [*examples] * 4, strict=False):
                assert status == 200
                assert json.loads(body)["predictions"][0]["probability"] == pytest.approx(example.prediction, abs=1e-9)
            assert [status for status, _, _ in found[-3:]] == [400, 422, 422]
    assert max(sizes) > 1


def test_gzip_is_read_and_written(serve: Callable[..., Any]) -> None:
    server = serve()
    body = gzip.compress(json.dumps({"rows": rows(server) * 50}).encode())
    with server.connect() as connection:
        connection.sendall(post(body, "content-encoding: gzip", "accept-encoding: br, gzip;q=0.5"))
        status, headers, found = answer(connection)
    assert (status, headers[b"content-encoding"], headers[b"vary"]) == (200, b"gzip", b"accept-encoding")
    assert len(json.loads(gzip.decompress(found))["predictions"]) == 400


@pytest.mark.parametrize(
    ("coding", "body", "status"),
    [
        ("gzip", gzip.compress(b"\0" * 50_000_000, mtime=0), 413),
        ("gzip", gzip.compress(b"\0" * 10, mtime=0) * 1000 + gzip.compress(b"\0" * 20_000_000, mtime=0), 413),
        ("gzip", gzip.compress(b"{}", mtime=0)[:-3], 400),
        ("gzip", b"{}", 400),
        ("gzip", gzip.compress(b"{}", mtime=0) + b"rubbish", 400),
        ("br", b"{}", 415),
        ("gzip, gzip", gzip.compress(b"{}", mtime=0), 415),
        ("identity", b"{}", 422),
    ],
)
def test_a_coded_body_is_bounded_and_checked(serve: Callable[..., Any], coding: str, body: bytes, status: int) -> None:
    server = serve(Limits(body_bytes=100_000))
    with server.connect() as connection:
        connection.sendall(post(body, f"content-encoding: {coding}"))
        assert answer(connection)[0] == status
    assert is_alive(server)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(sent=st.binary(max_size=200), cuts=st.lists(st.integers(0, 200), max_size=3))
def test_no_bytes_on_a_socket_make_the_server_fail(fuzzed: Any, sent: bytes, cuts: list[int]) -> None:
    with fuzzed.connect() as connection:
        with contextlib.suppress(OSError):
            for begin, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(sent)], strict=True):
                connection.sendall(sent[begin:end])
            connection.shutdown(socket.SHUT_WR)
        found = said(connection)
    assert not found or found.split(b" ")[1][:1] in {b"2", b"4"}


@pytest.fixture
def fuzzed(serve: Callable[..., Any]) -> Any:
    """One server for all examples."""
    return serve()


def metrics(server: Any) -> str:
    return httpx.get(f"http://127.0.0.1:{server.port}/metrics", timeout=60).text
