from __future__ import annotations

from typing import Any

import pytest

from mlplat.controller.kubernetes import pods

READY = {"conditions": [{"type": "Ready", "status": "True"}]}


def pod(status: dict[str, Any], name: str = "a") -> dict[str, Any]:
    return {"metadata": {"name": name}, "status": status}


def container(
    *, restarts: int = 0, kind: str = "containerStatuses", name: str = "server", **state: Any
) -> dict[str, Any]:
    last = state.pop("last", {})
    return {kind: [{"name": name, "restartCount": restarts, "state": state, "lastState": last}]}


def ended(code: int = 1, reason: str = "Error") -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "reason": reason}}


PULL = container(waiting={"reason": "ImagePullBackOff", "message": "no such image"})
FIRST_PULL = container(waiting={"reason": "ErrImagePull", "message": "no such image"})
CRASHES = container(restarts=2, waiting={"reason": "CrashLoopBackOff"}, last=ended(3))
HUNGRY = container(restarts=3, waiting={"reason": "CrashLoopBackOff"}, last=ended(137, "OOMKilled"))
ONE_CRASH = container(restarts=1, running={}, last=ended(3))
NO_BUNDLE = container(
    restarts=2, kind="initContainerStatuses", name="fetch", waiting={"reason": "CrashLoopBackOff"}, last=ended()
)
UNPLACED = {"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/3 nodes"}]}
EVICTED = {"phase": "Failed", "reason": "Evicted", "message": "the node was low on memory"}


@pytest.mark.parametrize(
    ("statuses", "wanted", "state", "detail"),
    [
        ([], 1, "starting", ""),
        ([READY], 1, "ready", ""),
        ([READY], 2, "starting", "1 of 2 servers are ready"),
        ([READY, READY], 2, "ready", ""),
        ([READY, CRASHES], 1, "ready", ""),
        ([READY, CRASHES], 2, "starting", "1 of 2 servers are ready"),
        ([CRASHES], 1, "dead", "server ended with exit code 3, 2 times"),
        ([ONE_CRASH], 1, "starting", ""),
        ([HUNGRY], 1, "dead", "server needed more memory than `serving.scale.memory_mib` allows, 3 times"),
        ([NO_BUNDLE], 1, "dead", "fetch ended with exit code 1, 2 times"),
        ([PULL], 1, "dead", "its image cannot be fetched: no such image"),
        ([FIRST_PULL], 1, "starting", "its image cannot be fetched yet: no such image"),
        ([UNPLACED], 1, "starting", "no node for it yet: 0/3 nodes"),
        ([EVICTED], 1, "dead", "Evicted: the node was low on memory"),
    ],
)
def test_a_revision_is_as_its_pods_are(statuses: list[dict[str, Any]], wanted: int, state: str, detail: str) -> None:
    found = pods.condition([pod(each) for each in statuses], wanted)
    assert (found.state, found.detail) == (state, detail)


def test_a_pod_that_is_going_counts_for_nothing() -> None:
    going = pod(READY)
    going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert pods.condition([going], 1).state == "starting"


@pytest.mark.parametrize(
    ("status", "found"),
    [
        (READY, None),
        (CRASHES, pods.Container("a", "server", is_running_again=True)),
        (NO_BUNDLE, pods.Container("a", "fetch", is_running_again=True)),
        (container(**ended(1)), pods.Container("a", "server", is_running_again=False)),
        (container(**ended(0)), None),
    ],
)
def test_the_last_words_are_those_of_the_container_that_ended(
    status: dict[str, Any], found: pods.Container | None
) -> None:
    assert pods.failing([pod(status)]) == found


@pytest.mark.parametrize("kind", ["lastState", "state"])
def test_who_goes_on_beside_the_server_speaks_after_it(kind: str) -> None:
    both = {
        "initContainerStatuses": [{"name": "ship", "restartCount": 3, "state": {"running": {}}, kind: ended(137)}],
        "containerStatuses": [{"name": "serving", "restartCount": 3, "state": {}, "lastState": ended(3)}],
    }
    spec = {"initContainers": [{"name": "fetch"}, {"name": "ship", "restartPolicy": "Always"}]}
    found = pods.failing([{**pod(both), "spec": spec}])
    assert found is not None
    assert found.name == "serving"
    assert "serving ended with exit code 3" in pods.condition([{**pod(both), "spec": spec}], 1).detail
