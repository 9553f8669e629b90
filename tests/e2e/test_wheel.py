"""The wheel alone, in an empty environment: what somebody has who never saw this repository."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import wheels
from commands import Mlplat

pytestmark = pytest.mark.e2e


@pytest.fixture
def installed(tmp_path: Path) -> Iterator[Mlplat]:
    """A platform whose command line is the built wheel, with what the wheel requires and nothing else."""
    made = wheels.install(tmp_path)
    made.stack(name="mlplat")
    yield made
    made.run("down", code=None)


def test_a_wheel_stands_a_platform_up_and_trains_a_model(installed: Mlplat) -> None:
    assert installed.run("version").out == "0.1.0\n"
    installed.run("up", timeout=900)
    installed.run("new", "flights", "--defaults")
    project = installed.folder / "flights"
    done = installed.run("run", "train", "--until", "2013-05-02", "--json", cwd=project, timeout=900)
    assert done.json()["result"]["status"] == "registered"
    assert "flights/late" in installed.run("model", "list").out
