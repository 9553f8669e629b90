"""Bringing a local platform to what its spec says, and ending it."""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import dataclass
from pathlib import Path

from mlplat import codebase, services
from mlplat.contracts import Connection, Foundation, Platform
from mlplat.errors import StateError
from mlplat.files import writing
from mlplat.locking import lock
from mlplat.spec.platform import PlatformSpec
from mlplat.supervision import Supervisor, locked
from mlplat.targets.local import ports, ready, watchdog
from mlplat.targets.local.folders import COMMAND_LOCK, PLAN_FILE, state_folder, store_address
from mlplat.targets.local.foundation import foundation, provision, record, refuse_newer
from mlplat.targets.local.plan import (
    Change,
    environment_changes,
    file_changes,
    record_changes,
    service_changes,
    watchdog_changes,
)
from mlplat.targets.local.resolve import Resolved, resolve
from mlplat.targets.local.service import OWNER, PATIENCE, Tell, bring

SLOW_SECONDS = 0.5
"""Time from which a person wants to know what was waited for."""


@dataclass(frozen=True)
class Plan:
    """A spec held against this computer."""

    written: PlatformSpec
    """As the stack file has it."""
    spec: PlatformSpec
    """With every port that was left to us."""
    stack: str
    foundation: Foundation
    wanted: dict[str, Resolved]
    changes: list[Change]

    def chosen(self) -> list[str]:
        """Return a line for every port that was left to us."""
        ports = self.spec.port_keys()
        return [f"{key} is {port}" for key, port in ports.items() if self.written.chooses(key)]

    @property
    def connection(self) -> Connection:
        return connection(self.spec, self.stack, self.foundation)


def plan(spec: PlatformSpec, stack: str) -> Plan:
    """Work out what an `up` would do. Touches nothing. Raises `NewerStateError` for a newer mlplat's state."""
    written, spec = spec, ports.assigned(spec, stack)
    base = foundation(spec, stack)
    broken = refuse_newer(Path(base.state))
    wanted = {service.name: resolve(service, spec, base) for service in services.of(spec)}
    supervisor = Supervisor(Path(base.state))
    processes = supervisor.processes()
    there = {} if supervisor.file(OWNER) in supervisor.damaged() else supervisor.read(OWNER)
    guard = {} if supervisor.file(watchdog.OWNER) in supervisor.damaged() else supervisor.read(watchdog.OWNER)
    changes = [
        *environment_changes(wanted),
        *file_changes(supervisor),
        *record_changes(supervisor.state, wanted),
        *service_changes(wanted, there, processes),
        *watchdog_changes(
            watchdog.program(supervisor.state, codebase.place()),
            guard.get(watchdog.NAME),
            awake=watchdog.is_awake(processes.get(watchdog.NAME)),
        ),
    ]
    if broken:
        changes.append(Change("update", "file", PLAN_FILE, ("cannot be read",)))
    if not connection(spec, stack, base).is_written():
        changes.append(Change("update", "connection", f"{spec.name}.{stack}"))
    return Plan(written, spec, stack, base, wanted, changes)


def install(planned: Plan, tell: Tell) -> Platform:
    """Do what a plan says, and wait until every service is ready.

    Endpoints are not touched. Raises `StateError`, `NotReadyError` or `InstallError`; what was started until then
    stays, and the next `up` goes on from there.
    """
    base = provision(planned.spec, planned.stack, planned.foundation)
    try:
        record(planned.spec, planned.stack, base)
    except ports.PortTakenError:
        # Another platform was faster, and has recorded it by now: so the next choice is another one.
        return install(plan(planned.written, planned.stack), tell)
    bring(Path(base.state), planned.wanted.values(), tell, who="mlplat up", only=True)
    connected = planned.connection
    with writing(connected.path(connected.platform, connected.stack).parent):
        connected.write()
    return platform(planned.spec, planned.stack)


def await_ready(planned: Plan, tell: Tell) -> None:
    """Wait until every service is ready, on a platform that needs no change; tell of those that took a while.

    Raises `NotReadyError`.
    """

    def said(name: str, seconds: float) -> None:
        if seconds > SLOW_SECONDS:
            tell(f"{name}: ready after {seconds:.1f} s")

    ready.wait(planned.wanted.values(), Supervisor(Path(planned.foundation.state)), said)


def platform(spec: PlatformSpec, stack: str) -> Platform:
    """Return the addresses of a platform."""
    spec = ports.assigned(spec, stack)
    addresses = {service.name: ready.address(service) for service in services.of(spec)}
    return Platform(spec.name, stack, spec.target, addresses)


def connection(spec: PlatformSpec, stack: str, base: Foundation) -> Connection:
    """Return how projects reach a platform."""
    reached = platform(spec, stack).endpoints
    return Connection(
        platform=spec.name,
        stack=stack,
        target=spec.target,
        tracking=reached["tracking"],
        gateway=reached["gateway"],
        store=store_address(base),
        clock=base.clock,
        features=reached.get("features"),
    )


def is_installed(spec: PlatformSpec, stack: str) -> bool:
    """Tell whether an `up` was ever applied here."""
    return (state_folder(spec, stack) / PLAN_FILE).is_file()


def commanding(
    spec: PlatformSpec, stack: str, who: str, timeout: float, waiting: Tell
) -> contextlib.AbstractContextManager[None]:
    """Be the only `up` or `down` of a platform: of two at once, the second waits, and is told for whom.

    Raises `StateError` naming the other one after `timeout` seconds.
    """
    return lock(state_folder(spec, stack) / COMMAND_LOCK, who, timeout=timeout, waiting=waiting)


def end(spec: PlatformSpec, stack: str, *, who: str = "mlplat down") -> list[str]:
    """End every process of a platform, endpoints' included; return the names of what ran. Data stays."""
    supervisor = Supervisor(state_folder(spec, stack))
    if not supervisor.state.is_dir():
        return []
    refuse_newer(supervisor.state)
    with locked(supervisor.state, who):
        ran = [process.name for process in supervisor.processes().values() if process.pid]
        supervisor.stop()
        orphans = supervisor.end_orphans(patience=PATIENCE)
    return [*ran, *(each.name for each in orphans if each.name not in ran)]


def delete_data(spec: PlatformSpec, stack: str) -> None:
    """Remove a platform's state, which must have been ended. Raises `StateError` for a folder that is not one's."""
    state = state_folder(spec, stack)
    if state.exists() and not is_installed(spec, stack):
        raise StateError(
            f"{state}: holds no {PLAN_FILE}, so it is no platform's", hint="remove it by hand if it may go"
        )
    shutil.rmtree(state, ignore_errors=False) if state.exists() else None
    Connection.path(spec.name, stack).unlink(missing_ok=True)
