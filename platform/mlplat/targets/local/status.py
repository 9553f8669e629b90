"""What runs on this computer, and how much memory it takes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import psutil

from mlplat import services
from mlplat.clock import Clock
from mlplat.controller import schedules, unattended
from mlplat.controller.post import known
from mlplat.controller.store import SqliteStore
from mlplat.controller.timetable import Entry, entries
from mlplat.errors import MlplatError, StateError
from mlplat.services import Service
from mlplat.spec.platform import PlatformSpec
from mlplat.supervision import AGAIN_SECONDS, ASK_SECONDS, Orphan, Process, Supervisor
from mlplat.targets.local import ports, watchdog
from mlplat.targets.local.folders import state_folder, store_address
from mlplat.targets.local.foundation import foundation
from mlplat.targets.local.ready import address, is_ready
from mlplat.uptime import age
from mlplat.watchdog import restarts
from mlplat.watchdog.restarts import Restarts

SUPERVISION = "supervision"
ORPHAN = "ORPHAN"
NONE = Restarts(0, "", "")


@dataclass(frozen=True)
class Row:
    """One program."""

    name: str
    owner: str
    """`platform`, `supervision`, `endpoint/<project.name>`, `retraining/<project.name>.<wish>`,
    `schedule/<project.flow>.<time>`; `schedule` and `alert` for what is no program."""
    state: str
    """supervisor's word, ORPHAN for a process that no supervisord keeps, SCHEDULED for a flow, FIRING for an alert."""
    ready: bool | None
    """None where only the controller knows: a model's revision."""
    pid: int
    started: float
    """Seconds since the epoch, by the clock of that moment."""
    memory_bytes: int
    """Proportional set size of its process tree where the system tells it, otherwise resident set size."""
    address: str | None
    age_seconds: float | None = None
    """How long it runs, whatever the clock was set to since."""
    restarts: int = 0
    """How often it ended and came back since supervisord was started."""
    said: str = ""
    """When a flow runs next and what came of its newest run; what an alert tells."""


def status(spec: PlatformSpec, stack: str) -> list[Row]:
    """Return services, endpoints' revisions, what runs unattended, what keeps them all alive, and what nobody keeps.

    Behind those stand the flows that have a schedule, and the alerts that are firing.
    """
    supervisor = Supervisor(state_folder(spec, stack))
    daemon = supervisor.pid()
    processes = supervisor.processes() if daemon else {}
    counted = restarts.read(supervisor.state, daemon)
    own = [_service(service, processes, counted) for service in services.of(ports.assigned(spec, stack))]
    revisions = [
        _row(name, owner, processes.get(name), None, counted=counted)
        for owner, name in _programs(supervisor, processes)
        if owner.startswith(("endpoint/", *(f"{kind.word}/" for kind in unattended.KINDS)))
    ]
    guard = processes.get(watchdog.NAME)
    keeping = [
        _daemon(daemon),
        _row(watchdog.NAME, SUPERVISION, guard, watchdog.is_awake(guard), counted=counted),
    ]
    return [
        *own,
        *revisions,
        *keeping,
        *map(_orphan, supervisor.orphans(patience=ASK_SECONDS if daemon else AGAIN_SECONDS)),
        *_noted(spec, stack),
    ]


def _noted(spec: PlatformSpec, stack: str) -> list[Row]:
    """Return what the controller has noted; nothing where it cannot be read, which `doctor` says."""
    with contextlib.suppress(MlplatError):
        base = foundation(spec, stack)
        now = Clock.of(base.clock).now()
        with SqliteStore.open(store_address(base), create=False) as store:
            flows = [_noted_row(each.key, "schedule", "SCHEDULED", _when(each, now)) for each in entries(store)]
            return [*flows, *(_noted_row(each.name, "alert", "FIRING", str(each)) for each in known(store))]
    return []


def _noted_row(name: str, owner: str, state: str, said: str) -> Row:
    return Row(name, owner, state, None, 0, 0.0, 0, None, said=said)


def _when(entry: Entry, now: datetime) -> str:
    following = schedules.following(entry.schedule, max(entry.since, now))
    coming = f"next {following:%Y-%m-%d %H:%M} UTC" if following else "never again"
    if entry.due is None:
        return coming
    return f"{coming}; that of {entry.due:%Y-%m-%d %H:%M} UTC {entry.status or 'goes on'}"


def _programs(supervisor: Supervisor, processes: dict[str, Process]) -> Iterator[tuple[str, str]]:
    for owner in supervisor.owners():
        try:
            names = list(supervisor.read(owner))
        except StateError:
            # `doctor` names the file; what runs is shown all the same.
            prefix = f"{owner.replace('/', '.')}."
            names = [name for name in processes if name.startswith(prefix)]
        yield from ((owner, name) for name in names)


def _service(service: Service, processes: dict[str, Process], counted: dict[str, Restarts]) -> Row:
    process = processes.get(service.name)
    ready = bool(process and process.pid) and is_ready(service)
    return _row(service.name, "platform", process, ready, address(service), counted)


def _row(
    name: str,
    owner: str,
    process: Process | None,
    ready: bool | None,
    url: str | None = None,
    counted: dict[str, Restarts] | None = None,
) -> Row:
    again = (counted or {}).get(name, NONE).count
    if process is None:
        return Row(name, owner, "STOPPED", ready, 0, 0.0, 0, url, None, again)
    pid = process.pid
    return Row(
        name, owner, process.state, ready, pid, process.started, memory(pid), url, age(pid) if pid else None, again
    )


def _daemon(pid: int | None) -> Row:
    name = "supervisord"
    if pid is None:
        return Row(name, SUPERVISION, "STOPPED", False, 0, 0.0, 0, None)
    return Row(name, SUPERVISION, "RUNNING", True, pid, 0.0, memory(pid, alone=True), None, age(pid))


def _orphan(orphan: Orphan) -> Row:
    return Row(orphan.name, ORPHAN.lower(), ORPHAN, False, orphan.pid, 0.0, memory(orphan.pid), None, age(orphan.pid))


def memory(pid: int, *, alone: bool = False) -> int:
    """Return the bytes that a process takes, with its children unless `alone`; 0 for none."""
    if not pid:
        return 0
    total = 0
    with contextlib.suppress(psutil.Error):
        top = psutil.Process(pid)
        for process in [top, *([] if alone else top.children(recursive=True))]:
            with contextlib.suppress(psutil.Error):
                full = process.memory_full_info()
                total += getattr(full, "pss", 0) or full.rss
    return total
