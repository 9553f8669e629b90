from __future__ import annotations

import contextlib
import queue
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import portforwarding
from knowncluster import KnownCluster, made
from mlplat.cluster import Cluster
from mlplat.errors import NotReadyError, UnreachableError
from mlplat.targets.kubernetes import forward
from mlplat.targets.kubernetes.forward import Backend, Forward, Stream, Target

TRACKING = Target("mlplat", "tracking", 5000)
POD = Backend("mlplat", "tracking-1", 5000)
WAIT = 120
"""Seconds after which something stands still: its threads get the processor last where tests run side by side."""


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("http://tracking.mlplat.svc:5000", TRACKING),
        ("http://tracking.mlplat.svc.cluster.local:5000/api", TRACKING),
        ("https://envoy-1.envoy-gateway-system.svc", Target("envoy-gateway-system", "envoy-1", 443)),
        ("http://ml.example.com", None),
        ("http://127.0.0.1:5000", None),
        ("http://tracking.mlplat.svc.example.com", None),
    ],
)
def test_only_names_that_the_clusters_own_dns_knows_are_forwarded(url: str, target: Target | None) -> None:
    assert forward.inside(url) == target


def service(*endpoints: dict[str, Any]) -> KnownCluster:
    ports = [{"name": "metrics", "port": 9000}, {"name": "http", "port": 5000, "targetPort": "http"}]
    labels = {"kubernetes.io/service-name": "tracking"}
    return KnownCluster(
        made("Service", "tracking", "mlplat", spec={"ports": ports}),
        made(
            "EndpointSlice",
            "tracking-1",
            "mlplat",
            forward.SLICES,
            metadata={"labels": labels},
            ports=[{"name": "metrics", "port": 9000}, {"name": "http", "port": 8080}],
            endpoints=list(endpoints),
        ),
    )


def pod(name: str, **conditions: bool) -> dict[str, Any]:
    return {"targetRef": {"kind": "Pod", "name": name}, "conditions": conditions}


def find(cluster: KnownCluster, target: Target = TRACKING) -> Backend:
    return forward.backend(cluster, target)  # type: ignore[arg-type]


def test_a_ready_pod_answers_on_its_own_port() -> None:
    assert find(service(pod("old", ready=False), pod("new", ready=True))) == Backend("mlplat", "new", 8080)
    assert find(service(pod("unsure"))).pod == "unsure"


@pytest.mark.parametrize(
    ("cluster", "target", "said"),
    [
        (service(), TRACKING, "no pod is ready"),
        (service(pod("old", ready=False)), TRACKING, "no pod is ready"),
        (KnownCluster(), TRACKING, "has no service `tracking`"),
        (service(), Target("mlplat", "tracking", 1), "has the ports 9000, 5000"),
    ],
)
def test_what_nobody_answers_is_said(cluster: KnownCluster, target: Target, said: str) -> None:
    with pytest.raises(NotReadyError, match=said):
        find(cluster, target)


@pytest.fixture
def echo() -> Iterator[int]:
    """Return the port of a server that sends back what it gets, in capitals."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    here, _ = listener.accept()
                    threading.Thread(target=answer, args=(here,), daemon=True).start()

        def answer(here: socket.socket) -> None:
            with here, contextlib.suppress(OSError):
                while data := here.recv(1024):
                    here.sendall(data.upper())

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(WAIT)
        assert not thread.is_alive()


@contextlib.contextmanager
def forwarding(found: Any, connect: Any, tell: Callable[[str], None]) -> Iterator[Forward]:
    made = Forward(found, connect, tell, 0)
    try:
        yield made
    finally:
        made.close()


def test_every_connection_finds_its_pod_anew_and_passes_both_ways(echo: int) -> None:
    pods = iter([POD, Backend("mlplat", "tracking-2", 5000)])
    asked: list[str] = []

    def connect(to: Backend) -> Stream:
        asked.append(to.pod)
        return Stream(socket.create_connection(("127.0.0.1", echo)))

    with forwarding(lambda: next(pods), connect, print) as made:
        for text in (b"one", b"two"):
            with socket.create_connection(("127.0.0.1", made.port)) as client:
                client.sendall(text)
                assert client.recv(16) == text.upper()
    assert asked == ["tracking-1", "tracking-2"]


def test_much_data_both_ways_at_once_does_not_stop_it(echo: int) -> None:
    size = 4_000_000
    with (
        forwarding(lambda: POD, lambda _: Stream(socket.create_connection(("127.0.0.1", echo))), print) as made,
        socket.create_connection(("127.0.0.1", made.port)) as client,
    ):
        writer = threading.Thread(target=client.sendall, args=(b"a" * size,))
        writer.start()
        got = 0
        while got < size:
            data = client.recv(65_536)
            assert set(data) == {ord("A")}
            got += len(data)
        writer.join(WAIT)
        assert not writer.is_alive()


def test_a_pod_that_cannot_be_reached_ends_that_connection_and_is_said() -> None:
    told: queue.Queue[str] = queue.Queue()

    def connect(_: Backend) -> Stream:
        raise UnreachableError("no port can be forwarded", hint="ask for the right")

    with (
        forwarding(lambda: POD, connect, told.put) as made,
        socket.create_connection(("127.0.0.1", made.port), timeout=WAIT) as client,
    ):
        assert client.recv(16) == b""
    assert told.get(timeout=WAIT) == "no port can be forwarded\nhint: ask for the right"


def test_only_loopback_listens_and_nothing_after_the_end(echo: int) -> None:
    with forwarding(lambda: POD, lambda _: Stream(socket.create_connection(("127.0.0.1", echo))), print) as made:
        assert made._listener.getsockname()[0] == "127.0.0.1"
        client = socket.create_connection(("127.0.0.1", made.port), timeout=WAIT)
        client.sendall(b"x")
        assert client.recv(1) == b"X"
    with client:
        assert client.recv(1) == b""
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", made.port))


def test_the_end_ends_a_connection_that_is_still_being_made() -> None:
    asked, go = threading.Event(), threading.Event()
    ours, theirs = socket.socketpair()

    def connect(_: Backend) -> Stream:
        asked.set()
        assert go.wait(WAIT)
        return Stream(ours)

    with theirs:
        theirs.settimeout(WAIT)
        with forwarding(lambda: POD, connect, print) as made:
            client = socket.create_connection(("127.0.0.1", made.port), timeout=WAIT)
            assert asked.wait(WAIT)
        with client:
            assert client.recv(1) == b"", "whoever waits is not kept waiting for the pod"
        go.set()
        assert theirs.recv(1) == b"", "and nothing stays open to it"


def test_an_address_outside_of_the_cluster_is_left_as_it_is() -> None:
    with forward.forwarded(KnownCluster(), "https://ml.example.com/x") as url:  # type: ignore[arg-type]
        assert url == "https://ml.example.com/x"


def test_a_stream_of_the_api_server_carries_a_connection(tmp_path: Path) -> None:
    with (
        portforwarding.server(tmp_path, bytes.upper) as kubeconfig,
        Cluster.of_context("tests", kubeconfig) as cluster,
        forwarding(lambda: POD, forward.Tunnel(cluster).open, print) as made,
        socket.create_connection(("127.0.0.1", made.port), timeout=WAIT) as client,
    ):
        for text in (b"one", b"two" * 100):
            client.sendall(text)
            assert client.recv(1024) == text.upper()


def test_a_port_that_nothing_listens_on_ends_the_connection_and_is_said(tmp_path: Path) -> None:
    told: queue.Queue[str] = queue.Queue()
    with (
        portforwarding.server(tmp_path, bytes.upper, fault="connection refused") as kubeconfig,
        Cluster.of_context("tests", kubeconfig) as cluster,
        forwarding(lambda: POD, forward.Tunnel(cluster).open, told.put) as made,
        socket.create_connection(("127.0.0.1", made.port), timeout=WAIT) as client,
    ):
        assert client.recv(1024) == b""
        assert told.get(timeout=WAIT) == "connection refused"


def test_a_stream_that_is_refused_is_told_with_the_right_that_it_takes(tmp_path: Path) -> None:
    with (
        portforwarding.server(tmp_path, bytes.upper) as kubeconfig,
        Cluster.of_context("tests", kubeconfig) as cluster,
        pytest.raises(UnreachableError, match="no port can be forwarded to mlplat/other") as caught,
    ):
        forward.Tunnel(cluster).open(Backend("mlplat", "other", 5000))
    assert "`pods/portforward`" in str(caught.value.hint)
