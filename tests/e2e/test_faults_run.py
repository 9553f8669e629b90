"""What ends while a model is trained: the trainer, the command that watches it, the server that it registers with."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from commands import Mlplat, is_gone, until

from .test_journey import Project, _settings, shop

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def project(platform: Mlplat) -> Project:
    data = shop(platform.folder / "trained.csv")
    platform.run("new", "runs", "--defaults", "--set", f"data={data}", "--set", "target=bought", "--set", "time=seen")
    made = Project(platform, platform.folder / "runs", "runs/bought")
    _settings(made.folder, family="linear")
    made.run("run", "train", "--prepare")
    return made


@contextlib.contextmanager
def training(project: Project, *argv: str) -> Iterator[subprocess.Popen[str]]:
    """Train, and end what is left of it afterwards."""
    child = project.platform.start("run", *argv, cwd=project.folder)
    try:
        yield child
    finally:
        child.kill()
        child.communicate()


def _newest(project: Project) -> Path:
    runs = project.folder / ".mlplat" / "runs"
    return runs / str(max((int(each.name) for each in runs.glob("*")), default=0))


def _reaches(project: Project, step: str, after: Path) -> Path:
    """Wait until the run behind `after` is in a step; return its folder."""

    def is_there() -> bool:
        log = _newest(project) / "log.txt"
        return _newest(project) != after and log.exists() and f"/{step}/" in log.read_text()

    until(is_there, seconds=120, what=f"the run reaches {step}")
    return _newest(project)


def _leader(folder: Path) -> int:
    return int(json.loads((folder / "run.json").read_text())["pid"])


def _versions(project: Project) -> list[str]:
    listed: list[dict[str, Any]] = project.run("model", "list", "--json").json()
    return [each["version"] for each in listed if each["model"] == project.model]


def test_a_killed_trainer_is_resumed_without_training_or_registering_twice(project: Project) -> None:
    before = _newest(project)
    with training(project, "train", "--until", "2024-05-20") as child:
        folder = _reaches(project, "gate", before)
        os.kill(_leader(folder), signal.SIGKILL)
        _, said = child.communicate(timeout=240)
        assert child.returncode == 1
    number = folder.name
    assert "its process was killed (SIGKILL)" in said
    assert f"`mlplat run resume {number}`" in said
    assert _versions(project) == []

    with training(project, "resume") as child:
        folder = _reaches(project, "register", folder)
        until(lambda: _versions(project) or child.poll() is not None, seconds=120, what="the version is registered")
        with contextlib.suppress(ProcessLookupError):
            os.killpg(_leader(folder), signal.SIGKILL)
        child.communicate(timeout=240)
    log = (folder / "log.txt").read_text()
    assert all(f"/{step}/" not in log or "Cloning" in log for step in ("start", "train"))
    assert "Cloning" in log

    done = project.run("run", "resume", "--json", code=None)
    listed = project.run("run", "list", "--json").json()
    assert done.code == 0 or listed[0]["status"] == "registered", done.err
    assert _versions(project) == ["1"]
    result = listed[0]["result"]
    assert (result["status"], result["version"]) == ("registered", "1")


def test_a_tracking_server_killed_while_a_run_writes_to_it_loses_nothing(project: Project) -> None:
    before, known = _newest(project), _versions(project)
    with training(project, "train", "--until", "2024-05-29", "--set", "gate.margin=0.3", "--json") as child:
        for step in ("gate", "register"):
            _reaches(project, step, before)
            pid = project.platform.pids()["tracking"]
            os.kill(pid, signal.SIGKILL)
        out, said = child.communicate(timeout=480)
    assert child.returncode == 0, said
    # The last kill may have come when the run needed the server no more: it starts still.
    until(lambda: project.run("model", "list", "--json", code=None).code == 0, what="the server is back")
    told = json.loads(out)
    assert told["status"] == "registered"
    assert len(_versions(project)) == len(known) + 1
    assert told["result"]["version"] in _versions(project)


def test_a_run_whose_watcher_is_killed_is_listed_and_cancelled(project: Project) -> None:
    before = _newest(project)
    with training(project, "train", "--until", "2024-05-29") as child:
        folder = _reaches(project, "start", before)
        child.kill()
    listed = project.run("run", "list", "--json").json()
    assert (listed[0]["id"], listed[0]["status"]) == (int(folder.name), "running")
    project.run("run", "cancel", folder.name)
    assert project.run("run", "list", "--json").json()[0]["status"] == "cancelled"
    until(lambda: is_gone(_leader(folder)), what="the end of all its processes")
