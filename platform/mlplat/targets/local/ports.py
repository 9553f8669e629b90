"""Ports: a taken one is found before anything is started, and its holder is named; or a free one is chosen and kept."""

from __future__ import annotations

import contextlib
import errno
import json
import socket
from collections.abc import Container, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

from mlplat.errors import StateError
from mlplat.files import state_dir
from mlplat.spec.platform import FeatureServerSpec, PlatformSpec
from mlplat.supervision import OWNER_VARIABLE
from mlplat.targets.local.folders import PLAN_FILE, state_folder

FIRST = "serving.first_port"
BLOCK = 100
"""Ports that a platform keeps for its model servers, from `serving.first_port` on."""
LAST = 65535


class Listening(Protocol):
    """Whatever listens on ports under a name."""

    @property
    def name(self) -> str:
        """The service's name."""

    @property
    def ports(self) -> Mapping[str, int]:
        """Port by its name."""


class PortTakenError(StateError):
    """Another platform has recorded a port that was chosen for this one."""


def assigned(spec: PlatformSpec, stack: str) -> PlatformSpec:
    """Return a spec in which every port is written, choosing those that are left to us; makes nothing.

    A port that was recorded stays, whether or not the platform runs, unless another program has taken it since; a new
    one is free and recorded by no other platform here. Raises `StateError` when there is none.
    """
    open_keys = [key for key in spec.port_keys() if spec.chooses(key)]
    if not open_keys:
        return spec
    state = state_folder(spec, stack)
    kept, others = _recorded(state), list(_others(state))
    chosen = {key: port for key, port in spec.port_keys().items() if key not in open_keys}
    for key in open_keys:
        chosen[key] = _choose(key, kept.get(key), spec.port_keys()[key], chosen, others, state)
    return spec.with_ports(chosen)


def refuse_recorded(spec: PlatformSpec, stack: str) -> None:
    """Raise `PortTakenError` when another platform has recorded a port that was chosen for this one."""
    if spec.ports != "auto":
        return
    for other in _others(state_folder(spec, stack)):
        for key, port in spec.port_keys().items():
            if _clash(key, port, other):
                raise PortTakenError(
                    f"`{key}`: port {port} was taken by another platform just now", hint="run it again"
                )


def _choose(
    key: str, kept: int | None, default: int, chosen: Mapping[str, int], others: list[dict[str, int]], state: Path
) -> int:
    def fits(port: int) -> bool:
        apart = not any(_clash(key, port, other) for other in [chosen, *others])
        # What a model server gets is looked for when it starts.
        return apart and (key == FIRST or is_free(port) or is_ours(port, state))

    if kept is not None and fits(kept):
        return kept
    step = BLOCK if key == FIRST else 1
    for port in range(default, LAST - step, step):
        if fits(port):
            return port
    raise StateError(f"`{key}`: no port from {default} on is free", hint=f"set `{key}` in the stack file")


def _clash(key: str, port: int, others: Mapping[str, int]) -> bool:
    mine = range(port, port + (BLOCK if key == FIRST else 1))
    for other, start in others.items():
        theirs = range(start, start + (BLOCK if other == FIRST else 1))
        if mine.start < theirs.stop and theirs.start < mine.stop:
            return True
    return False


def _recorded(state: Path) -> dict[str, int]:
    """Return the ports by key that a platform was last brought up with."""
    try:
        written = json.loads((state / PLAN_FILE).read_bytes())["spec"]
        named = [(key, *key.split(".")) for key in PlatformSpec(features=FeatureServerSpec(enabled=True)).port_keys()]
        # What an older version wrote has no feature server, and one that is not enabled has no port.
        there = [each for each in named if written.get(each[1], {"enabled": False}).get("enabled", True)]
        return {key: int(written[group][name]) for key, group, name in there}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def _others(state: Path) -> Iterator[dict[str, int]]:
    for path in state_dir().glob(f"*/*/{PLAN_FILE}"):
        if path.parent != state:
            yield _recorded(path.parent)


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


def is_ours(port: int, state: Path) -> bool:
    """Tell whether a process of the platform in this state folder listens on a port."""
    import psutil

    with contextlib.suppress(psutil.Error, OSError):
        pid = _listener(port)
        return pid is not None and psutil.Process(pid).environ().get(OWNER_VARIABLE) == str(state)
    return False


def holder(port: int) -> str | None:
    """Return `name (pid N)` of whoever listens on a port, as far as this user may see it."""
    import psutil

    with contextlib.suppress(psutil.Error, OSError):
        pid = _listener(port)
        return f"{psutil.Process(pid).name()} (pid {pid})" if pid else None
    return None


def _listener(port: int) -> int | None:
    import psutil

    for connection in psutil.net_connections(kind="tcp"):
        local = connection.laddr
        if connection.status == psutil.CONN_LISTEN and local and local.port == port and connection.pid:
            return int(connection.pid)
    return None


def refuse_taken(services: Iterable[Listening], ours: Container[int] = ()) -> None:
    """Raise `StateError` naming every port that a service needs and another process holds.

    `ours` are the ports of services that run: each has its own, and one that moves sets its former one free.
    """
    taken = [
        (service.name, name, port)
        for service in services
        for name, port in service.ports.items()
        if port not in ours and not is_free(port)
    ]
    if not taken:
        return
    lines = [
        f"port {port}, which `{owner}` needs, is held by {holder(port) or 'another process'}"
        for owner, _, port in taken
    ]
    keys = ", ".join(f"`{port_key(owner, name)}`" for owner, name, _ in taken)
    raise StateError("\n".join(lines), hint=f"end it, or set {keys} or `ports: auto` in the stack file")


def port_key(service: str, port: str) -> str:
    """Return the key of the stack file that sets a service's port."""
    return f"{service}.port" if port == "http" else f"{service}.{port}_port"
