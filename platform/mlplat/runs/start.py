"""One run from its start to its record."""

from __future__ import annotations

import time
from pathlib import Path

import httpx

from mlplat.contracts import Connection
from mlplat.errors import UnreachableError
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


def begin(project: Path, connection: Connection, request: Request) -> tuple[Run, str | None]:
    """Record a new run of a request; return it with the Metaflow run that it goes on from, if any.

    Raises `UsageError` when it is to go on and there is nothing to go on from.
    """
    runs = Runs(project)
    origin = runs.last_unfinished(request.flow).metaflow_id if request.step else None
    arguments = ["--from", request.step] if request.step else request.options()
    return runs.begin(request.flow, arguments, platform=connection.platform, stack=connection.stack), origin


def carry_out(
    run: Run, project: Path, python: Path, connection: Connection, request: Request, *, origin: str | None, steps: Steps
) -> Run:
    """Run a flow to its end; return the run with what became of it."""
    file = flow.find(project, request.flow)
    # Metaflow takes the nearest `.metaflow` above as its store: make it this project's own.
    (project / ".metaflow").mkdir(exist_ok=True)
    began = time.monotonic()
    code = process.execute(
        run,
        flow.command(python, file, request, run, origin),
        folder=project,
        variables=flow.variables(connection, python, result=run.result_file),
        line=steps.read,
    )
    steps.close()
    return run.save(status=ended(run, code), exit_code=code, seconds=round(time.monotonic() - began, 1))


def debug(project: Path, package: str, python: Path, connection: Connection, request: Request) -> int:
    """Run the same steps in one process that has the terminal; return its exit code."""
    result = project / FOLDER / "debug" / "result.json"  # beside the runs, which git ignores
    result.parent.mkdir(parents=True, exist_ok=True)
    command = flow.debug_command(python, package, request)
    return process.attached(command, folder=project, variables=flow.variables(connection, python, result=result))
