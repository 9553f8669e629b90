"""What an `up` would do: the difference between a spec and what lies and runs on this computer.

It is taken from the files and processes themselves and not from a memory of the last `up`, so whatever happened in
between shows.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mlplat import environment
from mlplat.supervision import Process, Program, Supervisor
from mlplat.targets.local.folders import service_record
from mlplat.targets.local.resolve import Resolved

Action = Literal["create", "start", "restart", "update", "delete"]
ALIVE = ("RUNNING", "STARTING")


@dataclass(frozen=True)
class Change:
    """One thing that an `up` would do."""

    action: Action
    kind: Literal["service", "environment", "connection", "file"]
    name: str
    fields: tuple[str, ...] = ()
    """What differs, for a restart or an update."""

    def __str__(self) -> str:
        return f"{self.action:8}{self.kind}/{self.name}" + (f"  ({', '.join(self.fields)})" if self.fields else "")


def environment_changes(wanted: Mapping[str, Resolved]) -> list[Change]:
    """Return the environments that have to be made, model servers' included."""
    names = sorted({image for resolved in wanted.values() for image in resolved.images})
    return [Change("create", "environment", name) for name in names if not environment.is_complete(name)]


def service_changes(
    wanted: Mapping[str, Resolved], there: Mapping[str, Program], running: Mapping[str, Process]
) -> list[Change]:
    """Return what has to be done to the services, in the order of their names."""
    gone = [Change("delete", "service", name) for name in sorted(set(there) - set(wanted))]
    found = (_change(resolved, there.get(name), running.get(name)) for name, resolved in sorted(wanted.items()))
    return [*gone, *(change for change in found if change)]


def watchdog_changes(wanted: Program, there: Program | None, *, awake: bool) -> list[Change]:
    """Return what has to be done to the watchdog. Nobody is disturbed when it is started again."""
    if there is None:
        return [Change("create", "service", wanted.name)]
    fields = tuple(_program_fields(wanted, there))
    if not awake:
        return [Change("start", "service", wanted.name, fields)]
    return [Change("update", "service", wanted.name, fields)] if fields else []


def file_changes(supervisor: Supervisor) -> list[Change]:
    """Return the files of programs that are not what was written."""
    return [Change("update", "file", path.name, (wrong,)) for path, wrong in supervisor.damaged().items()]


def record_changes(state: Path, wanted: Iterable[str]) -> list[Change]:
    """Return the records of services that are there and cannot be read. Nobody is disturbed when they are written."""
    paths = [service_record(state, name) for name in wanted]
    return [Change("update", "file", path.name, ("is no JSON",)) for path in paths if is_broken(path)]


def _change(wanted: Resolved, there: Program | None, process: Process | None) -> Change | None:
    name = wanted.name
    if there is None:
        return Change("create", "service", name)
    changed = [*_program_fields(wanted.program, there), *stale(wanted.files)]
    live = stale(wanted.live)
    if not is_alive(process):
        return Change("start", "service", name, tuple(changed + live))
    if changed:
        return Change("restart", "service", name, tuple(changed + live))
    return Change("update", "service", name, tuple(live)) if live else None


def _program_fields(wanted: Program, there: Program) -> list[str]:
    variables = sorted(wanted.env.keys() | there.env.keys())
    return [
        *(["command"] if wanted.argv != there.argv else []),
        *(name for name in variables if wanted.env.get(name) != there.env.get(name)),
        *(name for name in ("directory", "log", "log_bytes", "log_backups") if _differ(name, wanted, there)),
    ]


def _differ(name: str, wanted: Program, there: Program) -> bool:
    return bool(getattr(wanted, name) != getattr(there, name))


def is_alive(process: Process | None) -> bool:
    """Tell whether a program's process runs or is being started."""
    return process is not None and process.state in ALIVE


def stale(files: Mapping[str, Any]) -> list[str]:
    """Return the names of files that do not hold what they should."""
    return [Path(path).name for path, content in files.items() if read_json(Path(path)) != content]


def is_broken(path: Path) -> bool:
    """Tell whether a file is there and is no JSON."""
    return path.exists() and read_json(path) is None


def read_json(path: Path) -> Any:
    """Return what a file holds; None for one that is missing or broken, which is then written again."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
