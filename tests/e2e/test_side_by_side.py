"""Two projects of one platform whose names begin alike: what one was asked is watched, and forgotten, in it alone."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from commands import Mlplat, until
from mlplat.contracts import PREDICTIONS
from mlplat.runtime.snapshots.place import FOLDER
from mlplat.serving import parts

from .test_journey import Project, _settings, shop

pytestmark = pytest.mark.e2e
COUNT = 120
WATCHED = """
monitoring: {window_days: 1, windows: 1, violations: 1, min_rows: 50}
serving: {abstain: {low: 0.01, high: 0.99}}
"""
"""Windows as short as a test, and a model that leaves nearly everything to a person."""


@pytest.fixture(scope="module")
def visits(platform: Mlplat) -> Path:
    return shop(platform.folder / "alike.csv")


@pytest.fixture(scope="module")
def changed(platform: Mlplat, visits: Path) -> Iterator[Project]:
    """Return a project whose endpoint is asked for something else than it has learned from."""
    row = {"country": "ch", "price": 99.0, "age": 20.0}
    yield (made := _serving(platform, "alike", visits, [row] * COUNT))
    made.run("endpoint", "delete", made.model, "--yes")


@pytest.fixture(scope="module")
def usual(platform: Mlplat, visits: Path) -> Iterator[Project]:
    """Return a project whose endpoint is asked for what it has learned from."""
    with visits.open() as file:
        found = list(csv.DictReader(file))[-COUNT:]
    rows = [
        {"country": each["country"], "price": float(each["price"]), "age": float(each["age"]) if each["age"] else None}
        for each in found
    ]
    yield (made := _serving(platform, "alike-eu", visits, rows))
    made.run("endpoint", "delete", made.model, "--yes")


def _serving(platform: Mlplat, name: str, visits: Path, rows: list[dict[str, Any]]) -> Project:
    settings = {"data": str(visits), "target": "bought", "time": "seen"}
    given = [part for item in settings.items() for part in ("--set", "=".join(item))]
    platform.run("new", name, "--defaults", *given)
    made = Project(platform, platform.folder / name, f"{name}/bought")
    _settings(made.folder, family="linear")
    with (made.folder / "mlplat.yaml").open("a") as file:
        file.write(WATCHED)
    assert made.train()["status"] == "registered"
    made.run("deploy", "--strategy", "direct")
    (made.folder / "rows.json").write_text(json.dumps(rows))
    made.run("predict", "--data", "rows.json")
    until(lambda: parts.read(_log(made), ["time"]).num_rows == COUNT, what="the prediction log")
    answer = next(each for each in _reviews(made)["waiting"] if each["row"]["country"] == "ch")
    made.run("data", "review", "label", answer["id"], "1")
    return made


def _log(project: Project) -> Path:
    state = Path(project.platform.env["MLPLAT_STATE_DIR"]) / "tests" / "local"
    return state / PREDICTIONS / project.model.replace("/", ".")


def _reviews(project: Project) -> Any:
    return project.run("data", "review", "--json").json()


def _monitored(project: Project) -> tuple[dict[str, Any], dict[str, Any]]:
    """Monitor on the day after; return what the run came to, and its report."""
    last = max(parts.read(_log(project), ["time"])["time"].to_pylist())
    told = project.run("run", "monitor", "--until", f"{last + timedelta(days=1):%Y-%m-%d}", "--json").json()
    (report,) = (project.folder / ".mlplat" / "runs").rglob("drift.json")
    return told["result"], json.loads(report.read_text())


def _held(project: Project) -> dict[Path, bytes]:
    """Return every file with a project's rows: snapshots, reviews, predictions."""
    folders = (project.folder / FOLDER, _log(project))
    return {path: path.read_bytes() for folder in folders for path in folder.rglob("*") if path.is_file()}


def test_a_monitor_sees_the_rows_and_raises_the_alarms_of_its_own_project(changed: Project, usual: Project) -> None:
    for project, status in ((changed, "alarm"), (usual, "quiet")):
        result, report = _monitored(project)
        assert (result["status"], report["rows"], report["endpoint"]) == (status, COUNT, project.model), result


def test_an_erasure_leaves_the_other_project_as_it_was(changed: Project, usual: Project) -> None:
    before = _held(usual)
    told = changed.run("data", "erase", "country=ch", "--reason", "asked for it", "--json").json()
    assert {each["holder"] for each in told["held"]} == {"snapshot", "review", "prediction log"}
    assert parts.read(_log(changed)).num_rows == 0
    assert _reviews(changed) == {"waiting": [], "labelled": []}
    assert _held(usual) == before
    assert len(_reviews(usual)["labelled"]) == 1


def test_the_platform_tells_of_the_alarm_of_the_one_alone(changed: Project, usual: Project) -> None:
    def alarms() -> set[str]:
        return {each["name"] for each in changed.run("status", "--json").json() if each["owner"] == "alert"}

    until(lambda: any(changed.model in each for each in alarms()), 120, "the alert")
    assert not [each for each in alarms() if usual.model in each]
