"""The engine's tests: a copy of this repository's own Pulumi program, on folders of its own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import engine
from commands import ROOT
from platforms import mlplat, write_stack


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave the engine's tests out, in one line, where there is no engine and none is required."""
    if engine.find() or "engine" in os.environ.get("MLPLAT_REQUIRE", "").split(","):
        return
    skip = pytest.mark.skip(reason="no Pulumi engine here: `make tools` builds one")
    for item in items:
        if item.get_closest_marker("engine"):
            item.add_marker(skip)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with this repository's Pulumi.yaml and program, and a stack `local` of its own."""
    folder = tmp_path_factory.mktemp("repository")
    shutil.copy(ROOT / "Pulumi.yaml", folder)
    (folder / "platform").mkdir()
    shutil.copy(ROOT / "platform" / "__main__.py", folder / "platform")
    return folder


@pytest.fixture(scope="module")
def pulumi(repository: Path) -> Iterator[engine.Pulumi]:
    """Return the engine with a stack `local`, whose platform is ended at last."""
    made = engine.Pulumi(repository, repository / "home")
    write_stack(made)
    made.run("stack", "init", "local")
    yield made
    mlplat(made).run("down", code=None)
