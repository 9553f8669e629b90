"""What runs on this computer while nobody watches: a supervised process for each run of what a project has published.

A run has a folder of its own: `job.json` says what to run, `outcome.json` what came of it, and is written by the
process (`mlplat.runs.unattended`), which keeps its record and its log there too. Supervisord keeps that alive until it
has ended by itself, so a run goes on after whatever ended it: a person, the computer, a lack of memory.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from mlplat.controller.document import Endpoint
from mlplat.controller.retraining import Outcome, Wish
from mlplat.controller.settings import Settings
from mlplat.errors import RefusedError, StateError
from mlplat.files import PRIVATE, write_if_changed
from mlplat.labels import Name
from mlplat.spec.pipelines import ScheduleSpec
from mlplat.supervision import Program, Supervisor, locked

WHO = "the controller"
PUBLISHED = "published"
"""Folder of a platform's state with what projects have published."""
GONE_SECONDS = 15.0
"""Between a process that ended without an outcome and the judgement that nothing will come of it: a computer that shuts
down ends it, too, and starts it again."""
JOB, OUTCOME = "job.json", "outcome.json"
PUBLISH = "`mlplat publish` in the project puts its flows there"
STOP_SECONDS = 20
"""A run is asked to end for so long before it is killed (`mlplat.runs.process`)."""


@dataclass(frozen=True)
class Kind:
    """Why something runs unattended."""

    word: str
    """What its programs and their owners are called by."""
    folder: str
    """Folder of a platform's state with its runs, one each."""


RETRAINING, SCHEDULE = Kind("retraining", "unattended"), Kind("schedule", "scheduled")
KINDS = (RETRAINING, SCHEDULE)


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
    schedules: dict[str, ScheduleSpec] = {}
    """When flows run by themselves, by flow."""
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
    ended: AwareDatetime | None = None
    """By the platform's clock; None of a process that never began."""


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


class Unattended:
    """Supervised runs of one kind."""

    def __init__(self, settings: Callable[[], Settings], kind: Kind) -> None:
        self._settings, self._kind = settings, kind
        self._state = settings().state
        self._supervisor = Supervisor(self._state)
        self._gone: dict[str, float] = {}

    def begin(self, project: str, flow: str, run: str, *, key: str, reason: str) -> str:
        """Begin a run of a project's published flow, of the same name once; return where its log is.

        What it registers bears `key`. Raises `RefusedError` where there is nothing to run, `StateError` where something
        cannot be written.
        """
        found = published(self._state, project)
        if flow not in found.flows:
            known = ", ".join(f"`{each}`" for each in found.flows) or "none"
            raise RefusedError(
                f"the project `{project}` has published no flow `{flow}`; published: {known}", hint=PUBLISH
            )
        job = Job(
            folder=found.folder,
            python=found.python,
            paths=found.paths,
            flow=flow,
            key=key,
            reason=reason,
            commit=found.commit,
            connection=self._connection(found),
        )
        folder = self._folder(run)
        write_if_changed(folder / JOB, job.model_dump_json(indent=2) + "\n", mode=PRIVATE)
        program = self._program(run, folder, found)
        with locked(self._state, WHO):
            self._supervisor.write(self._owner(run), [program])
            self._supervisor.apply()
        return program.log

    def outcome(self, run: str) -> Result | None:
        """Return what came of a run, None while it goes on. What is over is taken from supervisord."""
        result = self._result(run) or self._given_up(run)
        if result is None:
            return None
        with locked(self._state, WHO):
            self._supervisor.write(self._owner(run), [])
            self._supervisor.apply()
        self._gone.pop(run, None)
        return result

    def prune(self, begin: str, keep: int) -> None:
        """Remove the oldest runs whose names begin so, with their logs, but for the newest `keep` that are over."""
        over = sorted(
            (self._state / self._kind.folder).glob(f"{begin}*/{OUTCOME}"), key=lambda each: each.stat().st_mtime
        )
        for folder in (each.parent for each in over[: max(0, len(over) - keep)]):
            for log in (self._state / "logs").glob(f"{self._name(folder.name)}.log*"):
                log.unlink(missing_ok=True)
            shutil.rmtree(folder, ignore_errors=True)

    def _given_up(self, run: str) -> Result | None:
        """Return the failure of a run whose process will not come to anything any more, None while it may."""
        process = self._supervisor.processes().get(self._name(run))
        if process is None or process.state == "FATAL":
            detail = process.detail if process else "nobody keeps its process"
            # What it wrote between the two looks counts.
            return self._result(run) or Result(status="failed", message=f"it could not be run: {detail}")
        if process.state != "EXITED":
            self._gone.pop(run, None)
            return None
        if time.monotonic() - self._gone.setdefault(run, time.monotonic()) < GONE_SECONDS:
            return None
        return self._result(run) or Result(status="cancelled", message="somebody ended its process")

    def _result(self, run: str) -> Result | None:
        path = self._folder(run) / OUTCOME
        try:
            return Result.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            return Result(status="failed", message=f"{path}: {str(error).partition(chr(10))[0]}")

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
            "features": settings.features,
        }

    def _program(self, run: str, folder: Path, found: Published) -> Program:
        settings = self._settings()
        return Program(
            name=self._name(run),
            argv=(sys.executable, "-m", "mlplat.runs.unattended", "--job", str(folder / JOB)),
            env={**found.variables, "PYTHONPATH": str(settings.code)},
            directory=str(self._state),
            log=str(self._state / "logs" / f"{self._name(run)}.log"),
            log_bytes=settings.service_log_bytes,
            log_backups=settings.service_log_backups,
            stop_seconds=STOP_SECONDS,
            autorestart=False,
        )

    def _folder(self, run: str) -> Path:
        return self._state / self._kind.folder / run

    def _name(self, run: str) -> str:
        return f"{self._kind.word}.{run}"

    def _owner(self, run: str) -> str:
        return f"{self._kind.word}/{run}"


class LocalRunner:
    """Retraining runs on this computer."""

    def __init__(self, settings: Callable[[], Settings]) -> None:
        self._runs = Unattended(settings, RETRAINING)

    def begin(self, name: Name, wish: Wish, key: str) -> tuple[str, str]:
        """See `Runner.begin`. Raises `StateError` as well, where something cannot be written."""
        run = f"{name.id}.{key}"
        reason = f"retraining, asked for by {wish}"
        return run, f"its log is {self._runs.begin(name.project, wish.flow, run, key=key, reason=reason)}"

    def outcome(self, endpoint: Endpoint, run: str) -> Outcome | None:  # noqa: ARG002 - a run's folder is all there is to ask
        """See `Runner.outcome`."""
        result = self._runs.outcome(run)
        if result is None:
            return None
        return Outcome(result.status, result.message, result.version)  # type: ignore[arg-type]  # one of a run's words
