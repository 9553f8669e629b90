"""A repository that `mlplat init` made, opened with plain `pulumi`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import engine
from commands import Mlplat

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> engine.Pulumi:
    """Return the engine in a repository of `mlplat init`, with its stack `local` begun."""
    place = tmp_path_factory.mktemp("init")
    made = Mlplat(place, command=(sys.executable, "-m", "mlplat")).run("init", "acme", "--yes")
    pulumi = engine.Pulumi(Path(made.out.strip()), place / "home")
    pulumi.run("stack", "init", "local")
    return pulumi


def test_pulumi_previews_the_same_platform(repository: engine.Pulumi) -> None:
    shown = repository.run("preview", "-s", "local").out
    for service in ("tracking", "gateway", "controller"):
        assert service in shown
    assert not (repository.home / "state").exists()


def test_an_older_stack_file_is_read_in_the_newest_form_with_a_warning(repository: engine.Pulumi) -> None:
    stack = repository.folder / "stacks" / "Pulumi.local.yaml"
    new = stack.read_text()
    old = new.replace("version: 2", "version: 1").replace("retention: {days: 30}", "keep_megabytes: 300")
    assert old.count("keep_megabytes") == 1
    stack.write_text(old)
    done = repository.run("preview", "-s", "local")
    assert "warning: stack local is of version 1 and read as version 2" in done.out + done.err
    assert stack.read_text() == old
    stack.write_text(new.replace("version: 2", "version: 3"))
    refused = repository.run("preview", "-s", "local", code=None)
    assert refused.code != 0
    assert "version: is 3, and this mlplat knows 2" in refused.out + refused.err
