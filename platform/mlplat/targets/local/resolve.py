"""From services as values to programs and files: every reference gets the value that this computer has for it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mlplat import codebase, environment
from mlplat.contracts import Foundation
from mlplat.services import Ref, Service
from mlplat.spec.platform import PlatformSpec
from mlplat.supervision import Program
from mlplat.targets.local.folders import log_file, service_data, service_files, store_address

MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Resolved:
    """A service as this computer runs it."""

    service: Service
    program: Program
    files: Mapping[Path, str]
    """Content by path; a change restarts the service."""
    live: Mapping[Path, str]
    """Content by path; a change is followed by the running service."""
    seeds: Mapping[Path, str]
    """Content by path, for files that are not there yet."""


def resolve(service: Service, spec: PlatformSpec, foundation: Foundation) -> Resolved:
    """Give a service's references their values. Makes nothing."""
    state = Path(foundation.state)
    given, kept = service_files(state, service.name), service_data(state, service.name)
    values = _values(service, foundation)
    return Resolved(
        service=service,
        program=_program(service, spec, foundation, values),
        files={given / name: _text(content, values) for name, content in service.files.items()},
        live={given / name: _text(content, values) for name, content in service.live.items()},
        seeds={kept / name: _text(content, values) for name, content in service.seeds.items()},
    )


def _values(service: Service, foundation: Foundation) -> dict[str, str | None]:
    state = Path(foundation.state)
    return {
        **asdict(foundation),
        "store": store_address(foundation),
        "files": str(service_files(state, service.name)),
        "data": str(service_data(state, service.name)),
        "code": str(codebase.folder()),
        "python:serving": str(environment.service_folder("serving") / "bin" / "python"),
    }


def _program(service: Service, spec: PlatformSpec, foundation: Foundation, values: Mapping[str, str | None]) -> Program:
    home = environment.service_folder(service.image) / "bin"
    first, *rest = (str(_plain(argument, values)) for argument in service.argv)
    return Program(
        name=service.name,
        argv=(str(home / first), *rest),
        env=_environment(service, foundation, home, values),
        directory=foundation.state,
        log=str(log_file(Path(foundation.state), service.name)),
        log_bytes=spec.logs.megabytes * MEGABYTE,
        log_backups=spec.logs.backups,
    )


def _environment(
    service: Service, foundation: Foundation, home: Path, values: Mapping[str, str | None]
) -> dict[str, str]:
    env = {name: str(_plain(value, values)) for name, value in service.env.items()}
    # Some programs call others of their environment by name.
    env["PATH"] = f"{home}:/usr/local/bin:/usr/bin:/bin"
    env["PYTHONUNBUFFERED"] = "1"
    if service.code:
        env["PYTHONPATH"] = str(values["code"])
        if foundation.clock:
            env["MLPLAT_CLOCK"] = foundation.clock
    return env


def _text(content: Any, values: Mapping[str, str | None]) -> str:
    return json.dumps(_plain(content, values), indent=2) + "\n"


def _plain(value: Any, values: Mapping[str, str | None]) -> Any:
    match value:
        case Ref(name=name):
            return values[name]
        case tuple():
            return "".join(str(_plain(part, values)) for part in value)
        case Mapping():
            return {key: _plain(item, values) for key, item in value.items()}
        case list():
            return [_plain(item, values) for item in value]
        case _:
            return value
