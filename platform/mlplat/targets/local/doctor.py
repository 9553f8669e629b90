"""What can be wrong with a platform on this computer, how it is found, and the mend."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from mlplat import environment, services
from mlplat.contracts import Connection
from mlplat.controller import webhook
from mlplat.controller.local import DEAD, PROGRAM
from mlplat.errors import StateError
from mlplat.files import data_dir, state_dir
from mlplat.locking import held
from mlplat.services import Service
from mlplat.spec.platform import PlatformSpec
from mlplat.supervision import AGAIN_SECONDS, ASK_SECONDS, Process, Supervisor
from mlplat.targets.findings import Finding
from mlplat.targets.local import ports, watchdog
from mlplat.targets.local.checks import tracking_damage, tracking_mend
from mlplat.targets.local.checks_endpoints import endpoint_faults
from mlplat.targets.local.folders import COMMAND_LOCK, service_data, service_files, service_record, state_folder
from mlplat.targets.local.foundation import CLOCK_FILE, PLAN_VERSION, foundation, read_record
from mlplat.targets.local.install import connection, is_installed
from mlplat.targets.local.plan import is_broken, read_json
from mlplat.targets.local.ready import is_ready

NEEDED_BYTES = 4_000_000_000
"""Room for the environments (2.2 GB with bytecode) and a project's own (1 GB)."""
STATE_BYTES = 500_000_000
"""Room for some runs, models and logs."""
FULL_BYTES = 1_000_000
AGAIN = "`mlplat up` writes it again"


def examine(spec: PlatformSpec, stack: str) -> list[Finding]:
    """Look at everything that `up`, `new` and `run` need. Changes nothing."""
    return [*_computer(), *_folders(), *_environments(spec), *_platform(spec, stack)]


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
    for what, folder, needed in (("state", state_dir(), STATE_BYTES), ("data", data_dir(), NEEDED_BYTES)):
        there = next(parent for parent in [folder, *folder.parents] if parent.exists())
        mend = f"set MLPLAT_{what.upper()}_DIR to another folder"
        if not os.access(there, os.W_OK):
            yield Finding(f"{what} folder", False, f"{folder} cannot be written", f"make it writable, or {mend}")
            continue
        free = shutil.disk_usage(there).free
        said = f"{folder}, {free / 1e9:.1f} GB free" if free > FULL_BYTES else f"{folder} is full"
        yield Finding(f"{what} folder", free >= needed, said, None if free >= needed else f"free some space, or {mend}")


def _environments(spec: PlatformSpec) -> Iterator[Finding]:
    for name in sorted({"platform", *(image for service in services.of(spec) for image in service.images)}):
        there = environment.is_complete(name)
        said = str(environment.service_folder(name)) if there else "not made yet"
        yield Finding(f"environment {name}", there, said, None if there else "`mlplat up` makes it")


def _platform(spec: PlatformSpec, stack: str) -> Iterator[Finding]:
    state = state_folder(spec, stack)
    spec = ports.assigned(spec, stack)
    if not is_installed(spec, stack):
        yield Finding("platform", False, f"`{spec.name}` was never stood up here", f"`mlplat up -s {stack}`")
        yield from _ports(services.of(spec), state)
        return
    yield from _files(spec, stack)
    pid = Supervisor(state).pid()
    processes = Supervisor(state).processes() if pid else {}
    yield from _supervision(state, pid, processes.get(watchdog.NAME))
    asleep = [each for each in services.of(spec) if not _has_process(processes.get(each.name))]
    yield from (finding for finding in _ports(asleep, state) if not finding.ok)
    for service in services.of(spec):
        yield _service(service, processes.get(service.name))
    yield from _revisions(processes)
    yield from _connection(spec, stack)
    yield from _alerts(spec)


def _alerts(spec: PlatformSpec) -> Iterator[Finding]:
    """Look for the webhook's address, and keep it to itself."""
    if (path := spec.alerts.webhook_file) is None:
        return
    try:
        webhook.address(Path(path))
        yield Finding("alerts", True, f"posted to the address in {path}")
    except StateError as error:
        yield Finding("alerts", False, error.message, error.hint)


def _files(spec: PlatformSpec, stack: str) -> Iterator[Finding]:
    state = state_folder(spec, stack)
    yield _record(state)
    for path, wrong in Supervisor(state).damaged().items():
        yield Finding("program file", False, f"{path}: {wrong}", AGAIN)
    for service in services.of(spec):
        for path in [service_record(state, service.name), *_given(spec, stack, service)]:
            if is_broken(path):
                yield Finding(f"file of {service.name}", False, f"{path}: is no JSON", AGAIN)
    harm = tracking_damage(state)
    seen = harm or str(service_data(state, "tracking") / "mlflow.db")
    yield Finding("runs and models", harm is None, seen, tracking_mend(state) if harm else None)
    yield from (Finding(each.what, False, each.said, each.mend) for each in endpoint_faults(state))
    if spec.clock is not None:
        yield _clock(spec, stack)


def _given(spec: PlatformSpec, stack: str, service: Service) -> Iterator[Path]:
    state = state_folder(spec, stack)
    yield from (service_files(state, service.name) / name for name in [*service.files, *service.live])
    yield from (service_data(state, service.name) / name for name in service.seeds)


def _record(state: Path) -> Finding:
    try:
        kept = read_record(state) or {}
    except StateError as error:
        return Finding("state", False, error.message, error.hint)
    if kept.get("version") != PLAN_VERSION:
        return Finding("state", False, f"{state}: was made by mlplat {kept.get('mlplat')}", "`mlplat up` takes it over")
    busy = held(state / COMMAND_LOCK)
    return Finding("state", True, f"{state}" + (f", in use by {busy}" if busy else ""))


def _clock(spec: PlatformSpec, stack: str) -> Finding:
    path = state_folder(spec, stack) / CLOCK_FILE
    try:
        kept = foundation(spec, stack).clock
    except StateError as error:
        return Finding("clock", False, error.message, error.hint)
    if read_json(path) is None:
        return Finding("clock", False, f"{path}: cannot be read", f"`mlplat up` writes it again, as {kept}")
    return Finding("clock", True, str(kept))


def _supervision(state: Path, pid: int | None, guard: Process | None) -> Iterator[Finding]:
    orphans = Supervisor(state).orphans(patience=ASK_SECONDS if pid else AGAIN_SECONDS)
    stuck = [each.pid for each in orphans if each.name == "supervisord"]
    said = f"pid {pid}" if pid else f"pid {stuck[0]} runs but does not answer" if stuck else "does not run"
    yield Finding("supervisord", pid is not None, said, None if pid else "`mlplat up` starts it")
    if left := [each for each in orphans if each.name != "supervisord"]:
        names = ", ".join(f"{each.name} (pid {each.pid})" for each in left)
        yield Finding(
            "processes", False, f"kept by no supervisord: {names}", "`mlplat up` ends them and starts new ones"
        )
    if watchdog.is_awake(guard):
        yield Finding("watchdog", True, f"pid {guard.pid}" if guard else "")
    else:
        seen = f"pid {guard.pid} is stopped" if guard and guard.pid else "does not run"
        yield Finding("watchdog", False, seen, "`mlplat up` starts it again")


def _ports(wanted: Iterable[Service], state: Path) -> Iterator[Finding]:
    for service in wanted:
        for name, port in service.ports.items():
            free = ports.is_free(port) or ports.is_ours(port, state)
            said = f"{port} is free" if free else f"{port} is held by {ports.holder(port) or 'another process'}"
            mend = f"end it, or set `{ports.port_key(service.name, name)}` or `ports: auto` in the stack file"
            yield Finding(f"port {service.name}.{name}", free, said, None if free else mend)


def _has_process(process: Process | None) -> bool:
    return process is not None and bool(process.pid)


def _service(service: Service, process: Process | None) -> Finding:
    what = f"service {service.name}"
    if process is None or not process.pid:
        said = f"{process.state.lower()}: {process.detail}" if process else "does not run"
        return Finding(what, False, said, f"`mlplat up` starts it; `mlplat logs {service.name}` says why it ended")
    if not is_ready(service):
        said = f"pid {process.pid} runs but does not answer"
        mend = (
            f"wait: the watchdog restarts it (`mlplat logs {watchdog.NAME}`); `mlplat logs {service.name}` is its own"
        )
        return Finding(what, False, said, mend)
    return Finding(what, True, f"pid {process.pid}, ready")


def _revisions(processes: Mapping[str, Process]) -> Iterator[Finding]:
    """Name the model servers that do not run; those that do are not shown, as there may be many."""
    for name, process in sorted(processes.items()):
        if name.startswith(PROGRAM) and process.state in DEAD:
            said = f"{process.state.lower()}: {process.detail}"
            mend = f"the controller starts it again, ever more rarely; `mlplat logs {name}` says why it ended"
            yield Finding(f"model server {name.removeprefix(PROGRAM)}", False, said, mend)


def _connection(spec: PlatformSpec, stack: str) -> Iterator[Finding]:
    path: Path = Connection.path(spec.name, stack)
    try:
        base = foundation(spec, stack)
    except StateError:
        return  # said under `clock`
    good = connection(spec, stack, base).is_written()
    yield Finding("connection", good, str(path), None if good else f"`mlplat up -s {stack}` writes it again")
