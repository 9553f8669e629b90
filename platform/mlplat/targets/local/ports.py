"""Ports: a taken one is found before anything is started, and its holder is named."""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Iterable, Mapping
from typing import Protocol

from mlplat.errors import StateError


class Listening(Protocol):
    """Whatever listens on ports under a name."""

    @property
    def name(self) -> str:
        """The service's name."""

    @property
    def ports(self) -> Mapping[str, int]:
        """Port by its name."""


def is_free(port: int) -> bool:
    """Tell whether a service could listen on a loopback port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            if error.errno in {errno.EADDRINUSE, errno.EACCES}:
                return False
            raise
        return True


def holder(port: int) -> str | None:
    """Return `name (pid N)` of whoever listens on a port, as far as this user may see it."""
    import psutil

    with contextlib.suppress(psutil.Error, OSError):
        for connection in psutil.net_connections(kind="tcp"):
            local = connection.laddr
            if connection.status == psutil.CONN_LISTEN and local and local.port == port and connection.pid:
                return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
    return None


def refuse_taken(services: Iterable[Listening]) -> None:
    """Raise `StateError` naming every port that a service needs and another process holds."""
    taken = [
        (service.name, name, port) for service in services for name, port in service.ports.items() if not is_free(port)
    ]
    if not taken:
        return
    lines = [
        f"port {port}, which `{owner}` needs, is held by {holder(port) or 'another process'}"
        for owner, _, port in taken
    ]
    keys = ", ".join(f"`{_key(owner, name)}`" for owner, name, _ in taken)
    raise StateError("\n".join(lines), hint=f"end it, or set {keys} in the stack file")


def _key(service: str, port: str) -> str:
    return f"{service}.port" if port == "http" else f"{service}.{port}_port"
