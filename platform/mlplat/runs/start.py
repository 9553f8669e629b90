"""One run from its start to its record."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Mapping
from pathlib import Path

import httpx

from mlplat.contracts import Connection
from mlplat.errors import MlplatError, UnreachableError
from mlplat.files import write_atomic
from mlplat.runs import flow, process
from mlplat.runs.flow import Request
from mlplat.runs.progress import Steps
from mlplat.runs.store import FOLDER, Run, Runs, ended


def check_answers(connection: Connection) -> None:
    """Raise `UnreachableError` unless the platform's tracking server answers from its database."""
    # Not `/health`, which answers before the database does.
    address = f"{connection.tracking}/api/2.0/mlflow/experiments/get"
    try:
        httpx.get(address, params={"experiment_id": "0"}, timeout=10, trust_env=False).raise_for_status()
    except httpx.HTTPError as error:
        raise UnreachableError(
            f"the platform `{connection.platform}` does not answer at {connection.tracking}: {error}",
            hint=f"`mlplat up -s {connection.stack}` starts it, `mlplat status -s {connection.stack}` shows what runs",
        ) from error


def begin(home: Path, connection: Connection, request: Request, key: str = "") -> tuple[Run, str | None]:
    """Record a new run of a request in a folder; return it with the Metaflow run that it goes on from, if any.

    The folder is the project's own, but for runs that nobody watches. `key` is what it registers under, instead of one
    of its own. Raises `UsageError` when it is to go on and there is nothing to go on from.
    """
    runs, origin = Runs(home), None
    arguments = request.options()
    if request.step or request.resumes:
        origin = runs.unfinished(request.origin) if request.origin else runs.last_unfinished(request.flow)
        arguments = ["--from", request.step] if request.step else ["resume", str(origin.record.id)]
    run = runs.begin(
        request.flow, arguments, platform=connection.platform, stack=connection.stack, origin=origin, key=key
    )
    return run, origin.metaflow_id if origin else None


def carry_out(
    run: Run,
    project: Path,
    python: Path,
    connection: Connection,
    request: Request,
    *,
    origin: str | None,
    steps: Steps,
    marks: Mapping[str, str] | None = None,
) -> Run:
    """Run a flow to its end; return the run with what became of it. `marks` are `flow.variables`'."""
    file = flow.find(project, request.flow)
    # Metaflow takes settings from the nearest `.metaflow` above: make it this project's own.
    (project / flow.METAFLOW).mkdir(exist_ok=True)
    began = time.monotonic()
    code = process.execute(
        run,
        flow.command(python, file, request, run, origin),
        folder=project,
        variables=flow.variables(connection, python, result=run.result_file, key=run.record.key, marks=marks),
        line=steps.read,
    )
    steps.close()
    if code == 0 and run.record.origin and not run.result_file.exists():
        _take_over_result(run)
    return run.save(status=ended(run, code), exit_code=code, seconds=round(time.monotonic() - began, 1))


def _take_over_result(run: Run) -> None:
    """Let a run that had nothing left to do but to end come to what the one before it did."""
    with contextlib.suppress(MlplatError):
        if result := Runs(run.home).get(run.record.origin or 0).result():
            write_atomic(run.result_file, json.dumps(result, indent=2) + "\n")


def debug(project: Path, package: str, python: Path, connection: Connection, request: Request) -> int:
    """Run the same steps in one process that has the terminal; return its exit code."""
    result = project / FOLDER / "debug" / "result.json"  # beside the runs, which git ignores
    result.parent.mkdir(parents=True, exist_ok=True)
    command = flow.debug_command(python, package, request)
    return process.attached(command, folder=project, variables=flow.variables(connection, python, result=result))
