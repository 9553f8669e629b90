"""Monitoring from the command line: what a run is asked for, and the report that is opened."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from mlplat.cli import cli
from mlplat.cli.open import PAGE as OPENED
from mlplat.runs.flow import Request
from mlplat.runs.store import Runs
from mlplat.runtime.monitoring.monitor import PAGE, times

PROJECT = "version: 1\nproject: p\nmodel: m\ntask: binary\ndata: {source: rows.csv, target: y}\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "mlplat.yaml").write_text(PROJECT)
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows" / "monitor.py").write_text("")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_rows_reach_the_flow_as_the_two_times_that_it_reads() -> None:
    asked = Request("monitor", until="2013-08-01", rows=("2013-06-01", "2013-07-01"))
    assert asked.options() == ["--until", "2013-08-01", "--rows", "2013-06-01/2013-07-01"]
    begin, end = times(asked.values()["rows"], "UTC")
    assert (f"{begin:%Y-%m-%d}", f"{end:%Y-%m-%d}") == ("2013-06-01", "2013-07-01")


def test_rows_that_are_no_times_are_refused_before_anything_starts(project: Path) -> None:
    done = CliRunner().invoke(cli, ["run", "monitor", "--rows", "2013-06-01", "June"])
    assert done.exit_code != 0
    assert not (project / ".venv").exists()


def test_the_newest_run_that_left_a_report_is_opened(project: Path) -> None:
    assert OPENED == PAGE
    runs = [Runs(project).begin(flow, [], platform="p", stack="local") for flow in ("monitor", "monitor", "train")]
    for run in runs[:2]:
        (run.folder / PAGE).write_text("<p>")
    done = CliRunner().invoke(cli, ["open", "drift", "--print", "--json"])
    assert json.loads(done.stdout) == {"service": "drift", "url": (runs[1].folder / PAGE).absolute().as_uri()}


def test_without_a_report_the_way_to_one_is_said(project: Path) -> None:
    done = CliRunner().invoke(cli, ["open", "drift"])
    assert done.exit_code == 1
    assert "no run of this project's monitor has left a report" in str(done.exception or done.output)


def test_the_latest_of_evidentlys_pages_is_opened(project: Path) -> None:
    refused = CliRunner().invoke(cli, ["open", "drift", "--evidently"])
    assert "no run of this project's monitor has left a page of Evidently's" in str(refused.exception)
    run = Runs(project).begin("monitor", [], platform="p", stack="local")
    for day in ("2013-06-24", "2013-07-01", "2013-06-17"):
        (run.folder / f"evidently-{day}.html").write_text("<p>")
    done = CliRunner().invoke(cli, ["open", "drift", "--evidently", "--print"])
    assert done.stdout.strip() == (run.folder / "evidently-2013-07-01.html").absolute().as_uri()
    assert CliRunner().invoke(cli, ["open", "tracking", "--evidently"]).exit_code
