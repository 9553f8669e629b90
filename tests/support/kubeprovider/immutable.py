"""Which fields an existing object cannot change, so that a change of them makes another object in its place.

Every object keeps its name, and each of these kinds refuses more (API server: "field is immutable"). A test offers each
of them to a real API server, so that none is here that could be changed.
"""

from __future__ import annotations

ALL = frozenset({"apiVersion", "kind", "metadata.name", "metadata.namespace"})
KINDS: dict[str, frozenset[str]] = {
    "kubernetes:apps/v1:Deployment": frozenset({"spec.selector"}),
    "kubernetes:apps/v1:StatefulSet": frozenset(
        {"spec.selector", "spec.serviceName", "spec.podManagementPolicy", "spec.volumeClaimTemplates"}
    ),
    "kubernetes:batch/v1:Job": frozenset({"spec.selector", "spec.template", "spec.completions"}),
    "kubernetes:core/v1:Secret": frozenset({"type"}),
    "kubernetes:core/v1:PersistentVolumeClaim": frozenset(
        {"spec.accessModes", "spec.storageClassName", "spec.volumeName", "spec.selector"}
    ),
    "kubernetes:rbac.authorization.k8s.io/v1:RoleBinding": frozenset({"roleRef"}),
    "kubernetes:rbac.authorization.k8s.io/v1:ClusterRoleBinding": frozenset({"roleRef"}),
    "kubernetes:storage.k8s.io/v1:StorageClass": frozenset({"provisioner", "parameters", "reclaimPolicy"}),
    "kubernetes:scheduling.k8s.io/v1:PriorityClass": frozenset({"value", "preemptionPolicy"}),
}


def of(token: str) -> frozenset[str]:
    """Return the fields of a type that only another object can have otherwise."""
    return ALL | KINDS.get(token, frozenset())
