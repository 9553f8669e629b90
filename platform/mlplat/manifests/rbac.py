"""What the controller may do: in each team's namespace what revisions are made of, and little elsewhere.

It reads no secrets, and runs nothing with an account of its own choice: what it makes runs as the team's `serving`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mlplat.manifests import crd, names

API = "rbac.authorization.k8s.io"
ACCOUNT = "controller"
LEASE = "controller"

MAKES = ("get", "list", "create", "patch", "delete")
"""Server-side apply is a patch, and a creation where there is nothing."""
_TEAM: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    (names.GROUP, (crd.PLURAL,), ("get", "list", "watch", "update", "patch", "delete")),
    (names.GROUP, (f"{crd.PLURAL}/status",), ("get", "update", "patch")),
    # To own something by an endpoint is to keep that from going first.
    (names.GROUP, (f"{crd.PLURAL}/finalizers",), ("update",)),
    ("apps", ("deployments",), MAKES),
    ("", ("services",), MAKES),
    ("", ("pods",), ("get", "list", "delete")),
    ("", ("pods/log",), ("get",)),
    ("policy", ("poddisruptionbudgets",), MAKES),
    ("networking.k8s.io", ("networkpolicies",), MAKES),
    ("autoscaling", ("horizontalpodautoscalers",), MAKES),
    ("keda.sh", ("scaledobjects",), MAKES),
    ("gateway.networking.k8s.io", ("httproutes",), MAKES),
    ("gateway.envoyproxy.io", ("backendtrafficpolicies",), MAKES),
    # A run of a flow: what it does is the template's to say, which is the team's.
    ("argoproj.io", ("workflows",), ("get", "create")),
    ("argoproj.io", ("workflowtemplates",), ("get",)),
    ("events.k8s.io", ("events",), ("create",)),
)


def documents(teams: Iterable[str]) -> list[dict[str, Any]]:
    """Return the controller's roles and their bindings; a team's namespace is called like it."""
    own = [
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create"]},
        {
            "apiGroups": ["coordination.k8s.io"],
            "resources": ["leases"],
            "resourceNames": [LEASE],
            "verbs": ["get", "update"],
        },
    ]
    proxies = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}]
    return [
        *_granted(names.NAMESPACE, own),
        *_granted(names.PROXIES, proxies),
        *(each for team in sorted(teams) for each in team_documents(team)),
    ]


def team_documents(team: str) -> list[dict[str, Any]]:
    """Return what the controller may do in one team's namespace."""
    return _granted(
        team, [{"apiGroups": [group], "resources": list(what), "verbs": list(may)} for group, what, may in _TEAM]
    )


def _granted(namespace: str, rules: list[dict[str, Any]]) -> list[dict[str, Any]]:
    # Its name leaves room for roles that the namespace has of its own.
    metadata = {"name": f"mlplat-{ACCOUNT}", "namespace": namespace, "labels": {names.PART_OF: "mlplat"}}
    subject = {"kind": "ServiceAccount", "name": ACCOUNT, "namespace": names.NAMESPACE}
    return [
        {"apiVersion": f"{API}/v1", "kind": "Role", "metadata": metadata, "rules": rules},
        {
            "apiVersion": f"{API}/v1",
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": API, "kind": "Role", "name": metadata["name"]},
            "subjects": [subject],
        },
    ]
