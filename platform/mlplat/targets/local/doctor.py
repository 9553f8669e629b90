"""What can be wrong with a platform on this computer, how it is found, and the mend."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mlplat import environment, services
from mlplat.contracts import Connection
from mlplat.files import data_dir, state_dir
from mlplat.services import Service
from mlplat.spec.platform import PlatformSpec
from mlplat.supervision import Process, Supervisor
from mlplat.targets.local import ports
from mlplat.targets.local.folders import state_folder
from mlplat.targets.local.foundation import foundation
from mlplat.targets.local.install import connection, is_installed
from mlplat.targets.local.ready import is_ready

NEEDED_BYTES = 4_000_000_000
"""Room for the environments (2.2 GB with bytecode), a project's own (1 GB) and some runs."""


@dataclass(frozen=True)
class Finding:
    """One thing looked at."""

    what: str
    ok: bool
    said: str
    """What was seen."""
    mend: str | None = None


def examine(spec: PlatformSpec, stack: str) -> list[Finding]:
    """Look at everything that `up`, `new` and `run` need. Changes nothing."""
    return [*_computer(), *_folders(), *_environments(), *_platform(spec, stack)]


def _computer() -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    known = (3, 11) <= sys.version_info[:2] <= (3, 13)
    yield Finding("python", known, version, None if known else "use Python 3.11, 3.12 or 3.13")
    supported = sys.platform in ("linux", "darwin")
    yield Finding("system", supported, sys.platform, None if supported else "use Linux, macOS or WSL")
    git = shutil.which("git")
    yield Finding(
        "git", git is not None, git or "not on PATH", None if git else "install git: projects are repositories"
    )
    uv = environment.find_uv()
    # Not a fault: pip does the same, more slowly.
    yield Finding("uv", True, uv or "not there; environments are made with pip, several times as slowly")


def _folders() -> Iterator[Finding]:
    for what, folder, variable in (("state", state_dir(), "STATE"), ("data", data_dir(), "DATA")):
        there = next(parent for parent in [folder, *folder.parents] if parent.exists())
        mend = f"set MLPLAT_{variable}_DIR to another folder"
        if not os.access(there, os.W_OK):
            yield Finding(f"{what} folder", False, f"{folder} cannot be written", mend)
            continue
        free = shutil.disk_usage(there).free
        said = f"{folder}, {free / 1e9:.0f} GB free"
        yield Finding(
            f"{what} folder", free >= NEEDED_BYTES, said, None if free >= NEEDED_BYTES else f"free some, or {mend}"
        )


def _environments() -> Iterator[Finding]:
    for name in sorted(path.stem for path in environment.REQUIREMENTS.glob("*.txt")):
        there = environment.is_complete(name)
        said = str(environment.service_folder(name)) if there else "not made yet"
        yield Finding(f"environment {name}", there, said, None if there else "`mlplat up` makes it")


def _platform(spec: PlatformSpec, stack: str) -> Iterator[Finding]:
    supervisor = Supervisor(state_folder(spec, stack))
    if not is_installed(spec, stack):
        yield Finding("platform", False, f"`{spec.name}` was never stood up here", f"`mlplat up -s {stack}`")
        yield from _ports(services.of(spec))
        return
    pid = supervisor.pid()
    yield Finding(
        "supervisord", pid is not None, f"pid {pid}" if pid else "does not run", None if pid else "`mlplat up`"
    )
    if orphans := supervisor.orphans():
        said = f"left by a killed supervisord: pids {', '.join(map(str, orphans))}"
        yield Finding("processes", False, said, "`mlplat up` ends them and starts new ones")
    processes = supervisor.processes()
    for service in services.of(spec):
        yield _service(service, processes.get(service.name))
    yield _connection(spec, stack)


def _ports(wanted: tuple[Service, ...]) -> Iterator[Finding]:
    for service in wanted:
        for name, port in service.ports.items():
            free = ports.is_free(port)
            said = f"{port} is free" if free else f"{port} is held by {ports.holder(port) or 'another process'}"
            yield Finding(f"port {service.name}.{name}", free, said, None if free else "end it, or set another port")


def _service(service: Service, process: Process | None) -> Finding:
    what = f"service {service.name}"
    if process is None or not process.pid:
        said = f"{process.state.lower()}: {process.detail}" if process else "does not run"
        return Finding(what, False, said, f"`mlplat logs {service.name}` says why; `mlplat up` starts it")
    if not is_ready(service):
        return Finding(what, False, f"pid {process.pid} runs but does not answer", f"`mlplat logs {service.name}`")
    return Finding(what, True, f"pid {process.pid}, ready")


def _connection(spec: PlatformSpec, stack: str) -> Finding:
    path: Path = Connection.path(spec.name, stack)
    good = connection(spec, stack, foundation(spec, stack)).is_written()
    return Finding("connection", good, str(path), None if good else f"`mlplat up -s {stack}` writes it again")
