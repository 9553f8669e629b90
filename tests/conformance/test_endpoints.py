"""Endpoint documents: wished, kept, told and ended alike, wherever a target keeps them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from commands import until
from conformance import PROJECT, Standing
from mlplat import targets
from mlplat.contracts import Connection
from mlplat.controller import stores, wishes
from mlplat.controller.document import Endpoint, Event, Status
from mlplat.controller.store import Store, SupersededError
from mlplat.labels import Name
from mlplat.spec.rollout import RolloutPolicy

LATE, BUSY = Name(PROJECT, "late"), Name(PROJECT, "busy")
WRITERS, WISHES = 3, 4


@pytest.fixture(scope="module")
def controlled(standing: Standing, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    """Return a platform whose controller runs. Its registry holds no model."""
    with standing.controller(tmp_path_factory.mktemp("controller")):
        yield standing


@pytest.fixture
def store(controlled: Standing, connection: Connection) -> Iterator[Store]:
    """Return the endpoint documents as a project finds them."""
    with stores.opened(connection.store, connection.namespaces) as found:
        yield found


def wish(store: Store, name: Name, version: str, of: Name | None = None) -> Endpoint:
    """Wish for a version of a model, by default the one named like the endpoint, as the command line does."""
    said = Event(time=datetime.now(UTC), generation=0, kind="wished", text=f"somebody wishes version {version}")
    policy = RolloutPolicy(strategy="direct")
    return store.wish(
        name, lambda present: wishes.deploy(name, of or name, version, policy, by="somebody", present=present), said
    )


def listed(controlled: Standing, project: Path) -> list[dict[str, Any]]:
    """Return the project's endpoints as the command line lists them: other tests have theirs on the same platform."""
    told = controlled.run("endpoint", "list", "--json", cwd=project).json()
    return [each for each in told if each["spec"]["name"].startswith(f"{PROJECT}/")]


def test_a_version_that_the_registry_does_not_have_is_refused_and_the_endpoint_says_so(
    controlled: Standing, project: Path, store: Store
) -> None:
    refused = controlled.run("deploy", str(LATE), "--version", "99", "--timeout", "90", cwd=project, code=1)
    assert refused.err.splitlines()[-1].startswith("hint: `mlplat rollout history")
    shown = controlled.run("endpoint", "show", str(LATE), "--json", cwd=project).json()
    assert [each["spec"] for each in listed(controlled, project)] == [shown["spec"]]
    assert (shown["spec"]["version"], shown["status"]["phase"]) == ("99", "refused")
    assert shown["status"]["observed_generation"] == shown["spec"]["generation"]
    assert shown["url"].endswith(f"/endpoints/{LATE}")
    assert [each.kind for each in store.events(LATE)] == ["wished", "refused"]


def test_every_wish_is_a_later_generation_and_the_history_tells_all(
    controlled: Standing, project: Path, store: Store
) -> None:
    before = store.get(LATE)
    assert before is not None
    controlled.run("deploy", str(LATE), "--version", "98", "--timeout", "90", cwd=project, code=1)
    after = store.get(LATE)
    assert after is not None
    assert after.spec.generation > before.spec.generation
    told = store.events(LATE)
    assert [each.kind for each in told] == ["wished", "refused"] * 2
    assert [each.number for each in told] == sorted({each.number for each in told})
    assert [each.number for each in store.events(LATE, told[1].number)] == [each.number for each in told[2:]]
    assert [told[0].generation, told[-1].generation] == [before.spec.generation, after.spec.generation]
    history = controlled.run("rollout", "history", str(LATE), cwd=project).out
    assert history.count("wishes version") == 2


def test_a_wish_comes_back_as_it_was_written(store: Store) -> None:
    wished = wish(store, BUSY, "7")
    found = store.get(BUSY)
    assert found is not None
    assert found.spec == wished.spec
    assert found.spec in [each.spec for each in store.endpoints()]
    assert store.get(Name(PROJECT, "none")) is None


def test_writers_at_the_same_time_lose_nothing(connection: Connection, controlled: Standing, store: Store) -> None:
    def write(writer: int) -> list[Endpoint]:
        with stores.opened(connection.store, connection.namespaces) as own:
            return [wish(own, BUSY, f"{writer + 1}{number}") for number in range(WISHES)]

    with ThreadPoolExecutor(WRITERS) as pool:
        written = [each.spec for some in pool.map(write, range(WRITERS)) for each in some]
    generations = {each.generation: each for each in written}
    assert len(generations) == WRITERS * WISHES
    last = store.get(BUSY)
    assert last is not None
    assert last.spec == generations[max(generations)]


def test_a_report_on_a_former_wish_changes_nothing(store: Store) -> None:
    old, new = wish(store, BUSY, "8").spec, wish(store, BUSY, "9").spec
    with pytest.raises(SupersededError):
        store.report(BUSY, old.generation, Status(phase="serving", observed_generation=old.generation))
    found = store.get(BUSY)
    assert found is not None
    assert (found.spec, found.status.phase == "serving") == (new, False)


def test_a_deleted_endpoint_is_gone_and_its_name_is_free(controlled: Standing, project: Path, store: Store) -> None:
    ended = controlled.run("endpoint", "delete", str(LATE), "--yes", "--timeout", "90", cwd=project)
    assert f"{LATE} was deleted" in ended.err
    assert store.get(LATE) is None
    assert [each["spec"]["name"] for each in listed(controlled, project)] == [str(BUSY)]
    assert bool(store.events(LATE)) == ("history of a deleted endpoint" not in targets.LESS[controlled.target])
    again = wish(store, LATE, "1")
    assert again.status.champion is None
    for name in (LATE, BUSY):
        controlled.run("endpoint", "delete", str(name), "--yes", "--no-wait", cwd=project)
    until(lambda: not any(store.get(name) for name in (LATE, BUSY)), 90, "both are gone")


def test_endpoints_whose_names_begin_alike_go_on_when_one_of_them_ends(
    controlled: Standing, project: Path, connection: Connection, store: Store
) -> None:
    """Two on one model, and one of the same name in a project whose own name begins so."""
    beside = [Name(PROJECT, "late-eu")]
    if not connection.namespaces:  # where teams share a platform, a project has to be one of a team's
        beside.append(Name(f"{PROJECT}-eu", "late"))
    for name in (LATE, *beside):
        wish(store, name, "97", of=LATE)
    until(lambda: all(_phase(store, name) == "refused" for name in (LATE, *beside)), 90, "all are judged")
    before = {name: (store.get(name), store.events(name)) for name in beside}
    controlled.run("endpoint", "delete", str(LATE), "--yes", "--timeout", "90", cwd=project)
    assert store.get(LATE) is None
    assert {name: (store.get(name), store.events(name)) for name in beside} == before
    for name in beside:
        controlled.run("endpoint", "delete", str(name), "--yes", "--no-wait", cwd=project)
    until(lambda: not any(store.get(name) for name in beside), 90, "those are gone too")


def _phase(store: Store, name: Name) -> str:
    found = store.get(name)
    return found.status.phase if found else ""
