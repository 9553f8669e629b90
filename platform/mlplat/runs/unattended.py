"""`python -m mlplat.runs.unattended --job FILE`: one run of what a project has published, by a supervised process.

It is started again when it was killed, and then goes on behind the steps that are finished. It leaves with 0 whatever
the flow comes to: what came of it stands in `outcome.json` beside the job.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from pathlib import Path

from pydantic import ValidationError

from mlplat.clock import Clock
from mlplat.contracts import COMMIT, REASON, Connection
from mlplat.controller.unattended import OUTCOME, Job, Result
from mlplat.errors import MlplatError
from mlplat.files import write_atomic
from mlplat.runs import start
from mlplat.runs.flow import METAFLOW, Request
from mlplat.runs.progress import Steps
from mlplat.runs.store import Run, Runs

LOOK_SECONDS = 1.0
LEAST_SECONDS = 1.5
"""supervisord takes a process that ends within a second for one that could not start."""


def main() -> None:
    """Run the job to its end, and write down what it came to."""
    parser = argparse.ArgumentParser(prog="python -m mlplat.runs.unattended", description=__doc__)
    parser.add_argument("--job", type=Path, required=True, help="JSON file that the controller writes")
    path: Path = parser.parse_args().job
    began = time.monotonic()
    try:
        job = Job.model_validate_json(path.read_bytes())
        result = carry_out(job, path.parent).model_copy(update={"ended": Clock.of(job.connection.get("clock")).now()})
    except (MlplatError, ValidationError, OSError) as error:
        told = error.told() if isinstance(error, MlplatError) else str(error)
        result = Result(status="failed", message=told)
    # What was cancelled was so by the platform's own end, after which it goes on, or by a person, whom the controller
    # tells from that.
    if result.status != "cancelled":
        # Nothing goes on from what is over.
        shutil.rmtree(path.with_name(METAFLOW), ignore_errors=True)
        write_atomic(path.with_name(OUTCOME), result.model_dump_json(indent=2) + "\n")
        print(f"{result.status}: {result.message}")  # noqa: T201 - its log
    time.sleep(max(0.0, LEAST_SECONDS - (time.monotonic() - began)))


def carry_out(job: Job, home: Path) -> Result:
    """Run a job, or go on with it; return what it came to. Its record lies in `home`.

    Raises `MlplatError` when it cannot be run at all.
    """
    project, python, connection = Path(job.folder), Path(job.python), Connection(**job.connection)
    if not python.exists():
        raise MlplatError(f"{python} is not there", hint="`mlplat publish` in the project makes it again")
    runs = Runs(home)
    before = next((run for run in runs.all(damaged=lambda _: None) if run.record.key == job.key), None)
    if before is not None and before.record.status == "running":
        before = _awaited(runs, before)
    if before is not None and before.record.status not in ("interrupted", "cancelled"):
        return _result(before)
    request = Request(job.flow)
    if before is not None and before.metaflow_id:
        request = Request(job.flow, resumes=True, origin=before.record.id)
    start.check_answers(connection)
    run, origin = start.begin(home, connection, request, job.key)
    steps = Steps(started=_say, ended=_say)
    marks = {REASON: job.reason, COMMIT: job.commit, "PYTHONPATH": os.pathsep.join(job.paths)}
    return _result(start.carry_out(run, project, python, connection, request, origin=origin, steps=steps, marks=marks))


def _awaited(runs: Runs, run: Run) -> Run:
    """Wait for a run whose own process has outlived the one that began it."""
    while run.record.status == "running":
        time.sleep(LOOK_SECONDS)
        run = runs.get(run.record.id)
    return run


def _result(run: Run) -> Result:
    told = run.result() or {}
    message = told.get("message") or f"its log is {run.log}"
    status = run.record.status if run.record.status != "interrupted" else "failed"
    return Result(status=status, message=message, version=told.get("version") or "", log=str(run.log))


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - its log


if __name__ == "__main__":
    main()
