"""What people may do in their team's namespace: three roles, said once and bound by each team.

Not Kubernetes' own `edit` and `admin`: those may change network policies, read every secret and take any service
account's token, so that a team could open its namespace or act as its model servers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mlplat.manifests import names

RBAC = "rbac.authorization.k8s.io"
API = f"{RBAC}/v1"
PREFIX = "mlplat-team"
VIEW, EDIT, ADMIN = f"{PREFIX}-view", f"{PREFIX}-edit", f"{PREFIX}-admin"
READ = ("get", "list", "watch")
WRITE = ("create", "update", "patch", "delete", "deletecollection")

Rule = dict[str, Any]


def roles() -> list[dict[str, Any]]:
    """Return the three roles."""
    view = _seen()
    edit = [*view, *_changed()]
    return [_role(VIEW, view), _role(EDIT, edit), _role(ADMIN, [*edit, *_governed()])]


def bindings(team: str, members: Sequence[str], admins: Sequence[str]) -> list[dict[str, Any]]:
    """Return who has which role in a team's namespace, by groups of the identity provider."""
    given = {"members": (EDIT, members), "admins": (ADMIN, admins)}
    return [_binding(team, name, role, groups) for name, (role, groups) in given.items() if groups]


def _seen() -> list[Rule]:
    return [
        _rule("", READ, "pods", "pods/log", "services", "endpoints", "events", "configmaps", "serviceaccounts"),
        _rule("", READ, "persistentvolumeclaims", "resourcequotas", "limitranges"),
        _rule("apps", READ, "deployments", "replicasets", "statefulsets"),
        _rule("batch", READ, "jobs", "cronjobs"),
        _rule("autoscaling", READ, "horizontalpodautoscalers"),
        _rule("policy", READ, "poddisruptionbudgets"),
        _rule("networking.k8s.io", READ, "networkpolicies"),
        _rule("metrics.k8s.io", READ, "pods"),
        _rule(RBAC, READ, "rolebindings", "roles"),
        _rule(names.GROUP, READ, "modelendpoints", "modelendpoints/status"),
        _rule("gateway.networking.k8s.io", READ, "httproutes"),
        _rule("gateway.envoyproxy.io", READ, "securitypolicies", "backendtrafficpolicies"),
        _rule("argoproj.io", READ, "workflows", "workflowtemplates", "cronworkflows", "workflowtaskresults"),
        _rule("kueue.x-k8s.io", READ, "localqueues", "workloads"),
        _rule("jobset.x-k8s.io", READ, "jobsets"),
        _rule("keda.sh", READ, "scaledobjects"),
    ]


def _changed() -> list[Rule]:
    return [
        # The wish alone: what became of it (`modelendpoints/status`) is the controller's to say.
        _rule(names.GROUP, WRITE, "modelendpoints"),
        _rule("argoproj.io", WRITE, "workflows", "workflowtemplates", "cronworkflows"),
        _rule("batch", WRITE, "jobs"),
        _rule("jobset.x-k8s.io", WRITE, "jobsets"),
        _rule("", WRITE, "configmaps", "persistentvolumeclaims"),
        # To end one that hangs; what made it makes another.
        _rule("", ("delete",), "pods"),
        _rule("", ("create",), "pods/portforward"),
    ]


def _governed() -> list[Rule]:
    return [
        # Keys of callers, and what pipelines sign in with elsewhere.
        _rule("", (*READ, *WRITE), "secrets"),
        # Whoever binds a role must have all that is in it: nobody rises above these three.
        _rule(RBAC, WRITE, "rolebindings"),
    ]


def _rule(group: str, verbs: Sequence[str], *resources: str) -> Rule:
    return {"apiGroups": [group], "resources": [*resources], "verbs": [*verbs]}


def _role(name: str, rules: list[Rule]) -> dict[str, Any]:
    metadata = {"name": name, "labels": {names.PART_OF: "mlplat"}}
    return {"apiVersion": API, "kind": "ClusterRole", "metadata": metadata, "rules": rules}


def _binding(namespace: str, name: str, role: str, groups: Sequence[str]) -> dict[str, Any]:
    return {
        "apiVersion": API,
        "kind": "RoleBinding",
        "metadata": {"name": name, "namespace": namespace, "labels": {names.PART_OF: "mlplat"}},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": RBAC, "kind": "Group", "name": each} for each in sorted(groups)],
    }
