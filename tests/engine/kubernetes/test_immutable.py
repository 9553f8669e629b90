"""What the tests' provider makes anew, a real API server indeed refuses to change."""

from __future__ import annotations

from typing import Any

import pytest

from commands import merged
from kubeapi import Api
from kubeprovider import immutable
from mlplat.errors import RefusedError

pytestmark = pytest.mark.cluster
POD: dict[str, Any] = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
ONCE = merged(POD, {"spec": {"restartPolicy": "Never"}})
CHOSEN = {"matchLabels": {"a": "b"}}
CLAIM: dict[str, Any] = {
    "metadata": {"name": "v"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
}
ROLE = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}
WHOLE: dict[str, dict[str, Any]] = {
    "kubernetes:apps/v1:Deployment": {"spec": {"selector": CHOSEN, "template": POD}},
    "kubernetes:apps/v1:StatefulSet": {
        "spec": {
            "selector": CHOSEN,
            "template": POD,
            "serviceName": "s",
            "podManagementPolicy": "Parallel",
            "volumeClaimTemplates": [CLAIM],
        }
    },
    "kubernetes:batch/v1:Job": {"spec": {"template": ONCE, "completions": 1}},
    "kubernetes:core/v1:Secret": {"type": "Opaque"},
    "kubernetes:core/v1:PersistentVolumeClaim": {
        "spec": {
            **CLAIM["spec"],
            "storageClassName": "c",
            "volumeName": "v",
            "selector": CHOSEN,
        }
    },
    "kubernetes:rbac.authorization.k8s.io/v1:RoleBinding": {"roleRef": ROLE},
    "kubernetes:rbac.authorization.k8s.io/v1:ClusterRoleBinding": {"roleRef": ROLE},
    "kubernetes:storage.k8s.io/v1:StorageClass": {
        "provisioner": "p",
        "parameters": {"a": "b"},
        "reclaimPolicy": "Retain",
    },
    "kubernetes:scheduling.k8s.io/v1:PriorityClass": {"value": 1, "preemptionPolicy": "Never"},
}
CHANGED: dict[str, Any] = {
    "spec.selector": {"matchLabels": {"a": "b", "c": "d"}},
    "spec.serviceName": "other",
    "spec.podManagementPolicy": "OrderedReady",
    "spec.volumeClaimTemplates": [merged(CLAIM, {"spec": {"accessModes": ["ReadWriteMany"]}})],
    "spec.template": merged(ONCE, {"spec": {"containers": [{"name": "c", "image": "other"}]}}),
    "spec.completions": 2,
    "type": "kubernetes.io/basic-auth",
    "spec.accessModes": ["ReadWriteMany"],
    "spec.storageClassName": "other",
    "spec.volumeName": "other",
    "roleRef": {**ROLE, "name": "edit"},
    "provisioner": "other",
    "parameters": {"a": "c"},
    "reclaimPolicy": "Delete",
    "value": 2,
    "preemptionPolicy": "PreemptLowerPriority",
}


EVERYWHERE = ("ClusterRoleBinding", "StorageClass", "PriorityClass")
"""Kinds that are in no namespace."""


def nested(path: str, value: Any) -> dict[str, Any]:
    """Return a value below a dotted path."""
    head, _, rest = path.partition(".")
    return {head: nested(rest, value) if rest else value}


@pytest.mark.parametrize("token", sorted(immutable.KINDS))
def test_no_field_that_could_be_changed_makes_another_object(token: str, server: Api) -> None:
    version, kind = token.split(":")[1].removeprefix("core/"), token.rpartition(":")[2]
    place = {} if kind in EVERYWHERE else {"namespace": "default"}
    about = {"apiVersion": version, "kind": kind, "metadata": {"name": f"immutable-{kind.lower()}", **place}}
    document = {**about, **WHOLE[token]}
    with server.cluster() as cluster:
        cluster.apply(document)
        for path in immutable.KINDS[token]:
            changed = merged(document, nested(path, CHANGED[path]))
            with pytest.raises(RefusedError, match=r"immutable|forbidden|cannot change|not allowed|Forbidden|Invalid"):
                cluster.apply(changed, dry_run=True)
