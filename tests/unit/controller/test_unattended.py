"""Retraining on this computer: a real supervisord, the real process, and a flow that is a small script."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest

import mlplat
from commands import until
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
T = TypeVar("T")
FLOW = """
import json, os, pathlib, sys, time
number = sys.argv[sys.argv.index("--run-id-file") + 1]
pathlib.Path(number).write_text("41")
if {waits} and "resume" not in sys.argv:
    time.sleep(600)
names = ("MLPLAT_RUN", "MLPLAT_REASON", "MLPLAT_COMMIT", "MLPLAT_FEATURES", "PYTHONPATH")
told = {{name: os.environ[name] for name in names}}
home = pathlib.Path(os.environ["METAFLOW_DATASTORE_SYSROOT_LOCAL"]) / ".metaflow"
home.mkdir(exist_ok=True)
result = {{"status": {status!r}, "message": json.dumps(told), "version": "7"}}
pathlib.Path(os.environ["MLPLAT_RESULT"]).write_text(json.dumps(result))
"""


@pytest.fixture
def settings(tmp_path: Path, connection: Connection) -> Settings:
    return Settings(
        state=tmp_path / "s", tracking=connection.tracking, gateway="", gateway_admin="", xds=tmp_path, store="sqlite:////nowhere",
        python=Path(sys.executable), code=Path(mlplat.__file__).parents[1], first_port=1, port=0,
        features="http://127.0.0.1:6566",
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


def awaited(look: Callable[[], T | None]) -> T:
    """Look until there is something to see."""
    found: list[T] = []

    def is_there() -> bool:
        if (seen := look()) is not None:
            found.append(seen)
        return bool(found)

    until(is_there)
    return found[0]


def outcome(runner: LocalRunner, run: str) -> Outcome:
    return awaited(lambda: runner.outcome(ENDPOINT, run))


def test_a_published_flow_runs_once_and_knows_why(runner: LocalRunner, settings: Settings) -> None:
    folder = publish(settings)
    run, where = runner.begin(LATE, WISH, "k1")
    assert runner.begin(LATE, WISH, "k1") == (run, where)
    came = outcome(runner, run)
    assert (came.status, came.version) == ("registered", "7")
    reason = "retraining, asked for by ada: new airport"
    assert json.loads(came.message) == {
        "MLPLAT_RUN": "k1",
        "MLPLAT_REASON": reason,
        "MLPLAT_COMMIT": "4f0c",
        "MLPLAT_FEATURES": settings.features,
        "PYTHONPATH": "/own:/mlplat",
    }
    home = settings.state / unattended.RETRAINING.folder / run
    assert [each.record.key for each in Runs(home).all()] == ["k1"]
    assert Runs(folder).all() == []
    assert not (home / ".metaflow").exists()
    supervisor = Supervisor(settings.state)
    assert (supervisor.owners(), supervisor.processes()) == ([], {})
    assert runner.outcome(ENDPOINT, run) == came


def test_a_run_that_was_killed_goes_on_by_itself(runner: LocalRunner, settings: Settings) -> None:
    publish(settings, waits=True)
    run, _ = runner.begin(LATE, WISH, "k1")
    runs = Runs(settings.state / unattended.RETRAINING.folder / run)
    until(lambda: any(each.metaflow_id and each.record.pid for each in runs.all()))
    (begun,) = runs.all()
    process = Supervisor(settings.state).processes()[f"retraining.{run}"]
    # Held: it would take note of its flow's end; and the next one, that of a flow that goes on.
    os.kill(process.pid, signal.SIGSTOP)
    os.killpg(begun.record.pid or 0, signal.SIGKILL)
    os.kill(process.pid, signal.SIGKILL)
    assert outcome(runner, run).status == "registered"
    assert [(each.record.key, each.record.status) for each in runs.all()] == [
        ("k1", "registered"), ("k1", "interrupted"),
    ]  # fmt: skip


def test_a_run_that_somebody_ended_is_not_waited_for(
    runner: LocalRunner, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unattended, "GONE_SECONDS", 0.0)
    publish(settings, waits=True)
    run, _ = runner.begin(LATE, WISH, "k1")
    runs = Runs(settings.state / unattended.RETRAINING.folder / run)
    until(lambda: any(each.metaflow_id and each.record.pid for each in runs.all()))
    os.kill(Supervisor(settings.state).processes()[f"retraining.{run}"].pid, signal.SIGTERM)
    assert outcome(runner, run) == Outcome("cancelled", "somebody ended its process")


def test_runs_by_a_schedule_are_kept_apart_and_the_oldest_go(runner: LocalRunner, settings: Settings) -> None:
    publish(settings)
    runs = unattended.Unattended(lambda: settings, unattended.SCHEDULE)
    for number in range(3):
        run = f"flights.train.{number}"
        runs.begin("flights", "train", run, key=str(number), reason="schedule")
        assert awaited(partial(runs.outcome, run)).ended is not None
    runs.prune("flights.train.", 2)
    runs.prune("flights.other.", 0)
    left = sorted(each.name for each in (settings.state / unattended.SCHEDULE.folder).iterdir())
    assert left == ["flights.train.1", "flights.train.2"]
    assert [each.name for each in sorted((settings.state / "logs").glob("schedule.*"))] == [
        f"schedule.{name}.log" for name in left
    ]


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
