from __future__ import annotations

import importlib
from typing import Any

import pytest

import capture
from mlplat.targets.kubernetes import objects

KINDS = {
    "v1 Service": "core.v1",
    "apps/v1 Deployment": "apps.v1",
    "batch/v1 CronJob": "batch.v1",
    "networking.k8s.io/v1 NetworkPolicy": "networking.v1",
    "rbac.authorization.k8s.io/v1 ClusterRole": "rbac.v1",
    "policy/v1 PodDisruptionBudget": "policy.v1",
    "scheduling.k8s.io/v1 PriorityClass": "scheduling.v1",
    "apiextensions.k8s.io/v1 CustomResourceDefinition": "apiextensions.v1",
}


def document(api_version: str, kind: str, name: str = "a", **more: Any) -> dict[str, Any]:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, **more}


@pytest.mark.parametrize("kind", KINDS)
def test_a_document_has_the_type_by_which_the_package_of_the_provider_knows_it(kind: str) -> None:
    version, name = kind.split()
    known = getattr(importlib.import_module(f"pulumi_kubernetes.{KINDS[kind]}"), name)
    theirs = capture.run(lambda: known("a", metadata={"name": "a"}, **_required(name))).made
    ours = capture.run(lambda: objects.declare(document(version, name))).made
    assert [each.type for each in ours] == [each.type for each in theirs]


def _required(kind: str) -> dict[str, Any]:
    known: dict[str, dict[str, Any]] = {
        "Deployment": {"spec": {"selector": {}, "template": {}}},
        "CronJob": {"spec": {"schedule": "", "jobTemplate": {}}},
        "PriorityClass": {"value": 1},
        "CustomResourceDefinition": {"spec": {"group": "a", "names": {}, "scope": "Cluster", "versions": []}},
    }
    return known.get(kind, {})


def test_a_document_reaches_the_provider_as_it_was_written() -> None:
    policy = {
        **document("kueue.x-k8s.io/v1beta2", "WorkloadPriorityClass"),
        # Keys that the classes of the package would rename, or do not take at all.
        "value": 3,
        "description": "snake_case stays",
    }
    made = capture.run(lambda: objects.declare(policy)).made[0]
    assert made.inputs == policy
    assert made.type == "kubernetes:kueue.x-k8s.io/v1beta2:WorkloadPriorityClass"


def test_names_below_one_parent_differ_where_the_objects_do() -> None:
    several = [
        document("v1", "Service", "a-b"),
        {**document("v1", "Service", "b"), "metadata": {"name": "b", "namespace": "a"}},
        document("v1", "ConfigMap", "a-b"),
    ]
    assert [objects.logical_name(each) for each in several] == ["service-a-b", "service-a-b", "configmap-a-b"]


def test_a_long_name_is_cut_and_stays_its_own() -> None:
    names = {objects.logical_name(document("v1", "Service", f"{'a' * 250}{end}")) for end in "xy"}
    assert len(names) == 2
    assert {len(each) for each in names} == {objects.NAME_SIGNS}


@pytest.mark.parametrize("kind", objects.AWAITED)
def test_what_only_its_status_tells_ready_is_awaited_by_its_status(kind: str) -> None:
    written = document("x.example.com/v1", kind)
    written["metadata"]["annotations"] = {"kept": "yes"}
    made = capture.run(lambda: objects.declare(written)).made[0]
    assert made.inputs["metadata"]["annotations"] == {"kept": "yes", "pulumi.com/waitFor": objects.AWAITED[kind]}


def test_an_object_of_somebody_else_is_read_and_not_made() -> None:
    import pulumi

    def program() -> None:
        seen = objects.found("v1", "Namespace", "kube-system", pulumi.ResourceOptions())
        pulumi.export("id", seen.id)

    graph = capture.run(program)
    assert graph.made == []
    assert "kube-system" in graph.exports["id"]
