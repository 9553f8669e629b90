"""Bringing a local platform to what its spec says, and ending it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from mlplat import services
from mlplat.contracts import Connection, Foundation, Platform
from mlplat.errors import StateError
from mlplat.spec.platform import PlatformSpec
from mlplat.supervision import Supervisor, locked
from mlplat.targets.local import ready
from mlplat.targets.local.folders import state_folder, store_address
from mlplat.targets.local.foundation import PLAN_FILE, foundation, provision, record
from mlplat.targets.local.plan import Change, environment_changes, service_changes
from mlplat.targets.local.resolve import Resolved, resolve
from mlplat.targets.local.service import OWNER, Tell, bring


@dataclass(frozen=True)
class Plan:
    """A spec held against this computer."""

    spec: PlatformSpec
    stack: str
    foundation: Foundation
    wanted: dict[str, Resolved]
    changes: list[Change]

    @property
    def connection(self) -> Connection:
        return connection(self.spec, self.stack, self.foundation)


def plan(spec: PlatformSpec, stack: str) -> Plan:
    """Work out what an `up` would do. Touches nothing."""
    base = foundation(spec, stack)
    wanted = {service.name: resolve(service, spec, base) for service in services.of(spec)}
    supervisor = Supervisor(Path(base.state))
    changes = [
        *environment_changes(wanted),
        *service_changes(wanted, supervisor.read(OWNER), supervisor.processes()),
    ]
    if not connection(spec, stack, base).is_written():
        changes.append(Change("update", "connection", f"{spec.name}.{stack}"))
    return Plan(spec, stack, base, wanted, changes)


def install(planned: Plan, tell: Tell) -> Platform:
    """Do what a plan says, and wait until every service is ready.

    Endpoints are not touched. Raises `StateError`, `NotReadyError` or `InstallError`; what was started until then
    stays, and the next `up` goes on from there.
    """
    base = provision(planned.spec, planned.stack)
    record(planned.spec, planned.stack, base)
    bring(Path(base.state), planned.wanted.values(), tell, who="mlplat up", only=True)
    planned.connection.write()
    return platform(planned.spec, planned.stack)


def platform(spec: PlatformSpec, stack: str) -> Platform:
    """Return the addresses of a platform."""
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
    )


def is_installed(spec: PlatformSpec, stack: str) -> bool:
    """Tell whether an `up` was ever applied here."""
    return (state_folder(spec, stack) / PLAN_FILE).is_file()


def end(spec: PlatformSpec, stack: str) -> list[str]:
    """End every process of a platform, endpoints' included; return the names of what ran. Data stays."""
    supervisor = Supervisor(state_folder(spec, stack))
    if not supervisor.state.is_dir():
        return []
    with locked(supervisor.state, "mlplat down"):
        ran = [process.name for process in supervisor.processes().values() if process.pid]
        supervisor.stop()
        orphans = supervisor.end_orphans()
    return [*ran, *(f"process {pid}" for pid in orphans)]


def delete_data(spec: PlatformSpec, stack: str) -> None:
    """Remove a platform's state, which must have been ended. Raises `StateError` for a folder that is not one's."""
    state = state_folder(spec, stack)
    if state.exists() and not is_installed(spec, stack):
        raise StateError(
            f"{state}: holds no {PLAN_FILE}, so it is no platform's", hint="remove it by hand if it may go"
        )
    shutil.rmtree(state, ignore_errors=False) if state.exists() else None
    Connection.path(spec.name, stack).unlink(missing_ok=True)
