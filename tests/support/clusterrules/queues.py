"""Rules on queues: that what a job asks for is covered, and that each queue leads somewhere."""

from __future__ import annotations

from typing import Any

from capture import Made
from clusterrules.base import Case, Found, at, documents, leaves, namespace, rule
from mlplat.targets.aws.tolerations import GPU, SHARED_GPU

PROMISED = {"cpu", "memory", GPU}
"""What every job of Metaflow's may ask for."""


@rule
def jobs_are_covered(case: Case) -> Found:
    """A resource that no quota covers keeps a job waiting for ever."""
    shared = any(each.shared_by > 1 and each.workload != "serving" for each in case.spec.pools.values())
    for each in documents(case, "ClusterQueue"):
        covered = {name for found in _groups(each) for name in found["coveredResources"]}
        for name in sorted((PROMISED | ({SHARED_GPU} if shared else set())) - covered):
            yield each.key, f"covers no {name}"


@rule
def flavors_are_there(case: Case) -> Found:
    """A queue names flavors that there are, and gives each a share of all that it covers."""
    known = {at(each.inputs, "metadata.name") for each in documents(case, "ResourceFlavor")}
    for each in documents(case, "ClusterQueue"):
        for found in _groups(each):
            for flavor in found["flavors"]:
                if flavor["name"] not in known:
                    yield each.key, f"names the flavor {flavor['name']}, which there is not"
                if [part["name"] for part in flavor["resources"]] != found["coveredResources"]:
                    yield each.key, f"does not say how much there is of each resource of {flavor['name']}"


@rule
def flavors_are_pools(case: Case) -> Found:
    """A flavor's labels are those of its pool's nodes, and jobs without GPUs are not sent to nodes that have some."""
    for each in documents(case, "ResourceFlavor"):
        name = str(at(each.inputs, "metadata.name"))
        pool = case.spec.pools.get(name)
        labels = at(each.inputs, "spec.nodeLabels") or {}
        if pool is None:
            if labels:
                yield each.key, "is of no pool"
            continue
        wanted = pool.node_selector if case.spec.aws is None else {"mlplat/pool": name}
        if labels != wanted:
            yield each.key, f"sends jobs to nodes with {labels}, not {wanted}"
        if _has_gpus(case, name) and GPU not in [at(found, "key") for found in _list(each, "spec.nodeTaints")]:
            yield each.key, "lets jobs without GPUs onto nodes that have some"
        if GPU in [found.get("key") for found in _list(each, "spec.tolerations")]:
            yield each.key, "lets every job tolerate the taint that keeps GPUs free"


def _has_gpus(case: Case, name: str) -> bool:
    pool = case.spec.pools[name]
    if case.spec.aws is None:
        return pool.gpu_count > 0
    from mlplat.targets.aws import pools

    return pools.has_gpus(pool)


def _list(made: Made, path: str) -> list[dict[str, Any]]:
    found: Any = made.inputs
    for step in path.split("."):
        found = found.get(step) or {}
    return list(found) if isinstance(found, list) else []


@rule
def queues_lead_to_their_team(case: Case) -> Found:
    """Each team has a queue in its namespace, which leads to its own share, and only it may use that."""
    shares = {str(at(each.inputs, "metadata.name")): each for each in documents(case, "ClusterQueue")}
    if not shares:
        return
    local = {namespace(each): each for each in documents(case, "LocalQueue")}
    spaces = {
        at(each.inputs, "metadata.name"): at(each.inputs, "metadata.labels") or {}
        for each in documents(case, "Namespace")
    }
    for team in case.spec.teams:
        if team not in local:
            yield team, "has no queue in its namespace"
        elif at(local[team].inputs, "spec.clusterQueue") != team:
            yield local[team].key, "leads to somebody else's share"
        if team not in shares:
            yield team, "has no share"
            continue
        chosen = at(shares[team].inputs, "spec.namespaceSelector.matchLabels") or {}
        admitted = {name for name, labels in spaces.items() if chosen and chosen.items() <= labels.items()}
        if admitted != {team}:
            yield shares[team].key, f"is open to {sorted(admitted)}"


@rule
def nobody_is_a_queue_by_default(case: Case) -> Found:
    """A queue called `default` takes pods that name none: model servers would wait in it."""
    for each in documents(case, "LocalQueue"):
        if at(each.inputs, "metadata.name") == "default":
            yield each.key, "takes every pod of its namespace"


@rule
def shares_are_one_cohort(case: Case) -> Found:
    """What one team does not use another may, and gives it back when it is asked for."""
    for each in documents(case, "ClusterQueue"):
        if not at(each.inputs, "spec.cohortName"):
            yield each.key, "lends nothing, and borrows nothing"
        if at(each.inputs, "spec.preemption.reclaimWithinCohort") != "Any":
            yield each.key, "does not get back what it has lent"
        if at(each.inputs, "spec.preemption.borrowWithinCohort"):
            yield each.key, "says `borrowWithinCohort`, which does not go with fair sharing"


@rule
def priorities_have_a_value(case: Case) -> Found:
    """A priority's value stands beside `metadata`: below `spec` the cluster drops it, and all are the same."""
    for each in documents(case, "WorkloadPriorityClass"):
        if not isinstance(each.inputs.get("value"), int) or "spec" in each.inputs:
            yield each.key, "has no value"


@rule
def promises_can_be_kept(case: Case) -> Found:
    """All teams' shares of GPUs together are no more than a pool has at its largest."""
    for name in case.spec.pools:
        promised = 0
        for each in documents(case, "ClusterQueue"):
            for path, leaf in leaves(_of_flavor(each, name)):
                if path.endswith("nominalQuota") and _named(_of_flavor(each, name), path) == GPU:
                    promised += int(leaf)
        if promised > _largest(case, name):
            yield name, f"{promised} GPUs are promised, of {_largest(case, name)}"


def _of_flavor(made: Made, name: str) -> list[Any]:
    return [
        part
        for found in _groups(made)
        for flavor in found["flavors"]
        if flavor["name"] == name
        for part in flavor["resources"]
    ]


def _named(parts: list[Any], path: str) -> str:
    return str(parts[int(path.partition(".")[0])]["name"])


def _largest(case: Case, name: str) -> int:
    pool = case.spec.pools[name]
    if case.spec.aws is None:
        return pool.max_size * pool.gpu_count
    from mlplat.targets.aws import machines

    return pool.max_size * max(machines.find(each).gpu_count for each in pool.instance_types)


def _groups(made: Made) -> list[dict[str, Any]]:
    return _list(made, "spec.resourceGroups")
