"""Teams' shares of the cluster as Kueue's objects: what is promised to each, and what each lends while it is idle.

A pool of nodes is a flavor; a team is a queue of the cluster, and one in its own namespace leads to it. They are one
cohort: what a team does not use, others may, until it asks for it again. A share holds for each pool, and shares that
together are more than the pool can ever be are cut in proportion, so that each promise can be kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mlplat.manifests import names
from mlplat.spec.capacity import PoolSpec, TeamSpec
from mlplat.spec.platform import PlatformSpec
from mlplat.targets.aws.tolerations import GPU, POOL, SHARED_GPU, TEAM

API = "kueue.x-k8s.io/v1beta2"
COHORT = "mlplat"
ANY = "any"
"""Flavor of a platform without pools: whatever nodes there are."""
PRIORITIES: Mapping[str, tuple[int, str]] = {
    "urgent": (1000, "Goes before a team's other work, and takes its place."),
    "usual": (0, "What a job has that names none."),
    "spare": (-1000, "Waits for whatever is left, and makes room for all else."),
}
"""Order among one team's jobs, by the label `kueue.x-k8s.io/priority-class`; nodes are not taken from pods by it."""

Document = dict[str, Any]


@dataclass(frozen=True)
class Flavor:
    """Nodes of one pool, as far as shares of them can be promised."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: Sequence[Mapping[str, str]] = ()
    """Taints that a job has to tolerate by itself: one that asks for no GPU is then kept off nodes that have some."""
    tolerations: Sequence[Mapping[str, str]] = ()
    """What jobs are given to stand there."""
    cpu: int | None = None
    """Processors of the pool at its largest; None where nobody knows."""
    memory_gib: int | None = None
    gpu: int = 0
    shared_by: int = 1
    teams: tuple[str, ...] = ()
    """Teams that may use it; none, all may."""

    def admits(self, team: str) -> bool:
        """Tell whether a team may use it."""
        return not self.teams or team in self.teams


def documents(spec: PlatformSpec) -> list[Document]:
    """Return what the whole cluster has: flavors, the order of jobs, and a queue for each team."""
    found = flavors(spec)
    return [
        *map(_flavor, found),
        *(_priority(name, *each) for name, each in PRIORITIES.items()),
        *(cluster_queue(team, spec, found) for team in spec.teams),
    ]


def local_queue(team: str) -> Document:
    """Return the queue in a team's namespace: jobs name it by `kueue.x-k8s.io/queue-name`."""
    return {**_of("LocalQueue", names.LOCAL_QUEUE, namespace=team), "spec": {"clusterQueue": team}}


def flavors(spec: PlatformSpec) -> list[Flavor]:
    """Return the pools that jobs may use, those without GPUs first; model servers' pools are theirs alone."""
    pools = {name: pool for name, pool in spec.pools.items() if pool.workload != "serving"}
    made = [_on_cloud(*each) if spec.target == "aws" else _on_nodes(*each) for each in pools.items()]
    return sorted(made, key=lambda each: each.gpu > 0) or [Flavor(ANY)]


def cluster_queue(team: str, spec: PlatformSpec, found: Sequence[Flavor]) -> Document:
    """Return a team's share of each pool that it may use."""
    usable = [each for each in found if each.admits(team)]
    covered = _covered(found)
    groups = {
        "coveredResources": covered,
        "flavors": [
            {"name": each.name, "resources": [_quota(each, name, team, spec.teams) for name in covered]}
            for each in usable
        ],
    }
    return {
        **_of("ClusterQueue", team),
        "spec": {
            "cohortName": COHORT,
            "namespaceSelector": {"matchLabels": {names.TEAM: team}},
            "queueingStrategy": "BestEffortFIFO",
            # What was lent comes back at once. Nothing of `borrowWithinCohort`: it is not for fair sharing.
            "preemption": {"reclaimWithinCohort": "Any", "withinClusterQueue": "LowerPriority"},
            "fairSharing": {"weight": "1"},
            # A team without any pool waits for ever, and its queue says so.
            **({"resourceGroups": [groups]} if usable else {}),
        },
    }


def shares(wanted: Mapping[str, int], capacity: int | None) -> dict[str, int]:
    """Divide what there is among those who want it: all get what they want, or a part in proportion, in whole units.

    Units that are left over by rounding go to the largest fractions, and among equals by name.
    """
    total = sum(wanted.values())
    if capacity is None or total <= capacity:
        return dict(wanted)
    made = {name: each * capacity // total for name, each in wanted.items()}
    left = capacity - sum(made.values())
    nearest = sorted(wanted, key=lambda name: (-(wanted[name] * capacity % total), name))
    return {name: each + (name in nearest[:left]) for name, each in made.items()}


def _quota(flavor: Flavor, resource: str, team: str, teams: Mapping[str, TeamSpec]) -> Document:
    users = {name: each for name, each in teams.items() if flavor.admits(name)}
    whole = 0 if flavor.shared_by > 1 else flavor.gpu
    shared = flavor.gpu * flavor.shared_by if flavor.shared_by > 1 else 0
    match resource:
        case "cpu":
            found = str(shares({name: each.cpu for name, each in users.items()}, flavor.cpu)[team])
        case "memory":
            wanted = {name: each.memory_gib for name, each in users.items()}
            found = f"{shares(wanted, flavor.memory_gib)[team]}Gi"
        case _:
            # A share of a GPU counts as that much of a GPU.
            each_gpu, capacity = (flavor.shared_by, shared) if resource == SHARED_GPU else (1, whole)
            wanted = {name: each.gpu * each_gpu for name, each in users.items()}
            found = str(shares(wanted, capacity)[team])
    return {"name": resource, "nominalQuota": found}


def _covered(found: Sequence[Flavor]) -> list[str]:
    # Covered also where there is none: what no quota covers is not refused, it waits without a reason.
    shared = any(each.gpu and each.shared_by > 1 for each in found)
    return ["cpu", "memory", GPU, *([SHARED_GPU] if shared else [])]


def _on_cloud(name: str, pool: PoolSpec) -> Flavor:
    from mlplat.targets.aws import machines, pools

    found = [machines.find(each) for each in pool.instance_types]
    taints = pools.taints(name, pool)
    return Flavor(
        name,
        {POOL: name},
        [each for each in taints if each["key"] != TEAM],
        [each for each in pools.tolerations(name, pool) if each["key"] == TEAM],
        # The smallest of its types: which one comes, the cloud decides.
        pool.max_size * min(each.vcpus for each in found),
        int(pool.max_size * min(each.memory_gib for each in found)),
        pool.max_size * min(each.gpu_count for each in found),
        pool.shared_by,
        tuple(pool.teams),
    )


def _on_nodes(name: str, pool: PoolSpec) -> Flavor:
    taints = [{"key": GPU, "value": "true", "effect": "NoSchedule"}] if pool.gpu_count else []
    gpus = pool.max_size * pool.gpu_count
    return Flavor(name, dict(pool.node_selector), taints, gpu=gpus, shared_by=pool.shared_by, teams=tuple(pool.teams))


def _flavor(flavor: Flavor) -> Document:
    spec = {
        "nodeLabels": dict(flavor.labels),
        "nodeTaints": [dict(each) for each in flavor.taints],
        "tolerations": [dict(each) for each in flavor.tolerations],
    }
    return {**_of("ResourceFlavor", flavor.name), "spec": {key: value for key, value in spec.items() if value}}


def _priority(name: str, value: int, description: str) -> Document:
    # Its fields stand beside `metadata`; below `spec`, as other kinds have them, the cluster drops them.
    return {**_of("WorkloadPriorityClass", name), "value": value, "description": description}


def _of(kind: str, name: str, **metadata: str) -> Document:
    labels = {names.PART_OF: "mlplat"}
    return {"apiVersion": API, "kind": kind, "metadata": {"name": name, **metadata, "labels": labels}}
