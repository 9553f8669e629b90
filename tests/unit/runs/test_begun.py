"""What the platform began by itself is a project's run like any other."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from mlplat.cli import cli
from mlplat.contracts import Connection
from mlplat.controller.unattended import JOB, OUTCOME, RETRAINING, SCHEDULE, Job, Kind, Result
from mlplat.errors import UsageError
from mlplat.runs.begun import begun, named
from mlplat.runs.store import Runs

PROJECT = "version: 1\nproject: flights\nmodel: late\ntask: binary\ndata: {source: rows.csv, target: y}\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Connection:
    folder = tmp_path / "flights"
    folder.mkdir()
    (folder / "mlplat.yaml").write_text(PROJECT)
    monkeypatch.chdir(folder)
    made = Connection("mlplat", "local", "local", "http://127.0.0.1:9", "", f"sqlite:///{tmp_path}/endpoints.db")
    made.write()
    return made


def begin(connection: Connection, kind: Kind, name: str, started: str, result: Result | None = None) -> Path:
    folder = Path(connection.store.removeprefix("sqlite:///")).parent / kind.folder / name
    flow = name.split(".")[1]
    run = Runs(folder).begin(flow, [], platform="mlplat", stack="local")
    run.save(started=started, status="interrupted", pid=1)
    job = Job(folder="", python="", paths=(), flow=flow, key="k", reason=kind.word, commit="c0ffee", connection={})
    (folder / JOB).write_text(job.model_dump_json())
    if result:
        (folder / OUTCOME).write_text(result.model_dump_json())
    return run.folder


def test_they_are_listed_among_the_others_with_why(here: Connection) -> None:
    begin(here, SCHEDULE, "flights.monitor.1", "2013-07-01T04:30:00+00:00", Result(status="done", message=""))
    begin(here, RETRAINING, "flights.late.2", "2013-07-02T04:30:00+00:00")
    begin(here, SCHEDULE, "flights-two.monitor.1", "2013-07-01T04:30:00+00:00")
    Runs(Path.cwd()).begin("train", [], platform="mlplat", stack="local")
    rows = json.loads(CliRunner().invoke(cli, ["run", "list", "--json"]).stdout)
    assert [(row["name"], row["reason"]) for row in rows] == [
        ("1", ""), ("flights.late.2", "retraining"), ("flights.monitor.1", "schedule"),
    ]  # fmt: skip
    assert [each.status for each in begun(here, "flights")] == ["running", "done"]


def test_one_is_shown_by_its_name(here: Connection) -> None:
    begin(here, SCHEDULE, "flights.monitor.1", "2013-07-01T04:30:00+00:00")
    done = CliRunner().invoke(cli, ["run", "show", "flights.monitor.1"])
    assert "begun by the platform: schedule" in done.stderr
    assert "log.txt" in done.stdout
    with pytest.raises(UsageError, match=r"no run `flights.monitor.9` of `flights`"):
        named(here, "flights", "flights.monitor.9")


def test_a_report_that_nobody_watched_is_the_newest_to_open(here: Connection) -> None:
    run = Runs(Path.cwd()).begin("monitor", [], platform="mlplat", stack="local").save(started="2013-06-01T00:00:00")
    (run.folder / "drift.html").write_text("<p>")
    page = begin(here, SCHEDULE, "flights.monitor.1", "2013-07-01T04:30:00+00:00") / "drift.html"
    page.write_text("<p>")
    done = CliRunner().invoke(cli, ["open", "drift", "--print", "--json"])
    assert json.loads(done.stdout)["url"] == page.as_uri()


def test_a_cluster_begins_nothing_here(here: Connection) -> None:
    assert begun(replace(here, store="kubernetes:prod"), "flights") == []
