"""Pools of nodes as Karpenter's custom resources: what a pool of the spec means, field by field, as plain values.

A pool is a NodePool that grows from zero. `min_size` makes a second, static one beside it (`<pool>-warm`), whose nodes
are always there; `shared_by` tells Karpenter by a NodeOverlay how many workloads a GPU takes before there is a node
that could say so itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mlplat.errors import Problem, SpecError, UsageError
from mlplat.spec.capacity import PoolSpec
from mlplat.targets.aws import machines, nodeclass
from mlplat.targets.aws.tolerations import (
    EFA_PRESENT,
    GPU,
    GPU_PRESENT,
    POOL,
    SHARED_GPU,
    SYSTEM,
    TEAM,
    TEAM_USES,
    WARM,
)

API = "karpenter.sh/v1"
OVERLAY_API = "karpenter.sh/v1alpha1"
PLUGIN_CONFIG = "nvidia.com/device-plugin.config"
"""Label by which a node names its part of the device plugin's settings."""
WHOLE = "whole"
WORKLOAD = "mlplat/workload"
ARCHITECTURES = {"x86_64": "amd64", "arm64": "arm64"}
LABEL_SIGNS = 63
FAMILIES = 2
"""Families that a choice among spot machines keeps open: one alone is often sold out."""
GRACE, EVENING_GRACE = "24h", "20m"
"""Longest time that a node waits for its pods; where nights are, the evening does not wait a day."""
CONSOLIDATION: Mapping[str, tuple[str, str]] = {
    # A step that ends is followed by the next one, which finds the node still there.
    "training": ("WhenEmpty", "60m"),
    "serving": ("WhenEmptyOrUnderutilized", "5m"),
    "general": ("WhenEmptyOrUnderutilized", "5m"),
}
"""By workload: when Karpenter takes a node away to save money, and after how long."""


def check(pools: Mapping[str, PoolSpec]) -> None:
    """Raise `SpecError` with every problem that only a table of machine types shows."""
    if found := [each for name, pool in pools.items() for each in [*_names(name, pool, pools), *_problems(name, pool)]]:
        raise SpecError("stack file", found)


def node_pools(name: str, pool: PoolSpec, *, sleeps: bool = False) -> list[dict[str, Any]]:
    """Return a pool's NodePools: the one that grows, and the static one where some nodes are always there.

    `sleeps` is whether the platform has nights.
    """
    made = []
    if pool.max_size > pool.min_size:
        made.append(_growing(name, pool, sleeps))
    if pool.min_size:
        made.append(_warm(name, pool, sleeps))
    return made


def overlays(name: str, pool: PoolSpec) -> list[dict[str, Any]]:
    """Return how many shares the GPUs of each size of machine have; none where GPUs are not shared."""
    if pool.shared_by == 1:
        return []
    counts = sorted({machines.find(each).gpu_count for each in pool.instance_types})
    return [_overlay(name, pool, count) for count in counts]


def gates(pools: Mapping[str, PoolSpec]) -> dict[str, bool]:
    """Return Karpenter's feature gates: what is not finished upstream is on only where a pool asks for it."""
    return {
        "reservedCapacity": True,
        "nodeOverlay": any(each.shared_by > 1 for each in pools.values()),
        "staticCapacity": any(each.min_size for each in pools.values()),
        "nodeRepair": False,
        "spotToSpotConsolidation": False,
        "capacityBuffer": False,
    }


def has_gpus(pool: PoolSpec) -> bool:
    """Tell whether a pool's machines have GPUs."""
    return any(machines.find(each).gpu_count for each in pool.instance_types)


def plugin_config(pool: PoolSpec) -> str:
    """Return the name of the device plugin's settings that a pool's nodes take."""
    return WHOLE if pool.shared_by == 1 else f"shared-{pool.shared_by}"


def taints(name: str, pool: PoolSpec) -> list[dict[str, str]]:
    """Return the taints of a pool's nodes: those with GPUs, and those of some teams only, are for who asks for them."""
    made = []
    if has_gpus(pool):
        made.append({"key": GPU, "value": "true", "effect": "NoSchedule"})
    if pool.teams:
        made.append({"key": TEAM, "value": name, "effect": "NoSchedule"})
    return made


def tolerations(name: str, pool: PoolSpec) -> list[dict[str, str]]:
    """Return what a workload says to stand on a pool's nodes."""
    return [
        {"key": each["key"], "operator": "Equal", "value": each["value"], "effect": each["effect"]}
        for each in taints(name, pool)
    ]


def labels(name: str, pool: PoolSpec) -> dict[str, str]:
    """Return the labels of a pool's nodes."""
    return {
        **pool.labels,
        POOL: name,
        WORKLOAD: pool.workload,
        **{f"{TEAM_USES}/{each}": "true" for each in pool.teams},
        **({GPU_PRESENT: "true", PLUGIN_CONFIG: plugin_config(pool)} if has_gpus(pool) else {}),
        **({EFA_PRESENT: "true"} if pool.efa else {}),
    }


def limits(pool: PoolSpec) -> dict[str, str]:
    """Return the most that a growing pool may be: this, and no alert, is what caps the cost."""
    nodes = pool.max_size - pool.min_size
    found = [machines.find(each) for each in pool.instance_types]
    gpus = nodes * max(each.gpu_count for each in found)
    made = {"cpu": str(nodes * max(each.vcpus for each in found))}
    if gpus:
        made[GPU] = str(gpus)
    if pool.shared_by > 1:
        made[SHARED_GPU] = str(gpus * pool.shared_by)
    return made


def warm_name(name: str) -> str:
    """Return the name of a pool's static NodePool."""
    return f"{name}-warm"


def _growing(name: str, pool: PoolSpec, sleeps: bool) -> dict[str, Any]:
    policy, after = CONSOLIDATION[pool.workload]
    disruption = {"consolidationPolicy": policy, "consolidateAfter": after, "budgets": [{"nodes": "10%"}]}
    spec = {"template": _template(name, pool, sleeps), "disruption": disruption, "limits": limits(pool)}
    return {"apiVersion": API, "kind": "NodePool", "metadata": {"name": name}, "spec": spec}


def _warm(name: str, pool: PoolSpec, sleeps: bool) -> dict[str, Any]:
    template = _template(name, pool, sleeps, warm=True)
    # One more than there are: a node that is too old is replaced before it goes. A static pool takes no other limit
    # and no weight, and a pool cannot become static or cease to be: hence two.
    limit = {"nodes": str(pool.min_size + 1)}
    disruption = {"consolidateAfter": "Never", "budgets": [{"nodes": "10%"}]}
    spec = {"replicas": pool.min_size, "template": template, "disruption": disruption, "limits": limit}
    return {"apiVersion": API, "kind": "NodePool", "metadata": {"name": warm_name(name)}, "spec": spec}


def _template(name: str, pool: PoolSpec, sleeps: bool, *, warm: bool = False) -> dict[str, Any]:
    found = taints(name, pool)
    return {
        "metadata": {"labels": {**labels(name, pool), **({WARM: "true"} if warm else {})}},
        "spec": {
            "nodeClassRef": {"group": nodeclass.GROUP, "kind": nodeclass.KIND, "name": name},
            "requirements": list(_requirements(pool, warm=warm)),
            "expireAfter": f"{pool.expire_hours}h",
            "terminationGracePeriod": EVENING_GRACE if sleeps else GRACE,
            **({"taints": found} if found else {}),
        },
    }


def _requirements(pool: PoolSpec, *, warm: bool) -> Iterator[dict[str, Any]]:
    found = [machines.find(each) for each in pool.instance_types]
    yield _one_of("node.kubernetes.io/instance-type", pool.instance_types)
    families = _one_of("karpenter.k8s.aws/instance-family", sorted({each.family for each in found}))
    yield {**families, "minValues": FAMILIES} if "spot" in pool.capacity and not warm else families
    yield _one_of("karpenter.sh/capacity-type", pool.capacity)
    yield _one_of("kubernetes.io/arch", sorted({ARCHITECTURES[each.architecture] for each in found}))
    yield _one_of("kubernetes.io/os", ["linux"])


def _one_of(key: str, values: list[Any]) -> dict[str, Any]:
    return {"key": key, "operator": "In", "values": [str(each) for each in values]}


def _overlay(name: str, pool: PoolSpec, gpus: int) -> dict[str, Any]:
    names = [each["metadata"]["name"] for each in node_pools(name, pool)]
    types = [each for each in pool.instance_types if machines.find(each).gpu_count == gpus]
    return {
        "apiVersion": OVERLAY_API,
        "kind": "NodeOverlay",
        "metadata": {"name": f"{name}-{gpus}-gpu"},
        "spec": {
            "requirements": [
                _one_of("karpenter.sh/nodepool", names),
                _one_of("node.kubernetes.io/instance-type", types),
            ],
            "capacity": {SHARED_GPU: str(gpus * pool.shared_by)},
        },
    }


def _names(name: str, pool: PoolSpec, pools: Mapping[str, PoolSpec]) -> Iterator[Problem]:
    if name == SYSTEM:
        yield Problem(f"pools.{name}", "is the name of the platform's own nodes", "choose another")
    if pool.min_size and warm_name(name) in pools:
        yield Problem(f"pools.{warm_name(name)}", f"is the name of the warm nodes of `{name}`", "choose another")
    if pool.min_size and len(warm_name(name)) > LABEL_SIGNS:
        yield Problem(f"pools.{name}", "has too long a name for `min_size`: with `-warm` it is no label", "shorten it")


def _problems(name: str, pool: PoolSpec) -> Iterator[Problem]:
    at = f"pools.{name}.instance_types"
    found = []
    for each in pool.instance_types:
        try:
            found.append(machines.find(each))
        except UsageError as error:
            yield Problem(at, error.message, error.hint)
    if len({each.architecture for each in found}) > 1:
        yield Problem(at, "mixes processor architectures", "make a pool for each: an image runs on one")
    if parts := [each.name for each in found if each.gpu and not each.gpu_count]:
        hint = "share whole GPUs with `shared_by` instead"
        yield Problem(at, f"{parts[0]} has part of a GPU, which EC2 reports as none: no pod would ever fit", hint)
    elif len({bool(each.gpu_count) for each in found}) > 1:
        yield Problem(at, "mixes types with and without GPUs", "make a pool for each")
    if pool.shared_by > 1 and found and not all(each.gpu_count for each in found):
        yield Problem(f"pools.{name}.shared_by", "there is no GPU to share")
    if pool.efa and len(cards := {each.efa_cards for each in found}) > 1:
        yield Problem(at, f"has types with {' and '.join(map(str, sorted(cards)))} EFA cards", "make a pool for each")
    elif pool.efa and cards == {0}:
        yield Problem(f"pools.{name}.efa", "none of its types is known to have EFA")
