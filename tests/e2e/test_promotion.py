"""One version on its way between two platforms that stand at once, each with processes and a registry of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
from mlflow import MlflowClient

from commands import Mlplat, until

from .test_journey import ROWS, Project, _settings, shop

pytestmark = pytest.mark.e2e
STAGING = "staging"
UNTIL = ("--until", "2024-05-20")
MODEL = "promoted/bought"


@pytest.fixture(scope="module")
def staging(platform: Mlplat) -> Iterator[MlflowClient]:
    """Bring up a second stack beside the first, on ports of its own choice; return a client of its registry."""
    spec = {"name": "tests", "ports": "auto", "controller": {"interval_seconds": 0.2}}
    path = platform.folder / "stacks" / f"Pulumi.{STAGING}.yaml"
    path.write_text(json.dumps({"config": {"mlplat:platform": spec}}))
    platform.run("up", "-s", STAGING, timeout=900)
    yield MlflowClient(platform.run("outputs", "-s", STAGING, "--json").json()["endpoints"]["tracking"])
    platform.run("down", "-s", STAGING, "--delete-data", "--yes")


@pytest.fixture(scope="module")
def project(platform: Mlplat) -> Project:
    """Return a project whose first version passed its gate on the first stack."""
    data = shop(platform.folder / "promoted.csv")
    settings = {"data": str(data), "target": "bought", "time": "seen"}
    platform.run(
        "new", "promoted", "--defaults", *(part for item in settings.items() for part in ("--set", "=".join(item)))
    )
    made = Project(platform, platform.folder / "promoted", MODEL)
    _settings(made.folder, family="linear")
    (made.folder / "rows.json").write_text(json.dumps(ROWS))
    assert made.train(*UNTIL)["status"] == "registered"
    return made


def versions(project: Project, stack: str) -> list[dict[str, Any]]:
    """Return what a stack's registry has of the model."""
    found: list[dict[str, Any]] = project.run("model", "list", MODEL, "-s", stack, "--json").json()
    return found


def promote(project: Project, version: str, *, code: int = 0) -> Any:
    """Promote a version from the first stack to the second."""
    argv = ("model", "promote", "--version", version, "--from", "local", "--to", STAGING, *UNTIL)
    return project.run(*argv, "--json", code=code)


def test_one_that_is_killed_in_between_leaves_no_version(project: Project, staging: MlflowClient) -> None:
    argv = ("model", "promote", "--version", "1", "--from", "local", "--to", STAGING, *UNTIL)
    command = project.platform.start(*argv, cwd=project.folder)
    # What it writes first of all is there, and what makes it a version is not.
    until(lambda: _begun(staging) or command.poll() is not None, 120, "the promotion writes to the other registry")
    tree = psutil.Process(command.pid)
    for each in [tree, *tree.children(recursive=True)]:
        each.kill()
    command.communicate()
    assert _begun(staging)
    assert versions(project, STAGING) == []


def _begun(registry: MlflowClient) -> bool:
    found = registry.get_experiment_by_name("promoted.bought")
    return bool(found and registry.search_runs([found.experiment_id]))


def test_the_same_bytes_are_judged_again_and_serve_there(project: Project, staging: MlflowClient) -> None:
    (here,) = versions(project, "local")
    made = promote(project, "1").json()
    (there,) = versions(project, STAGING)
    assert (made["version"], made["new"]) == ("1", True)
    assert there["digest"] == here["digest"] == made["digest"]
    shown = project.run("model", "show", MODEL, "--version", "1", "-s", STAGING, "--json").json()
    assert shown["report"]["passed"]
    assert shown["report"]["digest"] == here["digest"]
    # The killed one looked at the same bytes, and at no more than this one does.
    assert shown["report"]["holdout"]["look"] == 1
    assert staging.get_model_version("promoted.bought", "1").tags["mlplat.promoted_from"] == "tests/local version 1"
    again = promote(project, "1").json()
    assert (again["version"], again["new"]) == ("1", False)
    project.run("deploy", MODEL, "--strategy", "direct", "-s", STAGING)
    answered = project.run("predict", "--data", "rows.json", "-s", STAGING, "--json").json()
    assert answered["version"] == "1"
    assert answered["predictions"][0]["probability"] > answered["predictions"][1]["probability"]
    # Nothing serves on the first stack, whose endpoints are its own.
    assert MODEL not in {each["spec"]["name"] for each in project.run("endpoint", "list", "--json").json()}


def test_one_that_is_worse_than_what_serves_there_is_refused_there(project: Project, staging: MlflowClient) -> None:
    before = versions(project, STAGING)
    # Nothing serves on the first stack, so a model that does not know the price passes there.
    worse = project.train(*UNTIL, "--set", 'data.refused=["price"]', "--set", "gate.min_auc=0.5")
    assert worse["status"] == "registered", worse["message"]
    refused = promote(project, worse["version"], code=1)
    assert "it is registered nowhere" in refused.err
    assert "no_worse_than_champion" in refused.err
    assert versions(project, STAGING) == before
