"""The API server refuses a bad ModelEndpoint before anybody stores it, and says what is wrong with it."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

import kubecrds
import kubenodes
from commands import until
from mlplat.cluster import Cluster
from mlplat.errors import RefusedError
from mlplat.manifests import crd, names

pytestmark = pytest.mark.cluster
TEAM = "definitions"
GOOD: dict[str, Any] = {
    "apiVersion": f"{names.GROUP}/{names.VERSION}",
    "kind": crd.KIND,
    "metadata": {"name": "flights.delays", "namespace": TEAM},
    "spec": {"model": "flights/delays", "version": "3"},
}


@pytest.fixture(scope="module")
def cluster(api: Cluster) -> Cluster:
    """Return the session's cluster, which knows what a ModelEndpoint is."""
    definition = crd.definition()
    api.apply(definition)
    name = definition["metadata"]["name"]
    until(lambda: kubecrds.established(api, name) and api.knows(GOOD["apiVersion"], crd.KIND), what="the definition")
    kubenodes.namespace(api, TEAM)
    return api


def changed(path: str, value: Any) -> dict[str, Any]:
    """Return a good document with one thing of it another, by its path."""
    document = deepcopy(GOOD)
    inner = document
    *way, last = path.split("/")
    for each in way:
        inner = inner.setdefault(each, {})
    inner[last] = value
    return document


ACCEPTED: dict[str, tuple[str, Any]] = {
    "the least": ("metadata/name", "flights.delays"),
    "one step": ("spec/policy", {"steps": [100]}),
    "no bake time": ("spec/policy", {"strategy": "direct", "bakeSeconds": 0}),
    "GPUs of a pool": ("spec/scale", {"gpu": 1, "pool": "gpu"}),
    "no GPUs": ("spec/scale", {"gpu": 0}),
    "as many servers as there may be": ("spec/scale", {"minReplicas": 4}),
    "columns kept in two ways": ("spec/log", {"exclude": ["name"], "hash": ["email"]}),
    "a wish of mlplat": ("spec/wish", {"number": 1, "action": "promote", "of": "abc", "revision": 2}),
}
REFUSED: dict[str, tuple[str, Any, str]] = {
    "no model": ("spec", {"version": "3"}, "spec.model: Required value"),
    "no version": ("spec", {"model": "flights/delays"}, "spec.version: Required value"),
    "nothing": ("spec", None, "spec"),
    "a version in words": ("spec/version", "latest", "spec.version"),
    "a version that is a number": ("spec/version", 3, "spec.version"),
    "a name without its project": ("metadata/name", "delays", "metadata.name must be `project.endpoint`"),
    "a name of three parts": ("metadata/name", "flights.delays.eu", "metadata.name must be `project.endpoint`"),
    "a model of another project": (
        "spec/model",
        "pricing/delays",
        "spec.model must be one of the endpoint's own project",
    ),
    "a model without a project": ("spec/model", "delays", "spec.model"),
    "capitals": ("spec/model", "flights/Delays", "spec.model"),
    "an unknown strategy": (
        "spec/policy",
        {"strategy": "blue-green"},
        'Unsupported value: "blue-green": supported values',
    ),
    "steps that fall": ("spec/policy", {"steps": [50, 10, 100]}, "steps must grow from step to step and end in 100"),
    "a step twice": ("spec/policy", {"steps": [10, 10, 100]}, "steps must grow from step to step and end in 100"),
    "steps that do not end": ("spec/policy", {"steps": [10, 50]}, "steps must grow from step to step and end in 100"),
    "no steps": ("spec/policy", {"steps": []}, "spec.policy.steps"),
    "a step of nothing": ("spec/policy", {"steps": [0, 100]}, "spec.policy.steps[0]"),
    "too little time": ("spec/policy", {"minSeconds": 600}, "stepTimeoutSeconds must be longer than minSeconds"),
    "less time than the usual least": ("spec/policy", {"stepTimeoutSeconds": 5}, "stepTimeoutSeconds must be longer"),
    "a certain decision": ("spec/policy", {"confidence": 1}, "spec.policy.confidence"),
    "a column in two ways": ("spec/log", {"exclude": ["a"], "hash": ["a"]}, "either excluded or hashed, not both"),
    "more servers than the most": ("spec/scale", {"minReplicas": 5}, "minReplicas must not be more than maxReplicas"),
    "GPUs that nobody named": ("spec/scale", {"gpu": 1}, "pool is required with gpu: it says which GPUs"),
    "half a server": ("spec/scale", {"minReplicas": 0.5}, "spec.scale.minReplicas"),
    "less memory than a server needs": ("spec/scale", {"memoryMib": 1}, "spec.scale.memoryMib"),
    "a typing error": ("spec/polcy", {}, 'unknown field "spec.polcy"'),
    "a key as in mlplat.yaml": ("spec/policy", {"min_requests": 5}, 'unknown field "spec.policy.min_requests"'),
    "an unknown wish": ("spec/wish", {"number": 1, "action": "restart", "of": "abc"}, "spec.wish.action"),
    "a promotion of nothing": (
        "spec/wish",
        {"number": 1, "action": "promote", "of": "abc"},
        "revision is required by promote and rollback",
    ),
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_it_takes_what_is_good(cluster: Cluster, case: str) -> None:
    document = changed(*ACCEPTED[case])
    assert cluster.create(document, dry_run=True)["spec"] == document["spec"]


@pytest.mark.parametrize("case", REFUSED)
def test_it_refuses_and_says_why(cluster: Cluster, case: str) -> None:
    path, value, expected = REFUSED[case]
    with pytest.raises(RefusedError) as refused:
        cluster.create(changed(path, value), dry_run=True)
    assert expected in str(refused.value)


def test_whoever_writes_the_wish_does_not_write_the_status(cluster: Cluster) -> None:
    document = {**deepcopy(GOOD), "status": {"phase": "Serving", "serving": "3"}}
    try:
        assert "status" not in cluster.create(document)
        cluster.merge(GOOD["apiVersion"], crd.KIND, "flights.delays", {"status": {"serving": "2"}}, TEAM, status=True)
        cluster.merge(GOOD["apiVersion"], crd.KIND, "flights.delays", {"status": {"serving": "9"}}, TEAM)
        seen = cluster.get(GOOD["apiVersion"], crd.KIND, "flights.delays", TEAM)
        assert seen
        assert (seen["status"]["serving"], seen["metadata"]["generation"]) == ("2", 1)
    finally:
        cluster.delete(GOOD["apiVersion"], crd.KIND, "flights.delays", TEAM)
