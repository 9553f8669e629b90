"""A run of a flow is begun once on a real API server, with the controller's own rights and no others."""

from __future__ import annotations

from typing import Any

import pytest

import kubecrds
import kubenodes
from mlplat.cluster import Cluster
from mlplat.controller.kubernetes import retraining
from mlplat.errors import RefusedError
from mlplat.labels import Name
from mlplat.manifests import names, pipeline, rbac

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif("argoproj.io" in kubecrds.unchecked(), reason="MLPLAT_CRD_SCHEMAS names no folder with Argo's"),
]
TEAM = "retraining"
LATE = Name("flights", "late")
TEMPLATE: dict[str, Any] = {
    "apiVersion": pipeline.ARGO,
    "kind": "WorkflowTemplate",
    "metadata": {"name": pipeline.name("flights", "training"), "namespace": TEAM},
    "spec": {"entrypoint": "all", "templates": [{"name": "all", "container": {"image": "flow:1"}}]},
}


@pytest.fixture(scope="module")
def cluster(api: Cluster) -> Cluster:
    """Return the session's cluster with a team on it."""
    for each in (TEAM, names.NAMESPACE, names.PROXIES):
        kubenodes.namespace(api, each)
    for document in rbac.documents([TEAM]):
        api.apply(document)
    return api


def begin(cluster: Cluster, key: str, days: int = 30) -> str:
    return retraining.begin(
        cluster, TEAM, LATE, "training", key=key, reason="drift 🛫", parameters={"days": days, "only": ["ORD"]}
    )


def may(cluster: Cluster, verb: str, resource: str, namespace: str = TEAM) -> bool:
    """Tell what the API server says of the controller's rights."""
    asked = {"verb": verb, "resource": resource, "group": "argoproj.io", "namespace": namespace}
    user = f"system:serviceaccount:{names.NAMESPACE}:{rbac.ACCOUNT}"
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": user, "resourceAttributes": asked},
    }
    return bool(cluster.create(review)["status"]["allowed"])


def test_a_flow_that_is_not_there_is_refused_and_one_that_is_begins_once(cluster: Cluster) -> None:
    with pytest.raises(RefusedError, match="not on the platform yet"):
        begin(cluster, "drift-1")
    assert cluster.list(pipeline.ARGO, "Workflow", TEAM) == []
    cluster.apply(TEMPLATE)
    first = begin(cluster, "drift-1")
    assert begin(cluster, "drift-1", days=60) == first
    (made,) = cluster.list(pipeline.ARGO, "Workflow", TEAM)
    assert (made["metadata"]["name"], made["metadata"]["annotations"][pipeline.REASON]) == (first, "drift 🛫")
    given = {each["name"]: each["value"] for each in made["spec"]["arguments"]["parameters"]}
    assert given == {"days": "30", "only": '["ORD"]'}
    assert begin(cluster, "drift-2") != first


def test_the_controller_may_begin_runs_and_neither_end_them_nor_change_flows(cluster: Cluster) -> None:
    allowed = {
        (verb, resource)
        for resource in ("workflows", "workflowtemplates", "cronworkflows")
        for verb in ("get", "list", "create", "update", "patch", "delete")
        if may(cluster, verb, resource)
    }
    assert allowed == {("get", "workflows"), ("create", "workflows"), ("get", "workflowtemplates")}
    assert not may(cluster, "create", "workflows", "default")
