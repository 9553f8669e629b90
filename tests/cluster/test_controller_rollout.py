"""The controller on a real API server; pods and the gateway are played (tests/support/kubeendpoints.py)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from kubeendpoints import Killed, Place
from mlplat.cluster import Cluster
from mlplat.controller import wishes
from mlplat.controller.kubernetes.routes import API_VERSION, KIND, POLICY
from mlplat.manifests import crd, names, route

pytestmark = pytest.mark.cluster
_teams = itertools.count(1)


@pytest.fixture
def place(api: Cluster, tmp_path: Path) -> Iterator[Place]:
    """Return a team's namespace of its own, with two good versions and nothing deployed."""
    found = Place(api, tmp_path, f"rollout-{next(_teams)}")
    found.register("1")
    found.register("2")
    yield found
    found.store.close()


@pytest.fixture
def serving(place: Place) -> Place:
    place.deploy("1")
    assert place.settle().status.phase == "serving"
    return place


def resource(place: Place) -> dict[str, Any] | None:
    return place.api.get(names.API_VERSION, crd.KIND, place.name.id, place.team)


def weights(place: Place) -> dict[str, int]:
    live = place.api.get(API_VERSION, KIND, route.name(place.name), place.team)
    assert live is not None
    return {each["name"].rpartition("-")[2]: each["weight"] for each in live["spec"]["rules"][0]["backendRefs"][::-1]}


def champion(place: Place) -> str:
    status = place.endpoint().status
    found = status.revision(status.champion)
    assert found is not None
    return found.version


def test_a_version_that_kubectl_applies_bare_comes_to_serve(place: Place) -> None:
    place.api.apply(
        {
            "apiVersion": names.API_VERSION, "kind": crd.KIND,
            "metadata": {"name": place.name.id, "namespace": place.team},
            "spec": {"model": str(place.name), "version": "1"},
        },
        manager="kubectl",
    )  # fmt: skip
    place.passes(lambda: place.endpoint().settled)
    found = resource(place)
    assert found is not None
    assert found["metadata"]["finalizers"] == [crd.FINALIZER]
    assert (found["status"]["serving"], found["status"]["phase"]) == ("1", "serving")
    conditions = {each["type"]: each["status"] for each in found["status"]["conditions"]}
    assert conditions == {"Accepted": "True", "Ready": "True", "Fulfilled": "True"}
    assert place.kinds()[0] == "wished"


def test_an_equally_good_version_goes_through_every_step(serving: Place) -> None:
    serving.deploy("2")
    seen = []
    while not serving.endpoint().settled:
        serving.step()
        seen.append(serving.endpoint().status.weight)
    assert list(dict.fromkeys(seen)) == [0, 10, 50, 100]
    assert (champion(serving), weights(serving)) == ("2", {"r1": 0, "r2": 100})
    assert serving.kinds()[-7:] == ["step", "passed", "step", "passed", "step", "passed", "promoted"]
    assert serving.aliases == {"champion": "1", "challenger": "2"}
    serving.passes(lambda: serving.endpoint().status.phase == "serving" and serving.pods() == ["r2"])
    serving.passes(lambda: serving.aliases == {"champion": "2"})
    assert not [each for each in serving.objects_left() if each.endswith("-r1")]
    assert serving.lost == 0


def test_what_the_gateway_counts_decides(serving: Place) -> None:
    serving.register("3", error_every=5)
    serving.deploy("3")
    endpoint = serving.settle()
    assert (endpoint.status.phase, champion(serving)) == ("breached", "1")
    assert "errors grew by at least" in endpoint.status.message
    serving.step()
    assert weights(serving) == {"r1": 100, "r2": 0}
    assert serving.pods() == ["r1", "r2"]


def test_counters_of_a_place_are_never_another_revisions(serving: Place) -> None:
    serving.register("3", error_every=5)
    for version in ("3", "2"):
        serving.deploy(version)
        serving.settle()
    assert (champion(serving), serving.endpoint().status.phase) == ("2", "baking")


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_controller_that_is_ended_at_every_write_still_gets_there(serving: Place, when: str) -> None:
    writes, ends = itertools.count(), itertools.count(1)
    following = [1]

    def cut(now: str) -> None:
        # Of writes that are cut before they are made, ever more get through, or nothing ever would.
        if now == when and (when == "after" or next(writes) == following[0]):
            following[0] += 2 + next(ends) % 8
            raise Killed

    serving.cut = cut
    serving.deploy("2", steps=(50, 100), bake_seconds=20.0)
    endpoint = serving.settle()
    assert (champion(serving), endpoint.status.phase) == ("2", "baking")
    serving.passes(lambda: serving.endpoint().status.phase == "serving" and serving.pods() == ["r2"])
    assert next(ends) > 5
    assert serving.lost == 0
    assert [kind for kind in serving.kinds() if kind == "promoted"] == ["promoted", "promoted"]


# Of a container that a pod does not have, as of one whose node is gone, the API server gives no log.
@pytest.mark.parametrize("container", ["serving", "gone"])
def test_a_version_whose_container_ends_never_gets_traffic(serving: Place, container: str) -> None:
    ended = {"exitCode": 1, "reason": "Error"}

    def broken(labels: Mapping[str, Any]) -> Mapping[str, Any] | None:
        if labels[names.REVISION] == "r1":
            return None
        state = {"waiting": {"reason": "CrashLoopBackOff"}}
        status = {
            "name": container, "image": "x", "imageID": "", "ready": False, "restartCount": 2, "state": state,
            "lastState": {"terminated": ended},
        }  # fmt: skip
        return {"phase": "Running", "containerStatuses": [status]}

    serving.broken = broken
    serving.deploy("2")
    endpoint = serving.settle()
    assert endpoint.status.phase == "failed"
    assert f"{container} ended with exit code 1, 2 times" in endpoint.status.message
    assert weights(serving) == {"r1": 100}


def test_what_a_starting_revision_waits_for_is_said(serving: Place) -> None:
    unplaced = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes are free"}
    serving.broken = lambda labels: (
        None if labels[names.REVISION] == "r1" else {"phase": "Pending", "conditions": [unplaced]}
    )
    serving.deploy("2")
    serving.passes(lambda: "0/3 nodes are free" in serving.endpoint().status.message)
    serving.broken = lambda _: None
    assert serving.settle().status.phase == "baking"


@pytest.mark.parametrize("how", ["mlplat", "kubectl"])
def test_a_deleted_endpoint_leaves_nothing(serving: Place, how: str) -> None:
    assert serving.objects_left()
    if how == "kubectl":
        serving.api.delete(names.API_VERSION, crd.KIND, serving.name.id, serving.team)
        assert resource(serving) is not None
    else:
        serving.wish(lambda present: wishes.delete(present, serving.name, by="ada"))
    serving.passes(lambda: resource(serving) is None)
    serving.step()
    assert serving.objects_left() == []
    assert serving.objects.kept == {}


def test_what_somebody_removed_is_made_again(serving: Place) -> None:
    name = names.revision(serving.name, "r1")
    serving.api.delete("v1", "Service", name, serving.team)
    serving.api.delete("apps/v1", "Deployment", name, serving.team)
    serving.step()
    assert serving.api.get("v1", "Service", name, serving.team) is not None
    assert serving.api.get("apps/v1", "Deployment", name, serving.team) is not None


def test_limits_that_change_reach_what_serves_and_the_route_is_left_alone(serving: Place) -> None:
    def versions() -> tuple[str, ...]:
        found = [
            serving.api.get(*each, route.name(serving.name), serving.team) for each in ((API_VERSION, KIND), POLICY)
        ]
        return tuple(each["metadata"]["resourceVersion"] for each in found if each)

    for _ in range(2):
        serving.step()
    before = versions()
    serving.step()
    assert versions() == before
    serving.renew(requests_per_second=7)
    serving.step()
    policy = serving.api.get(*POLICY, route.name(serving.name), serving.team)
    assert policy is not None
    assert policy["spec"]["rateLimit"]["local"]["rules"][0]["limit"]["requests"] == 7
    assert versions()[0] == before[0]


def test_a_running_revision_is_not_touched_by_new_settings(serving: Place) -> None:
    name = names.revision(serving.name, "r1")
    before = serving.api.get("apps/v1", "Deployment", name, serving.team)
    assert before is not None
    for _ in range(3):
        serving.renew()
        serving.step()
    after = serving.api.get("apps/v1", "Deployment", name, serving.team)
    assert after is not None
    assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]


def test_rollback_returns_to_the_revision_that_is_still_warm(serving: Place) -> None:
    serving.deploy("2")
    serving.settle()
    serving.wish(lambda present: wishes.rollback(present, serving.name, by="ada", reason="odd"))
    serving.settle()
    serving.step()
    assert (champion(serving), weights(serving)["r1"]) == ("1", 100)
