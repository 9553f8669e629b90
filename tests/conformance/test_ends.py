"""The end of a platform, on every target alike: asked for, said, whole, and over once. These tests come last."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

import psutil
import pytest

from commands import Done
from conformance import Standing
from mlplat.contracts import Connection


@pytest.fixture
def ended(standing: Standing) -> Done:
    """Return what was said when the platform was ended with its data."""
    return standing.end()[0]


def test_data_goes_only_when_somebody_says_so(standing: Standing) -> None:
    before = standing.doings()
    refused = standing.run("down", "--delete-data", code=2)
    assert "nobody can be asked" in refused.err
    assert standing.left()
    assert standing.doings() == before


@pytest.mark.e2e
def test_without_its_data_it_ends_and_goes_on_from_there(local_platform: Standing, ending: None) -> None:
    tracking = local_platform.run("outputs", "--json").json()["endpoints"]["tracking"]
    _asked(tracking + "/api/2.0/mlflow/experiments/create", {"name": "kept"})
    pids = local_platform.mlplat.pids()
    assert "data stays" in local_platform.run("down").err
    assert not [pid for pid in pids.values() if psutil.pid_exists(pid)]
    assert "nothing ran" in local_platform.run("down").err
    assert local_platform.run("status", code=1).out
    local_platform.run("up")
    _asked(tracking + "/api/2.0/mlflow/experiments/get-by-name?experiment_name=kept")


def test_nothing_is_left_of_it(standing: Standing, ended: Done) -> None:
    assert standing.left() == []
    assert "Traceback" not in ended.err


def test_projects_no_longer_find_it(
    standing: Standing, ended: Done, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLPLAT_CONFIG_DIR", standing.mlplat.env["MLPLAT_CONFIG_DIR"])
    assert not Connection.path(standing.name, standing.stack).exists()
    lost = standing.run("endpoint", "list", cwd=project, code=1)
    assert f"no platform `{standing.name}` with a stack `{standing.stack}` is known" in lost.err


def test_what_has_ended_is_not_said_to_stand(standing: Standing, ended: Done) -> None:
    assert standing.run("status", code=1).code == 1


def test_a_second_end_has_nothing_to_do(standing: Standing, ended: Done) -> None:
    before = standing.doings()
    again = standing.run("down", *standing.agreed)
    assert "nothing" in again.err
    assert standing.doings() == before


def _asked(url: str, body: dict[str, str] | None = None) -> None:
    data = json.dumps(body).encode() if body else None
    with urllib.request.urlopen(urllib.request.Request(url, data, {"Content-Type": "application/json"}), timeout=20):
        return
