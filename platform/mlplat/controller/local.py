"""Revisions as supervised processes on this computer, behind Envoy."""

from __future__ import annotations

import contextlib
import json
import secrets
import signal
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from mlplat import bundle
from mlplat.bundle import Row
from mlplat.contracts import prediction_log
from mlplat.controller import asking
from mlplat.controller.actuator import Condition
from mlplat.controller.document import Revision
from mlplat.controller.gateway import Gateway, Plan, Upstream
from mlplat.controller.settings import Settings
from mlplat.controller.window import Window
from mlplat.errors import StateError
from mlplat.files import PRIVATE, write_atomic, write_if_changed
from mlplat.labels import Name, feast_name
from mlplat.supervision import Program, Supervisor, locked
from mlplat.uptime import age
from mlplat.watching import local

OWNER = "endpoint/"
PROGRAM = "endpoint."
"""How the name of a revision's process begins."""
WHO = "the controller"
LAST_PORT = 65535
LOOK_SECONDS = 1.0
"""For a health check on the same computer."""
LOOK_UP_MS = 1000
"""For one request to the feature server, ten times the default: it shares a computer's cores with all that runs there,
and with ten programs for each core answers one in a hundred after 170 ms."""
STOP_SECONDS = 10
"""The server ends running requests within 8 s (`mlplat.serving.options`)."""
DEAD = ("BACKOFF", "STOPPED", "EXITED", "FATAL", "UNKNOWN")


class LocalActuator:
    """The actuator of the local target."""

    def __init__(self, settings: Callable[[], Settings], http: httpx.Client) -> None:
        self._settings = settings
        self._http = http
        started_with = settings()
        self._state = started_with.state
        self._supervisor = Supervisor(started_with.state)
        self._gateway = Gateway(started_with.xds, started_with.gateway_admin, http)

    def owners(self) -> list[Name]:
        """See `Actuator.owners`."""
        owners = (owner for owner in self._supervisor.owners() if owner.startswith(OWNER))
        return [Name.from_id(owner.removeprefix(OWNER)) for owner in owners]

    def run(self, endpoint: Name, revisions: Sequence[Revision]) -> None:
        """See `Actuator.run`.

        A revision keeps the command it was started with: a newer mlplat, or new settings, are for new revisions.
        """
        present = self._supervisor.read(f"{OWNER}{endpoint.id}")
        wanted = {_program_name(endpoint, revision): revision for revision in revisions}
        if present.keys() == wanted.keys() and present.keys() <= self._supervisor.processes().keys():
            return
        programs = [present.get(name) or self._program(endpoint, name, revision) for name, revision in wanted.items()]
        self._apply(endpoint, programs)

    def is_whole(self, revision: Revision) -> bool:
        """See `Actuator.is_whole`."""
        return bundle.holds(Path(revision.folder), revision.digest)

    def revive(self, endpoint: Name, revision: Revision) -> None:
        """See `Actuator.revive`. It gets the present settings, since the ones it had may be what ended it."""
        name = _program_name(endpoint, revision)
        others = [item for item in self._supervisor.read(f"{OWNER}{endpoint.id}").values() if item.name != name]
        self._apply(endpoint, [*others, self._program(endpoint, name, revision)])
        process = self._supervisor.processes().get(name)
        if process is None or process.state in ("FATAL", "EXITED", "STOPPED"):
            self._supervisor.restart(name)

    def restart(self, endpoint: Name, revision: Revision) -> None:
        """See `Actuator.restart`."""
        self._supervisor.signal(_program_name(endpoint, revision), signal.SIGKILL)

    def free_port(self, taken: Iterable[int]) -> int:
        """See `Actuator.free_port`. Raises `StateError` when there is none left."""
        taken = set(taken)
        for port in range(self._settings().first_port, LAST_PORT + 1):
            if port not in taken and _is_free(port):
                return port
        raise StateError("no port is free for a model server", hint="lower `serving.first_port` in the stack file")

    def condition(self, endpoint: Name, revision: Revision) -> Condition:
        """See `Actuator.condition`."""
        process = self._supervisor.processes().get(_program_name(endpoint, revision))
        if process is None:
            return Condition("starting")
        if process.state in DEAD:
            return Condition("dead", detail=process.detail)
        answer = self._answer(revision)
        ready = answer is not None and answer.is_success
        old = age(process.pid) or 0.0
        return Condition("ready" if ready else "starting", process.pid, silent=answer is None, age=old)

    def predict(self, endpoint: Name, revision: Revision, rows: Sequence[Row]) -> list[Mapping[str, Any]]:
        """See `Actuator.predict`."""
        return asking.predict(self._http, "127.0.0.1", endpoint, revision, rows)

    def bundle(self, revision: Revision) -> Path:
        """See `Actuator.bundle`."""
        return Path(revision.folder)

    def publish(self, endpoint: Name, folder: Path, digest: str) -> None:
        """See `Actuator.publish`. They read the fetched folder itself."""

    def direct(self, plan: Plan) -> None:
        """See `Actuator.direct`."""
        self._gateway.apply(plan)
        # Of no weight beside what serves: where it cannot be written, the next pass tries again.
        with contextlib.suppress(OSError):
            self._tell_prometheus(plan)

    def _tell_prometheus(self, plan: Plan) -> None:
        found = local.servers((each.endpoint, each.revision, each.port) for each in plan.upstreams)
        path = self._state / local.FOLDER / local.SERVERS
        write_if_changed(path, json.dumps(found, indent=2) + "\n", mode=PRIVATE)

    def counts(self, upstreams: Iterable[Upstream]) -> dict[str, Window]:
        """See `Actuator.counts`."""
        return self._gateway.counts(upstreams)

    def active(self, upstream: Upstream) -> int:
        """See `Actuator.active`."""
        return self._gateway.active(upstream)

    def _apply(self, endpoint: Name, programs: Sequence[Program]) -> None:
        with locked(self._state, WHO):
            self._supervisor.write(f"{OWNER}{endpoint.id}", programs)
            self._supervisor.apply()

    def _answer(self, revision: Revision) -> httpx.Response | None:
        try:
            return self._http.get(f"http://127.0.0.1:{revision.port}/v2/health/ready", timeout=LOOK_SECONDS)
        except httpx.HTTPError:
            return None

    def last_words(self, endpoint: Name, revision: Revision) -> str:
        """See `Actuator.last_words`."""
        try:
            return asking.last_words(self._log(_program_name(endpoint, revision)).read_text(errors="replace"))
        except OSError:
            return ""

    def _log(self, name: str) -> Path:
        return self._state / "logs" / f"{name}.log"

    def _program(self, endpoint: Name, name: str, revision: Revision) -> Program:
        settings = self._settings()
        return Program(
            name=name,
            argv=(
                *(str(settings.python), "-m", "mlplat.serving"),
                *("--bundle", revision.folder, "--digest", revision.digest),
                *("--endpoint", str(endpoint), "--revision", revision.label),
                *("--model-version", revision.version, "--port", str(revision.port)),
                *_feature_arguments(endpoint, settings),
                *self._log_arguments(endpoint, revision, settings),
            ),
            env=_environment(settings),
            directory=str(self._state),
            log=str(self._log(name)),
            log_bytes=settings.service_log_bytes,
            log_backups=settings.service_log_backups,
            stop_seconds=STOP_SECONDS,
        )

    def _log_arguments(self, endpoint: Name, revision: Revision, settings: Settings) -> tuple[str, ...]:
        if not settings.log_enabled:
            return ()
        return (
            *("--log-dir", str(prediction_log(self._state, endpoint.id) / revision.label)),
            *("--log-rows", str(settings.log_rows), "--log-seconds", str(settings.log_seconds)),
            *("--log-keep-bytes", str(settings.log_keep_bytes)),
            *(("--log-keep-seconds", str(settings.log_keep_seconds)) if settings.log_keep_seconds else ()),
            *(f"--log-exclude={column}" for column in revision.log.exclude),
            *(f"--log-hash={column}" for column in revision.log.hash),
            *(("--log-key", str(hash_key(self._state))) if revision.log.hash else ()),
        )


def _feature_arguments(endpoint: Name, settings: Settings) -> tuple[str, ...]:
    if not settings.features:
        return ()
    url = f"{settings.features}/{feast_name(endpoint.project)}"
    return ("--features", url, "--features-timeout-ms", str(LOOK_UP_MS))


def hash_key(state: Path) -> Path:
    """Return the file with the key of the prediction logs' hashes; it is made when there is none.

    One key a platform, so that a value has one hash in all its logs. Raises `OSError`.
    """
    path = state / "secrets" / "prediction-log.key"
    if not path.exists():
        write_atomic(path, secrets.token_bytes(32), mode=PRIVATE)
    return path


def _program_name(endpoint: Name, revision: Revision) -> str:
    return f"{PROGRAM}{endpoint.id}.{revision.label}"


def _environment(settings: Settings) -> dict[str, str]:
    # One request is too small to share among threads: they would only wait for each other.
    environment = {"PYTHONPATH": str(settings.code), "OMP_NUM_THREADS": "1"}
    return {**environment, "MLPLAT_CLOCK": settings.clock} if settings.clock else environment


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As the server itself will bind it: a port that a closed connection still lingers on is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
