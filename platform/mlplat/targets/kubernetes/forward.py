"""Ports of this computer that lead into a cluster: for pages and addresses that nobody outside of it reaches.

Only loopback listens. Every connection asks anew which pod answers, so that one that was replaced is followed; what the
API server must allow for it is `create` on `pods/portforward` in the service's namespace.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit, urlunsplit

from mlplat.cluster import Cluster
from mlplat.errors import MlplatError, NotReadyError, UnreachableError

Tell = Callable[[str], None]
LOOPBACK = "127.0.0.1"
INSIDE = ".svc"
"""Ends the names that only a cluster's own DNS knows."""
SCHEME_PORTS = {"http": 80, "https": 443}
CHUNK = 65_536
SLICES = "discovery.k8s.io/v1"


class Remote(Protocol):
    """The far end of one connection."""

    def recv(self, size: int, /) -> bytes:
        """Return what came, nothing at the end."""

    def sendall(self, data: bytes, /) -> None:
        """Send all of it."""

    def close(self) -> None:
        """End it."""


@dataclass(frozen=True)
class Target:
    """A port of a service."""

    namespace: str
    service: str
    port: int

    def __str__(self) -> str:
        return f"{self.namespace}/{self.service}:{self.port}"


@dataclass(frozen=True)
class Backend:
    """A pod that answers for a service, and its own port."""

    namespace: str
    pod: str
    port: int


def inside(url: str) -> Target | None:
    """Return the service that an address is of, where only the cluster knows its name; else None."""
    parts = urlsplit(url)
    host = (parts.hostname or "").removesuffix(".cluster.local")
    labels = host.removesuffix(INSIDE).split(".")
    if not host.endswith(INSIDE) or len(labels) != 2:  # noqa: PLR2004 - service and namespace
        return None
    return Target(labels[1], labels[0], parts.port or SCHEME_PORTS.get(parts.scheme, 80))


def backend(cluster: Cluster, target: Target) -> Backend:
    """Return a pod that is ready to answer for a service. Raises `NotReadyError` where none is."""
    found = cluster.get("v1", "Service", target.service, target.namespace)
    if found is None:
        raise NotReadyError(
            f"{target.namespace} has no service `{target.service}`", hint="`mlplat status` shows what the cluster has"
        )
    port = next((each for each in found["spec"].get("ports", []) if each["port"] == target.port), None)
    if port is None:
        known = ", ".join(str(each["port"]) for each in found["spec"].get("ports", []))
        raise NotReadyError(f"{target}: the service has the ports {known or 'none'}")
    labels = {"kubernetes.io/service-name": target.service}
    for piece in cluster.list(SLICES, "EndpointSlice", target.namespace, labels):
        if chosen := _ready(piece, port.get("name") or ""):
            return Backend(target.namespace, *chosen)
    raise NotReadyError(f"{target}: no pod is ready to answer", hint="`mlplat status` and `mlplat logs` show why")


def _ready(piece: Mapping[str, Any], name: str) -> tuple[str, int] | None:
    """Return the first ready pod of a slice, and its port of that name."""
    port = next((each["port"] for each in piece.get("ports") or [] if (each.get("name") or "") == name), None)
    for each in piece.get("endpoints") or []:
        to = each.get("targetRef") or {}
        # Unknown counts as ready, as the API says.
        if port and to.get("kind") == "Pod" and (each.get("conditions") or {}).get("ready") is not False:
            return str(to["name"]), int(port)
    return None


@dataclass(frozen=True)
class Stream:
    """A connection to a pod."""

    end: Remote
    fault: Callable[[], str | None] = lambda: None
    """What the node says of it, such as that nothing listens there."""


class Tunnel:
    """Opens connections to pods through the API server."""

    def __init__(self, cluster: Cluster) -> None:
        from kubernetes.client import ApiClient, CoreV1Api

        # The client's way to open a stream swaps parts of it for that call: it must be nobody else's meanwhile.
        self._api = CoreV1Api(ApiClient(cluster.client.configuration))
        self._lock = threading.Lock()

    def open(self, to: Backend) -> Stream:
        """Connect to a pod. Raises `UnreachableError`, with the API server's own words."""
        from kubernetes.client.exceptions import ApiException
        from kubernetes.stream import portforward

        method = self._api.connect_get_namespaced_pod_portforward
        try:
            with self._lock:
                found = portforward(method, to.pod, to.namespace, ports=str(to.port))
        except ApiException as error:
            raise UnreachableError(
                f"no port can be forwarded to {to.namespace}/{to.pod}: {error.reason}",
                hint="it takes the right to `create` `pods/portforward` there",
            ) from error
        return Stream(found.socket(to.port), lambda: found.error(to.port))


class Forward:
    """A port of this computer that leads to a service, until it is closed."""

    def __init__(
        self, find: Callable[[], Backend], connect: Callable[[Backend], Stream], tell: Tell, port: int
    ) -> None:
        self._find, self._connect, self._tell = find, connect, tell
        self._listener = socket.create_server((LOOPBACK, port))
        self.port: int = self._listener.getsockname()[1]
        self._open: set[Any] = set()
        self._closed = False
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, name=f"forward-{self.port}", daemon=True).start()

    def close(self) -> None:
        """End it, and every connection through it."""
        # Closing alone does not wake the thread that waits in it.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            self._closed, left = True, list(self._open)
        for each in left:
            _end(each)

    def _accept(self) -> None:
        while True:
            try:
                here, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(here,), daemon=True).start()

    def _serve(self, here: socket.socket) -> None:
        with self._kept(here):
            try:
                stream = self._connect(self._find())
            except MlplatError as error:
                self._tell(error.told())
                return
            with self._kept(stream.end):
                self._pass(here, stream.end)
        if fault := stream.fault():
            self._tell(fault.strip())

    def _pass(self, here: socket.socket, there: Remote) -> None:
        # A direction each: one that waits for a full buffer must not keep the other from emptying it.
        upward = threading.Thread(target=_pump, args=(here, there), daemon=True)
        upward.start()
        _pump(there, here)
        upward.join()

    @contextlib.contextmanager
    def _kept(self, end: Any) -> Iterator[None]:
        """Have one end of a connection ended with the forward, at once where that has been closed, and afterwards."""
        with self._lock:
            self._open.add(end)
            closed = self._closed
        if closed:
            _end(end)
        try:
            yield
        finally:
            with self._lock:
                self._open.discard(end)
            _end(end)


def _pump(source: Any, sink: Any) -> None:
    """Pass on what comes until either end is closed, then close both."""
    with contextlib.suppress(OSError):
        while data := source.recv(CHUNK):
            sink.sendall(data)
    _end(source)
    _end(sink)


def _end(end: Any) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    with contextlib.suppress(OSError):
        end.close()


@contextlib.contextmanager
def forwarding(cluster: Cluster, target: Target, tell: Tell, port: int = 0) -> Iterator[int]:
    """Forward a port of loopback, any free one unless named, to a service; yield it.

    Raises `NotReadyError` where nobody would answer, `UnreachableError` for a port that is taken.
    """
    backend(cluster, target)
    tunnel = Tunnel(cluster)
    try:
        made = Forward(lambda: backend(cluster, target), tunnel.open, tell, port)
    except OSError as error:
        raise UnreachableError(
            f"port {port} of this computer cannot be used: {error.strerror}", hint="another one with `--port`"
        ) from error
    try:
        yield made.port
    finally:
        made.close()


@contextlib.contextmanager
def forwarded(cluster: Cluster, url: str, tell: Tell = lambda _: None) -> Iterator[str]:
    """Yield the address by which `url` is reached from here: itself, unless only the cluster knows its name."""
    target = inside(url)
    if target is None:
        yield url
        return
    with forwarding(cluster, target, tell) as port:
        yield urlunsplit(urlsplit(url)._replace(netloc=f"{LOOPBACK}:{port}"))
