"""Runs of a project that the platform on this computer has begun by itself: retrainings, and flows by their schedules.

Each has a folder of its own in the platform's state (`mlplat.controller.unattended`), where its record is like any
other run's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from mlplat.contracts import Connection
from mlplat.controller.store import SCHEME
from mlplat.controller.unattended import JOB, KINDS, OUTCOME, Job, Result
from mlplat.errors import MlplatError, UsageError
from mlplat.runs.store import Run, Runs


@dataclass(frozen=True)
class Begun:
    """One of them."""

    name: str
    job: Job
    run: Run
    """Its newest try."""
    result: Result | None
    """What came of it; None while it goes on."""

    @property
    def status(self) -> str:
        """What became of it: one that was interrupted goes on by itself, unless it is over."""
        return self.result.status if self.result else "running"


def begun(connection: Connection, project: str) -> list[Begun]:
    """Return those that have run a step or are about to, the newest first; none where the platform is elsewhere."""
    if not connection.store.startswith(SCHEME):
        return []
    state = Path(connection.store.removeprefix(SCHEME)).parent
    jobs = (job for kind in KINDS for job in (state / kind.folder).glob(f"{project}.*/{JOB}"))
    found = [each for job in jobs for each in _read(job)]
    return sorted(found, key=lambda each: each.run.record.started, reverse=True)


def named(connection: Connection, project: str, name: str) -> Begun:
    """Return one by its name. Raises `UsageError` when there is none."""
    for each in begun(connection, project):
        if each.name == name:
            return each
    raise UsageError(f"there is no run `{name}` of `{project}`", hint="`mlplat run list` lists them")


def _read(job: Path) -> Iterator[Begun]:
    outcome = job.with_name(OUTCOME)
    try:
        tries = Runs(job.parent).all(damaged=lambda _: None)
        result = Result.model_validate_json(outcome.read_bytes()) if outcome.exists() else None
        if tries:
            yield Begun(job.parent.name, Job.model_validate_json(job.read_bytes()), tries[0], result)
    except (OSError, ValidationError, MlplatError):
        return  # removed just now, or being written
