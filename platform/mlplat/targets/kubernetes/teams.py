"""A team's namespace and what holds in it: limits, accounts, who may do what, who reaches whom, who may call.

Workloads of two kinds run there: `serving` are model servers, which hear the gateway's proxies and reach the object
store; whatever else runs is a pipeline's, which nobody outside reaches. Their edges are below; those of a model server
come with its revision.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlplat.errors import UsageError
from mlplat.manifests import names, network
from mlplat.manifests.network import Peer
from mlplat.spec.capacity import PoolSpec
from mlplat.spec.platform import PlatformSpec
from mlplat.targets.kubernetes import access, edge
from mlplat.targets.kubernetes.namespaces import IDENTITY, closed, namespace

ACCOUNTS = ("pipeline", "serving")
BUDGET = "mlplat/monthly-usd"
"""Label of a team's namespace, by which its cost is held against its budget."""
GPU, SHARED_GPU = "nvidia.com/gpu", "nvidia.com/gpu.shared"
CLUSTER_PORTS = (6443,)
"""Port of Kubernetes' API where it is not 443."""
WEB = Peer((443,), addresses=network.ANYWHERE)

RESERVED = frozenset({names.NAMESPACE, "default"})
BEGINNING = "kube-"
"""Begins the names of namespaces that Kubernetes keeps to itself."""

Documents = list[dict[str, Any]]


def refuse_reserved(spec: PlatformSpec) -> None:
    """Raise `UsageError` for a team that is called as a namespace of the cluster's or the platform's own."""
    if taken := sorted(team for team in spec.teams if team in RESERVED or team.startswith(BEGINNING)):
        raise UsageError(
            f"`teams.{taken[0]}`: the cluster has a namespace of that name, or may have one",
            hint="give the team another name",
        )


def ground(team: str, spec: PlatformSpec) -> dict[str, Any]:
    """Return a team's namespace."""
    found, on = spec.teams[team], spec.kubernetes
    labels = {names.TEAM: team}
    if on.addons.gateway != "off":
        labels[names.ROUTES] = "true"
    if on.addons.queues != "off":
        labels[names.QUEUED] = "true"
    if found.monthly_usd is not None:
        labels[BUDGET] = f"{found.monthly_usd:g}"
    return namespace(team, "restricted", **labels)


def within(team: str, spec: PlatformSpec, *, on_cloud: bool) -> Documents:
    """Return what is in a team's namespace from the first day."""
    found, on = spec.teams[team], spec.kubernetes
    return [
        _quota(team, spec),
        _limits(team),
        *_accounts(team, on.images.pull_secret),
        *_runner(team),
        *access.bindings(team, found.members, found.admins),
        *closed(team),
        *_edges(team),
        *([_identity(team)] if on_cloud else []),
    ]


def callers(team: str, spec: PlatformSpec) -> Documents:
    """Return who may call a team's endpoints, where there is a gateway to ask."""
    return [] if spec.kubernetes.addons.gateway == "off" else edge.team_policy(team, spec.kubernetes.exposure)


def ceiling(team: str, spec: PlatformSpec) -> dict[str, str]:
    """Return the most that a team's pods may ask for together.

    Where there are queues, teams lend each other what is idle; a quota of the team's own share would refuse each pod
    that runs on a loan. So the quota is then what all teams have, and the queues keep the shares.
    """
    lends = spec.kubernetes.addons.queues != "off"
    sharing = list(spec.teams.values()) if lends else [spec.teams[team]]
    gpus = sum(each.gpu for each in sharing)
    return {
        "requests.cpu": str(sum(each.cpu for each in sharing)),
        "requests.memory": f"{sum(each.memory_gib for each in sharing)}Gi",
        f"requests.{GPU}": str(gpus),
        **({f"requests.{SHARED_GPU}": str(gpus * most)} if (most := _most_shared(spec.pools)) > 1 else {}),
    }


def _most_shared(pools: Mapping[str, PoolSpec]) -> int:
    return max((each.shared_by for each in pools.values()), default=1)


def _quota(team: str, spec: PlatformSpec) -> dict[str, Any]:
    hard = {
        **ceiling(team, spec),
        # Either would be a way in beside the gateway.
        "services.loadbalancers": "0",
        "services.nodeports": "0",
    }
    return {**_of("v1", "ResourceQuota", "team", team), "spec": {"hard": hard}}


def _limits(team: str) -> dict[str, Any]:
    # With a quota, a pod that says nothing is refused; with this, it gets a little.
    little = {
        "type": "Container",
        "defaultRequest": {"cpu": "100m", "memory": "256Mi"},
        "default": {"memory": "1Gi"},
    }
    return {**_of("v1", "LimitRange", "defaults", team), "spec": {"limits": [little]}}


def _accounts(team: str, pull_secret: str | None) -> Documents:
    pulls = {"imagePullSecrets": [{"name": pull_secret}]} if pull_secret else {}
    return [
        {**_of("v1", "ServiceAccount", each, team), "automountServiceAccountToken": False, **pulls} for each in ACCOUNTS
    ]


def _runner(team: str) -> Documents:
    """Return what a pipeline's pods may do with the API: tell Argo what became of them, and run on several nodes."""
    rules = [
        {"apiGroups": ["argoproj.io"], "resources": ["workflowtaskresults"], "verbs": ["create", "patch"]},
        {"apiGroups": ["jobset.x-k8s.io"], "resources": ["jobsets"], "verbs": ["create", "get", "list", "watch"]},
    ]
    return [
        {**_of(access.API, "Role", "pipeline", team), "rules": rules},
        {
            **_of(access.API, "RoleBinding", "pipeline", team),
            "roleRef": {"apiGroup": access.RBAC, "kind": "Role", "name": "pipeline"},
            "subjects": [{"kind": "ServiceAccount", "name": "pipeline", "namespace": team}],
        },
    ]


def _edges(team: str) -> Documents:
    pipelines = {"matchExpressions": [{"key": names.REVISION, "operator": "DoesNotExist"}]}
    platform = Peer((), {}, network.namespace(names.NAMESPACE))
    # Several nodes of one step speak to each other, on ports of their own choice.
    each_other = Peer((), pipelines)
    reached = [platform, each_other, WEB, Peer(CLUSTER_PORTS, addresses=network.ANYWHERE)]
    rules = {
        "podSelector": pipelines,
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"from": each_other.ends()}],
        "egress": [network.egress(each) for each in reached],
    }
    return [{**_of("networking.k8s.io/v1", "NetworkPolicy", "pipelines", team), "spec": rules}]


def _identity(team: str) -> dict[str, Any]:
    # Model servers too: they fetch their artifacts under their team's role.
    spec = {"podSelector": {}, "policyTypes": ["Egress"], "egress": [network.egress(IDENTITY)]}
    return {**_of("networking.k8s.io/v1", "NetworkPolicy", "allow-identity", team), "spec": spec}


def _of(version: str, kind: str, name: str, team: str) -> dict[str, Any]:
    labels = {names.PART_OF: "mlplat", names.TEAM: team}
    return {
        "apiVersion": version,
        "kind": kind,
        "metadata": {"name": name, "namespace": team, "labels": labels},
    }
