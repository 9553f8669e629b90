"""Endpoint documents, the lease and the API's client on a real API server."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from kubeendpoints import define
from mlplat.cluster import Cluster, ConflictError, UnknownKindError
from mlplat.controller import decision, wishes
from mlplat.controller.document import Endpoint, EndpointSpec, Event, Status
from mlplat.controller.kubernetes.lease import DURATION, GIVING_UP, Lease
from mlplat.controller.kubernetes.store import KubernetesStore
from mlplat.controller.store import SupersededError, Wish
from mlplat.controller.window import Window
from mlplat.errors import RefusedError
from mlplat.labels import Name
from mlplat.manifests import crd, names
from mlplat.spec.rollout import RolloutPolicy

pytestmark = pytest.mark.cluster
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
WISHED = Event(time=NOW, generation=0, kind="wished", text="a wish")
_teams = itertools.count(1)


@pytest.fixture
def team(api: Cluster) -> str:
    define(api)
    name = f"store-{next(_teams)}"
    for namespace in (name, names.NAMESPACE):
        api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    return name


@pytest.fixture
def store(api: Cluster, team: str) -> Iterator[KubernetesStore]:
    with KubernetesStore(api, {team: team}) as found:
        yield found


@pytest.fixture
def late(team: str) -> Name:
    return Name(team, "late")


def deploy(late: Name, version: str = "1") -> Wish:
    return lambda present: wishes.deploy(late, late, version, RolloutPolicy(), by="ada", present=present)


def test_an_equal_wish_is_a_new_generation(store: KubernetesStore, late: Name) -> None:
    first = store.wish(late, deploy(late), WISHED)
    assert store.wish(late, deploy(late), WISHED).spec.generation == first.spec.generation + 1


def test_figures_that_nothing_bounds_come_back(store: KubernetesStore, late: Name) -> None:
    generation = store.wish(late, deploy(late), WISHED).spec.generation
    figures = decision.decide(Window(), Window(), RolloutPolicy(), 0.0).figures
    assert figures.challenger_latency.high is None
    event = Event(time=NOW, generation=generation, kind="step", text="a step", figures=figures)
    store.report(late, generation, Status(phase="rolling", observed_generation=generation, since=NOW), [event])
    assert [each.figures for each in store.events(late)][-1] == figures


def test_whoever_writes_in_between_is_not_lost(store: KubernetesStore, late: Name) -> None:
    store.wish(late, deploy(late), WISHED)
    seen: list[str] = []

    def wish(present: Endpoint | None) -> EndpointSpec:
        assert present is not None
        seen.append(present.spec.version)
        if len(seen) == 1:
            store.wish(late, deploy(late, "2"), WISHED)
        return deploy(late, "3")(present)

    assert store.wish(late, wish, WISHED).spec.version == "3"
    assert seen == ["1", "2"]


def test_a_report_on_an_old_wish_is_refused(store: KubernetesStore, late: Name) -> None:
    old = store.wish(late, deploy(late), WISHED).spec.generation
    new = store.wish(late, deploy(late, "2"), WISHED).spec.generation
    with pytest.raises(SupersededError):
        store.report(late, old, Status(phase="serving"))
    store.report(late, new, Status(phase="fetching", observed_generation=new, since=NOW))
    found = store.get(late)
    assert found is not None
    assert (found.status.phase, [each.kind for each in store.events(late)]) == ("fetching", ["wished"])


def test_a_report_changes_nothing_that_people_wrote(store: KubernetesStore, api: Cluster, late: Name) -> None:
    generation = store.wish(late, deploy(late), WISHED).spec.generation
    store.report(late, generation, Status(phase="fetching", observed_generation=generation, since=NOW))
    found = store.get(late)
    assert found is not None
    assert found.spec.generation == generation


def test_a_deleted_endpoint_takes_no_more_wishes_and_waits_for_its_end(
    store: KubernetesStore, api: Cluster, late: Name, team: str
) -> None:
    store.wish(late, deploy(late), WISHED)
    api.delete(names.API_VERSION, crd.KIND, late.id, team)
    found = store.get(late)
    assert found is not None
    assert found.spec.action == "delete"
    with pytest.raises(RefusedError, match="is being deleted"):
        store.wish(late, deploy(late), WISHED)
    with pytest.raises(SupersededError):
        store.remove(late, found.spec.generation - 1, WISHED)
    store.remove(late, found.spec.generation, WISHED)
    assert store.get(late) is None


def test_a_project_of_no_team_has_no_place(store: KubernetesStore) -> None:
    with pytest.raises(RefusedError, match="belongs to no team"):
        store.get(Name("nobody", "late"))


def test_another_teams_path_cannot_be_taken(store: KubernetesStore, api: Cluster, team: str) -> None:
    other = Name("elsewhere", "late")
    api.create(
        {
            "apiVersion": names.API_VERSION, "kind": crd.KIND, "metadata": {"name": other.id, "namespace": team},
            "spec": {"model": str(other), "version": "1"},
        }
    )  # fmt: skip
    assert store.endpoints() == []
    assert store.strangers() == [(team, other.id)]


def test_time_never_runs_backwards_over_a_restart(api: Cluster, store: KubernetesStore, late: Name, team: str) -> None:
    generation = store.wish(late, deploy(late), WISHED).spec.generation
    ahead = KubernetesStore(api, {team: team}, wall=lambda: 5_000.0, monotonic=lambda: 0.0).seconds()
    rollout = {"step": 0, "started": ahead}
    status = Status.model_validate({"observed_generation": generation, "rollout": rollout})
    store.report(late, generation, status)
    ticks = iter([100.0, 101.5])
    behind = KubernetesStore(api, {team: team}, wall=lambda: 10.0, monotonic=lambda: next(ticks))
    assert behind.seconds() >= 5_000.0


def test_one_holder_at_a_time_and_the_next_after_the_whole_duration(api: Cluster, team: str) -> None:
    now = [0.0]
    first, second = (Lease(api, f"{team}-{each}", monotonic=lambda: now[0]) for each in ("a", "b"))
    api.delete("coordination.k8s.io/v1", "Lease", "controller", names.NAMESPACE)
    assert first.take()
    assert not second.take()
    now[0] += DURATION - 1
    assert not first.is_held()
    assert not second.take()
    now[0] += 2
    assert second.take()
    assert not first.take()
    second.release()
    assert first.take()
    assert GIVING_UP < DURATION


def test_refusals_are_the_apis_own_words(api: Cluster, team: str) -> None:
    document = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": team}}
    made = api.create(document)
    with pytest.raises(ConflictError, match="already exists"):
        api.create(document)
    api.replace({**made, "data": {"a": "1"}})
    with pytest.raises(ConflictError, match="has been modified"):
        api.replace({**made, "data": {"a": "2"}})
    with pytest.raises(RefusedError, match="field not declared in schema"):
        api.apply({**document, "dat": {}})
    with pytest.raises(UnknownKindError, match="has no `Nothing` of `v9`"):
        api.get("v9", "Nothing", "x")
    assert api.get("v1", "ConfigMap", "absent", team) is None
    api.delete("v1", "ConfigMap", "absent", team)


def test_a_watch_ends_by_itself(api: Cluster, team: str) -> None:
    api.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "seen", "namespace": team}})
    # Time enough for a busy API server to send what is there: it counts from when it was asked.
    found = [
        (kind, document["metadata"]["name"])
        for kind, document in api.watch("v1", "ConfigMap", namespace=team, seconds=3)
    ]
    assert ("ADDED", "seen") in found
