"""From services as values to programs and files: every reference gets the value that this computer has for it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from mlplat import codebase, environment
from mlplat.contracts import Foundation
from mlplat.services import Http, Ref, Service
from mlplat.services.service import URL
from mlplat.spec.platform import PlatformSpec
from mlplat.supervision import Program
from mlplat.targets.local.folders import log_file, service_data, service_files, store_address
from mlplat.watching import local

MEGABYTE = 1_000_000
HOST = "127.0.0.1"
CONTROLLER = "controller"
"""Service that the files of a Prometheus come with: it goes on writing one of them."""


@dataclass(frozen=True)
class Resolved:
    """A service as this computer runs it: plain values, with a form in JSON that it can be made of again."""

    program: Program
    ready: Http
    ports: Mapping[str, int]
    images: tuple[str, ...]
    """Environments that have to be there."""
    files: Mapping[str, Any]
    """JSON by path; a change restarts the service."""
    live: Mapping[str, Any]
    """JSON by path; a change is followed by the running service."""
    seeds: Mapping[str, Any]
    """JSON by path, for files that are not there yet."""

    @property
    def name(self) -> str:
        """Return the service's name."""
        return self.program.name

    def document(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return plain(asdict(self))  # type: ignore[no-any-return]  # a mapping gives a mapping

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> Self:
        """Make it of its JSON values. Raises `KeyError` and `TypeError` for others."""
        values = plain(document)
        program = {**values["program"], "argv": tuple(values["program"]["argv"])}
        made = {"program": Program(**program), "ready": Http(**values["ready"]), "images": tuple(values["images"])}
        return cls(**{**values, **made})


def text(content: Any) -> str:
    """Write a file's JSON, one way for whoever writes it."""
    return json.dumps(content, indent=2) + "\n"


def plain(value: Any) -> Any:
    """Return JSON values in their one form: the engine keeps every number as a float, and 1.0 means 1."""
    match value:
        case float() if value.is_integer():
            return int(value)
        case Mapping():
            return {key: plain(item) for key, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
        case _:
            return value


def resolve(service: Service, spec: PlatformSpec, foundation: Foundation) -> Resolved:
    """Give a service's references their values. Makes nothing."""
    state = Path(foundation.state)
    given, kept = service_files(state, service.name), service_data(state, service.name)
    values = _values(service, spec, foundation)
    return Resolved(
        program=_program(service, spec, foundation, values),
        ready=service.ready,
        ports=service.ports,
        images=service.images,
        files={str(given / name): _plain(content, values) for name, content in service.files.items()},
        live={
            **{str(given / name): _plain(content, values) for name, content in service.live.items()},
            **(_watched(spec, state) if service.name == CONTROLLER else {}),
        },
        seeds={str(kept / name): _plain(content, values) for name, content in service.seeds.items()},
    )


def _watched(spec: PlatformSpec, state: Path) -> dict[str, Any]:
    return {str(state / local.FOLDER / name): plain(content) for name, content in local.files(spec, state).items()}


def _values(service: Service, spec: PlatformSpec, foundation: Foundation) -> dict[str, str | None]:
    state = Path(foundation.state)
    ports = {"tracking": spec.tracking.port, "gateway": spec.gateway.port, "controller": spec.controller.port}
    features = f"http://{HOST}:{spec.features.port}" if spec.features.enabled else None
    return {
        "host": HOST,
        **{f"{URL}{name}": f"http://{HOST}:{port}" for name, port in ports.items()},
        f"{URL}features": features,
        **asdict(foundation),
        "store": store_address(foundation),
        "files": str(service_files(state, service.name)),
        "data": str(service_data(state, service.name)),
        "code": str(codebase.place()),
        "python:serving": str(environment.service_folder("serving") / "bin" / "python"),
    }


def _program(service: Service, spec: PlatformSpec, foundation: Foundation, values: Mapping[str, str | None]) -> Program:
    home = environment.service_folder(service.image) / "bin"
    first, *rest = (str(_given(argument, values)) for argument in service.argv)
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
    env = {name: str(_given(value, values)) for name, value in service.env.items()}
    # Some programs call others of their environment by name.
    env["PATH"] = f"{home}:/usr/local/bin:/usr/bin:/bin"
    env["PYTHONUNBUFFERED"] = "1"
    if service.code:
        env["PYTHONPATH"] = str(values["code"])
        if foundation.clock:
            env["MLPLAT_CLOCK"] = foundation.clock
    return env


def _plain(content: Any, values: Mapping[str, str | None]) -> Any:
    return plain(_given(content, values))


def _given(value: Any, values: Mapping[str, str | None]) -> Any:
    match value:
        case Ref(name=name):
            return values[name]
        case tuple():
            return "".join(str(_given(part, values)) for part in value)
        case Mapping():
            return {key: _given(item, values) for key, item in value.items()}
        case list():
            return [_given(item, values) for item in value]
        case _:
            return value
