"""Nodes that only pretend: the scheduler sees their labels, taints and room, and no kubelet runs what it puts there."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from commands import until
from mlplat.cluster import Cluster, ConflictError
from mlplat.errors import MlplatError
from mlplat.spec.platform import PlatformSpec
from mlplat.targets.aws import machines, pools
from mlplat.targets.aws.tolerations import GPU, POOL, SHARED_GPU, SYSTEM, SYSTEM_TAINT

Document = dict[str, Any]
ROOM = {"cpu": "64", "memory": "256Gi", "pods": "110", "ephemeral-storage": "500Gi"}
ZONE = "topology.kubernetes.io/zone"
HOST = "kubernetes.io/hostname"
NOBODY = ""
"""Node of a pod that the scheduler found none for."""


def of_platform(spec: PlatformSpec, each: int = 2) -> list[Document]:
    """Return nodes of each pool of an AWS platform as Karpenter makes them, and system nodes, in several zones."""
    taint = {"key": SYSTEM_TAINT, "value": "true", "effect": "NoSchedule"}
    made = [node(f"system-{index}", {POOL: SYSTEM}, [taint], zone=index) for index in range(each)]
    for name, pool in spec.pools.items():
        count = machines.find(pool.instance_types[0]).gpu_count
        resource = SHARED_GPU if pool.shared_by > 1 else GPU
        gpus = {resource: str(count * pool.shared_by)} if count else {}
        labels, taints = pools.labels(name, pool), pools.taints(name, pool)
        made += [node(f"{name}-{index}", labels, taints, gpus, index) for index in range(each)]
    return made


def node(
    name: str,
    labels: Mapping[str, str],
    taints: Sequence[Mapping[str, str]] = (),
    gpus: Mapping[str, str] | None = None,
    zone: int = 0,
) -> Document:
    """Return a node that says it is ready."""
    room = {**ROOM, **(gpus or {})}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {**labels, HOST: name, ZONE: f"zone-{zone}"}},
        "spec": {"taints": list(taints)},
        "status": {
            "capacity": room,
            "allocatable": room,
            "conditions": [{"type": "Ready", "status": "True", "reason": "Pretended", "message": "nothing runs here"}],
        },
    }


def pretend(cluster: Cluster, nodes: Iterable[Document]) -> None:
    """Put nodes on a cluster, and take from them the taint of those that no controller has seen yet."""
    for each in nodes:
        name = each["metadata"]["name"]
        cluster.create({key: part for key, part in each.items() if key != "status"})
        cluster.merge("v1", "Node", name, {"status": each["status"]}, status=True)
        cluster.merge("v1", "Node", name, {"spec": each["spec"]})


def namespace(cluster: Cluster, name: str, *accounts: str) -> None:
    """Make a namespace with the service accounts that pods in it have."""
    wanted = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}]
    wanted += [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": each, "namespace": name}}
        for each in ("default", *accounts)
    ]
    for each in wanted:
        try:
            cluster.create(each)
        except ConflictError:
            continue


def placed(cluster: Cluster, pods: Sequence[Document], *, together: bool = False) -> dict[str, str]:
    """Return the node that the scheduler gives each pod, by the pod's name: `NOBODY` where it says that none fits.

    One after the other each has the whole cluster; `together`, they are there at the same time.
    """
    found: dict[str, str] = {}
    if not together:
        for each in pods:
            found |= placed(cluster, [each], together=True)
        return found
    try:
        for each in pods:
            cluster.create(each)
        for each in pods:
            until(functools.partial(_decided, cluster, each, found), what=f"a node for {each['metadata']['name']}")
    finally:
        for each in pods:
            _delete(cluster, each)
    return found


def why_not(cluster: Cluster, pod: Document) -> str:
    """Return what admission says against a pod; empty when it takes it."""
    try:
        cluster.create(pod, dry_run=True)
    except MlplatError as error:
        return str(error)
    return ""


def _decided(cluster: Cluster, pod: Document, found: dict[str, str]) -> bool:
    named = pod["metadata"]
    seen = cluster.get("v1", "Pod", named["name"], named["namespace"]) or {}
    if chosen := seen.get("spec", {}).get("nodeName"):
        found[named["name"]] = chosen
    elif any(each.get("reason") == "Unschedulable" for each in seen.get("status", {}).get("conditions") or []):
        found[named["name"]] = NOBODY
    return named["name"] in found


def _delete(cluster: Cluster, pod: Document) -> None:
    # Nothing runs there that could end, so there is nobody to wait for.
    named = pod["metadata"]
    path = f"/api/v1/namespaces/{named['namespace']}/pods/{named['name']}"
    cluster.ask("DELETE", path, body={"gracePeriodSeconds": 0})
