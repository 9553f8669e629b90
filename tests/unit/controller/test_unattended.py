"""Retraining on this computer: a real supervisord, the real process, and a flow that is a small script."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

import mlplat
from mlplat.contracts import Connection
from mlplat.controller import unattended, wishes
from mlplat.controller.document import Endpoint
from mlplat.controller.retraining import Outcome, Wish
from mlplat.controller.settings import Settings
from mlplat.controller.unattended import LocalRunner, Published, published_file
from mlplat.errors import RefusedError, StateError
from mlplat.labels import Name
from mlplat.runs.store import Runs
from mlplat.spec.rollout import RolloutPolicy
from mlplat.supervision import Supervisor

LATE = Name("flights", "late")
ENDPOINT = Endpoint(spec=wishes.deploy(LATE, LATE, "1", RolloutPolicy(), by="ada"))
WISH = Wish(by="ada", reason="new airport", time=datetime(2013, 7, 1, tzinfo=UTC))
DEADLINE = 60.0
FLOW = """
import json, os, pathlib, sys, time
number = sys.argv[sys.argv.index("--run-id-file") + 1]
pathlib.Path(number).write_text("41")
if {waits} and "resume" not in sys.argv:
    time.sleep(600)
told = {{name: os.environ[name] for name in ("MLPLAT_RUN", "MLPLAT_REASON", "MLPLAT_COMMIT", "PYTHONPATH")}}
result = {{"status": {status!r}, "message": json.dumps(told), "version": "7"}}
pathlib.Path(os.environ["MLPLAT_RESULT"]).write_text(json.dumps(result))
"""


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def settings(tmp_path: Path, connection: Connection) -> Settings:
    return Settings(
        state=tmp_path / "s", tracking=connection.tracking, gateway="", gateway_admin="", xds=tmp_path, store="sqlite:////nowhere",
        python=Path(sys.executable), code=Path(mlplat.__file__).parents[1], first_port=1, port=0,
    )  # fmt: skip


@pytest.fixture
def runner(settings: Settings) -> Iterator[LocalRunner]:
    supervisor = Supervisor(settings.state)
    supervisor.start(Path(sys.executable))
    try:
        yield LocalRunner(lambda: settings)
    finally:
        supervisor.stop()


def publish(settings: Settings, *, status: str = "registered", waits: bool = False) -> Path:
    folder = settings.state / "published" / "flights" / "1"
    (folder / "flows").mkdir(parents=True)
    (folder / "flows" / "train.py").write_text(FLOW.format(status=status, waits=waits))
    made = Published(
        id="1", folder=str(folder), python=sys.executable, paths=("/own", "/mlplat"), commit="4f0c", flows=("train",),
        platform="mlplat", stack="local",
    )  # fmt: skip
    published_file(settings.state, "flights").write_text(made.model_dump_json())
    return folder


def outcome(runner: LocalRunner, run: str) -> Outcome:
    found: list[Outcome] = []

    def is_over() -> bool:
        if came := runner.outcome(ENDPOINT, run):
            found.append(came)
        return bool(found)

    until(is_over)
    return found[0]


def test_a_published_flow_runs_once_and_knows_why(runner: LocalRunner, settings: Settings) -> None:
    folder = publish(settings)
    run, where = runner.begin(LATE, WISH, "k1")
    assert runner.begin(LATE, WISH, "k1") == (run, where)
    came = outcome(runner, run)
    assert (came.status, came.version) == ("registered", "7")
    reason = "retraining, asked for by ada: new airport"
    told = {"MLPLAT_RUN": "k1", "MLPLAT_REASON": reason, "MLPLAT_COMMIT": "4f0c", "PYTHONPATH": "/own:/mlplat"}
    assert json.loads(came.message) == told
    assert [each.record.key for each in Runs(folder).all()] == ["k1"]
    supervisor = Supervisor(settings.state)
    assert (supervisor.owners(), supervisor.processes()) == ([], {})
    assert runner.outcome(ENDPOINT, run) == came


def test_a_run_that_was_killed_goes_on_by_itself(runner: LocalRunner, settings: Settings) -> None:
    folder = publish(settings, waits=True)
    run, _ = runner.begin(LATE, WISH, "k1")
    runs = Runs(folder)
    until(lambda: any(each.metaflow_id and each.record.pid for each in runs.all()))
    (begun,) = runs.all()
    process = Supervisor(settings.state).processes()[f"retraining.{run}"]
    os.kill(process.pid, signal.SIGKILL)
    os.killpg(begun.record.pid or 0, signal.SIGKILL)
    assert outcome(runner, run).status == "registered"
    assert [(each.record.key, each.record.status) for each in runs.all()] == [
        ("k1", "registered"), ("k1", "interrupted"),
    ]  # fmt: skip


def test_what_the_gate_refused_is_no_version_to_deploy(runner: LocalRunner, settings: Settings) -> None:
    publish(settings, status="refused")
    run, _ = runner.begin(LATE, WISH, "k1")
    assert outcome(runner, run).status == "refused"


def test_a_run_whose_process_nobody_keeps_has_failed(runner: LocalRunner) -> None:
    assert runner.outcome(ENDPOINT, "flights.late.gone") == Outcome(
        "failed", "it could not be run: nobody keeps its process"
    )


def test_nothing_runs_of_a_project_that_has_published_nothing(runner: LocalRunner, settings: Settings) -> None:
    with pytest.raises(RefusedError, match="`flights` has published nothing"):
        runner.begin(LATE, WISH, "k1")
    publish(settings)
    with pytest.raises(RefusedError, match="no flow `monitor`; published: `train`"):
        runner.begin(LATE, WISH.model_copy(update={"flow": "monitor"}), "k1")
    published_file(settings.state, "flights").write_text("{")
    with pytest.raises(StateError, match="cannot be read"):
        unattended.published(settings.state, "flights")
