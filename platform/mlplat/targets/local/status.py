"""What runs on this computer, and how much memory it takes."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import psutil

from mlplat import services
from mlplat.services import Service
from mlplat.spec.platform import PlatformSpec
from mlplat.supervision import Process, Supervisor
from mlplat.targets.local.folders import state_folder
from mlplat.targets.local.ready import address, is_ready


@dataclass(frozen=True)
class Row:
    """One program."""

    name: str
    owner: str
    """`platform`, or `endpoint/<project.name>`."""
    state: str
    ready: bool | None
    """None where only the controller knows: a model's revision."""
    pid: int
    started: float
    memory_bytes: int
    """Proportional set size of its process tree where the system tells it, otherwise resident set size."""
    address: str | None


def status(spec: PlatformSpec, stack: str) -> list[Row]:
    """Return the platform's services, then every endpoint's revisions."""
    supervisor = Supervisor(state_folder(spec, stack))
    processes = supervisor.processes()
    own = [_service(service, processes.get(service.name)) for service in services.of(spec)]
    revisions = [
        _row(name, owner, processes.get(name), None, None)
        for owner in supervisor.owners()
        if owner != "platform"
        for name in supervisor.read(owner)
    ]
    return [*own, *revisions]


def _service(service: Service, process: Process | None) -> Row:
    ready = bool(process and process.pid) and is_ready(service)
    return _row(service.name, "platform", process, ready, address(service))


def _row(name: str, owner: str, process: Process | None, ready: bool | None, url: str | None) -> Row:
    if process is None:
        return Row(name, owner, "STOPPED", ready, 0, 0.0, 0, url)
    return Row(name, owner, process.state, ready, process.pid, process.started, memory(process.pid), url)


def memory(pid: int) -> int:
    """Return the bytes that a process and its children take; 0 for none."""
    if not pid:
        return 0
    total = 0
    with contextlib.suppress(psutil.Error):
        top = psutil.Process(pid)
        for process in [top, *top.children(recursive=True)]:
            with contextlib.suppress(psutil.Error):
                full = process.memory_full_info()
                total += getattr(full, "pss", 0) or full.rss
    return total
