"""Retraining on this computer: a supervised process that runs what a project has published, once for each wish.

A wish's run has a folder of its own: `job.json` says what to run, `outcome.json` what came of it, and is written by the
process (`mlplat.runs.unattended`). Supervisord keeps that alive until it has ended by itself, so a run goes on after
whatever ended it: a person, the computer, a lack of memory.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from mlplat.controller.document import Endpoint
from mlplat.controller.retraining import Outcome, Wish
from mlplat.controller.settings import Settings
from mlplat.errors import RefusedError, StateError
from mlplat.files import PRIVATE, write_if_changed
from mlplat.labels import Name
from mlplat.supervision import Program, Supervisor, locked

WHO = "the controller"
OWNER = "retraining/"
PUBLISHED, FOLDER = "published", "unattended"
"""Folders of a platform's state: what projects have published, and the runs of it."""
JOB, OUTCOME = "job.json", "outcome.json"
PUBLISH = "`mlplat publish` in the project puts its flows there"
STOP_SECONDS = 20
"""A run is asked to end for so long before it is killed (`mlplat.runs.process`)."""


class Published(BaseModel):
    """What a project has published last."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    """Digest of its files."""
    folder: str
    """Where they lie."""
    python: str
    """Interpreter of an environment made of their lock."""
    paths: tuple[str, ...]
    """Folders of the project's own package, and of the mlplat that it was published with."""
    commit: str
    flows: tuple[str, ...]
    platform: str
    stack: str
    variables: dict[str, str] = {}
    """Where whoever published keeps mlplat's own files."""


class Job(BaseModel):
    """One run of it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    folder: str
    python: str
    paths: tuple[str, ...]
    flow: str
    key: str
    """What it registers bears it."""
    reason: str
    commit: str
    connection: dict[str, Any]
    """The platform (`mlplat.contracts.Connection`), as it is when the run begins."""


class Result(BaseModel):
    """What came of it, as its process writes it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    status: str
    message: str
    version: str = ""
    log: str = ""


def published_file(state: Path, project: str) -> Path:
    """Return the file that says what a project has published."""
    return state / PUBLISHED / f"{project}.json"


def published(state: Path, project: str) -> Published:
    """Return what a project has published.

    Raises `RefusedError` when it has nothing, `StateError` for a file that cannot be read.
    """
    path = published_file(state, project)
    try:
        return Published.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise RefusedError(f"the project `{project}` has published nothing on this platform", hint=PUBLISH) from error
    except (OSError, ValidationError) as error:
        raise StateError(f"{path}: cannot be read: {str(error).partition(chr(10))[0]}", hint=PUBLISH) from error


class LocalRunner:
    """Runs of published flows as supervised processes."""

    def __init__(self, settings: Callable[[], Settings]) -> None:
        self._settings = settings
        self._state = settings().state
        self._supervisor = Supervisor(self._state)

    def begin(self, name: Name, wish: Wish, key: str) -> tuple[str, str]:
        """See `Runner.begin`. Raises `StateError` as well, where something cannot be written."""
        found = published(self._state, name.project)
        if wish.flow not in found.flows:
            known = ", ".join(f"`{each}`" for each in found.flows) or "none"
            raise RefusedError(
                f"the project `{name.project}` has published no flow `{wish.flow}`; published: {known}", hint=PUBLISH
            )
        run = f"{name.id}.{key}"
        folder = self._state / FOLDER / run
        job = Job(
            folder=found.folder,
            python=found.python,
            paths=found.paths,
            flow=wish.flow,
            key=key,
            reason=f"retraining, asked for by {wish}",
            commit=found.commit,
            connection=self._connection(found),
        )
        write_if_changed(folder / JOB, job.model_dump_json(indent=2) + "\n", mode=PRIVATE)
        program = self._program(run, folder, found)
        with locked(self._state, WHO):
            self._supervisor.write(f"{OWNER}{run}", [program])
            self._supervisor.apply()
        return run, f"its log is {program.log}"

    def outcome(self, endpoint: Endpoint, run: str) -> Outcome | None:  # noqa: ARG002 - a run's folder is all there is to ask
        """See `Runner.outcome`. What is over is taken from supervisord."""
        result = self._result(self._state / FOLDER / run)
        if result is None:
            process = self._supervisor.processes().get(_program_name(run))
            if process is not None and process.state != "FATAL":
                return None
            detail = process.detail if process else "nobody keeps its process"
            result = Result(status="failed", message=f"it could not be run: {detail}")
        with locked(self._state, WHO):
            self._supervisor.write(f"{OWNER}{run}", [])
            self._supervisor.apply()
        return Outcome(result.status, result.message, result.version)  # type: ignore[arg-type]  # one of a run's words

    def _result(self, folder: Path) -> Result | None:
        try:
            return Result.model_validate_json((folder / OUTCOME).read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            return Result(status="failed", message=f"{folder / OUTCOME}: {str(error).partition(chr(10))[0]}")

    def _connection(self, found: Published) -> Mapping[str, Any]:
        settings = self._settings()
        return {
            "platform": found.platform,
            "stack": found.stack,
            "target": "local",
            "tracking": settings.tracking,
            "gateway": settings.gateway,
            "store": settings.store,
            "clock": settings.clock,
        }

    def _program(self, run: str, folder: Path, found: Published) -> Program:
        settings = self._settings()
        return Program(
            name=_program_name(run),
            argv=(sys.executable, "-m", "mlplat.runs.unattended", "--job", str(folder / JOB)),
            env={**found.variables, "PYTHONPATH": str(settings.code)},
            directory=str(self._state),
            log=str(self._state / "logs" / f"{_program_name(run)}.log"),
            log_bytes=settings.service_log_bytes,
            log_backups=settings.service_log_backups,
            stop_seconds=STOP_SECONDS,
            autorestart=False,
        )


def _program_name(run: str) -> str:
    return f"retraining.{run}"
