"""The tests' own provider: the engine believes what a real API server holds, and fails with its words."""

from __future__ import annotations

from pathlib import Path

import pytest

from commands import until
from kubeapi import CONTEXT, Api
from kubeengine import STACK, Repository

pytestmark = [pytest.mark.engine, pytest.mark.cluster]
THINGS = "tests.mlplat.dev/v1"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory, server: Api) -> Repository:
    """Return a repository whose program makes a few objects, which are there."""
    made = Repository(tmp_path_factory.mktemp("tiny"), server, "tiny")
    told = {"tiny:context": CONTEXT, "tiny:kubeconfig": str(server.kubeconfig)}
    made.write({}, **told)
    made.pulumi.run("stack", "init", STACK)
    up(made)
    return made


def up(tiny: Repository, *argv: str, code: int | None = 0, **config: str) -> str:
    """Do what the program says, with some of its settings written first; return what the engine said."""
    tiny.write({}, **{f"tiny:{name}": value for name, value in config.items()})
    done = tiny.pulumi.run("up", "--yes", "--skip-preview", "-s", STACK, *argv, code=code)
    return done.out + done.err


def test_objects_are_made_after_what_they_need_and_a_second_up_does_nothing(tiny: Repository) -> None:
    made = [each.name for each in tiny.changed()]
    assert made.index("place") < made.index("settings")
    assert made.index("definition") < made.index("thing")
    with tiny.cluster as cluster:
        assert cluster.get(THINGS, "Thing", "one", "tiny") is not None
    up(tiny)
    assert tiny.changed() == []


def test_a_changed_field_changes_that_object_and_a_changed_name_makes_another(tiny: Repository) -> None:
    up(tiny, greeting="good morning")
    assert [(each.action, each.name) for each in tiny.changed()] == [("update", "settings")]
    up(tiny, name="renamed")
    assert [(each.action, each.identity) for each in tiny.changed()] == [
        ("delete", "tiny/settings"),
        ("create", "tiny/renamed"),
    ]


def test_what_the_api_server_refuses_fails_with_its_own_words(tiny: Repository) -> None:
    said = up(tiny, code=None, size="9")
    assert "should be less than or equal to 5" in said
    tiny.world.forget_calls()
    up(tiny, size="1")


def test_a_refresh_finds_what_somebody_changed_and_the_next_up_takes_it_back(tiny: Repository) -> None:
    with tiny.cluster as cluster:
        cluster.merge("v1", "ConfigMap", "renamed", {"data": {"greeting": "bye"}}, "tiny")
        tiny.pulumi.run("refresh", "--yes", "--skip-preview", "-s", STACK)
        tiny.world.forget_calls()
        said = up(tiny, code=None)
        assert "somebody else owns fields" in said
        cluster.delete("v1", "ConfigMap", "renamed", "tiny")
    tiny.pulumi.run("refresh", "--yes", "--skip-preview", "-s", STACK)
    tiny.world.forget_calls()
    up(tiny)
    assert [(each.action, each.name) for each in tiny.changed()] == [("create", "settings")]


def test_the_end_leaves_nothing(tiny: Repository) -> None:
    tiny.pulumi.run("destroy", "--yes", "--skip-preview", "-s", STACK)
    ended = [each.name for each in tiny.changed()]
    assert ended.index("thing") < ended.index("definition")
    assert ended.index("settings") < ended.index("place")
    with tiny.cluster as cluster:
        assert cluster.get("v1", "Namespace", "tiny") is None
    # The API server goes on telling of a kind for a moment.
    until(lambda: not _knows(tiny), what="the end of the kind")


def _knows(tiny: Repository) -> bool:
    with tiny.cluster as cluster:
        return cluster.knows(THINGS, "Thing")


def test_a_chart_is_refused_with_what_to_do(tmp_path: Path) -> None:
    from fakecloud.kind import RefusedError
    from fakecloud.world import World
    from kubeprovider.cluster import Real

    with pytest.raises(RefusedError, match="`adopt` or `off`"):
        Real(World(tmp_path)).kind("kubernetes:helm.sh/v3:Release")
    with pytest.raises(RefusedError, match="of whoever runs it"):
        Real(World(tmp_path)).configure({})
