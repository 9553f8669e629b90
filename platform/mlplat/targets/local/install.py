"""Bringing a local platform to what its spec says, and ending it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import mlplat
from mlplat import environment, services
from mlplat.contracts import Connection, Foundation, Platform
from mlplat.errors import StateError
from mlplat.files import write_atomic, write_if_changed
from mlplat.services import Service
from mlplat.spec.platform import PlatformSpec
from mlplat.supervision import Supervisor, locked
from mlplat.targets.local import ports, ready
from mlplat.targets.local.folders import state_folder, store_address
from mlplat.targets.local.foundation import foundation, provision
from mlplat.targets.local.plan import Change, environment_changes, service_changes
from mlplat.targets.local.resolve import Resolved, resolve

PLAN_FILE = "plan.json"
PLAN_VERSION = 1
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """A spec held against this computer."""

    spec: PlatformSpec
    stack: str
    foundation: Foundation
    wanted: dict[str, Resolved]
    changes: list[Change]

    @property
    def services(self) -> list[Service]:
        return [resolved.service for resolved in self.wanted.values()]

    @property
    def connection(self) -> Connection:
        return connection(self.spec, self.stack, self.foundation)


def plan(spec: PlatformSpec, stack: str) -> Plan:
    """Work out what an `up` would do. Touches nothing but mlplat's own copy of its code."""
    base = foundation(spec, stack)
    wanted = {service.name: resolve(service, spec, base) for service in services.of(spec)}
    supervisor = Supervisor(Path(base.state))
    changes = [
        *environment_changes(wanted),
        *service_changes(wanted, supervisor.read("platform"), supervisor.processes()),
    ]
    if not connection(spec, stack, base).is_written():
        changes.append(Change("update", "connection", f"{spec.name}.{stack}"))
    return Plan(spec, stack, base, wanted, changes)


def install(planned: Plan, tell: Tell) -> Platform:
    """Do what a plan says, and wait until every service is ready.

    Endpoints and services that a plan does not name are not touched. Raises `StateError`, `NotReadyError` or
    `InstallError`; what was started until then stays, and the next `up` goes on from there.
    """
    _environments(planned.changes, tell)
    base = provision(planned.spec, planned.stack)
    supervisor = Supervisor(Path(base.state))
    with locked(supervisor.state, "mlplat up"):
        _apply(planned, supervisor, tell)
    ready.wait(planned.services, supervisor, lambda name, seconds: tell(f"{name}: ready after {seconds:.1f} s"))
    planned.connection.write()
    return platform(planned.spec, planned.stack)


def _environments(changes: list[Change], tell: Tell) -> None:
    names = [change.name for change in changes if change.kind == "environment"]
    with ThreadPoolExecutor(max_workers=2) as pool:
        # Every result is asked for, so the first failure is raised.
        list(pool.map(lambda name: environment.service(name, progress=tell), names))


def _apply(planned: Plan, supervisor: Supervisor, tell: Tell) -> None:
    if supervisor.pid() is None and (ended := supervisor.end_orphans()):
        tell(f"ended {len(ended)} processes that a killed supervisord had left")
    _refuse_taken_ports(planned, supervisor)
    for resolved in planned.wanted.values():
        _write(resolved)
    supervisor.write("platform", [resolved.program for resolved in planned.wanted.values()])
    if supervisor.pid() is None:
        supervisor.start(environment.service_folder("platform") / "bin" / "python")
    else:
        _restart(planned, supervisor, but=supervisor.apply())
    _record(planned, supervisor.state)


def _restart(planned: Plan, supervisor: Supervisor, *, but: set[str]) -> None:
    # supervisord restarts what differs in its own file; it does not see a service's changed files, nor does it start
    # again what ended and was given up.
    actions = {"restart", "start"}
    named = {change.name for change in planned.changes if change.kind == "service" and change.action in actions}
    for name in sorted(named - but):
        supervisor.restart(name)


def _refuse_taken_ports(planned: Plan, supervisor: Supervisor) -> None:
    alive = {process.name for process in supervisor.processes().values() if process.pid}
    ports.refuse_taken(service for service in planned.services if service.name not in alive)


def _write(resolved: Resolved) -> None:
    for path, content in {**resolved.files, **resolved.live}.items():
        write_if_changed(path, content, mode=0o600)
    for path, content in resolved.seeds.items():
        if not path.exists():
            write_atomic(path, content, mode=0o600)


def _record(planned: Plan, state: Path) -> None:
    document = {
        "version": PLAN_VERSION,
        "mlplat": mlplat.__version__,
        "stack": planned.stack,
        "spec": planned.spec.model_dump(mode="json"),
        "foundation": asdict(planned.foundation),
    }
    write_if_changed(state / PLAN_FILE, json.dumps(document, indent=2) + "\n", mode=0o600)


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
