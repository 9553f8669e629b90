"""Everything that is recorded and told of on a cluster, as its stack file says."""

from __future__ import annotations

from mlplat.spec.platform import LOCAL, PlatformSpec
from mlplat.watching import gateway, objectives
from mlplat.watching.alerts import addons, cost, endpoints, nodes, platform
from mlplat.watching.rule import Alert, Group


def groups(spec: PlatformSpec) -> tuple[Group, ...]:
    """Return the groups of rules of a cluster: those of an add-on that is off are not among them."""
    made = (*_endpoints(spec), *_here(spec), *_cluster(spec), *_addons(spec))
    return tuple(group for group in made if group.rules)


def alerts(spec: PlatformSpec) -> tuple[Alert, ...]:
    """Return everything that people are told of."""
    return tuple(alert for group in groups(spec) for alert in group.alerts)


def has_gpus(spec: PlatformSpec) -> bool:
    """Tell whether some pool may have GPUs: of a cloud's types, the cloud knows."""
    return any(pool.gpu_count or pool.instance_types for pool in spec.pools.values())


def has_karpenter(spec: PlatformSpec) -> bool:
    """Tell whether nodes are made as they are asked for."""
    return spec.target == "aws"


def _endpoints(spec: PlatformSpec) -> tuple[Group, ...]:
    promised = spec.kubernetes.monitoring.objectives
    if spec.kubernetes.addons.gateway == "off":
        return (endpoints.group(has_gateway=False),)
    records = gateway.records(promised.latency_ms)
    return (records, *objectives.groups(promised), endpoints.group(has_gateway=True))


def _here(spec: PlatformSpec) -> tuple[Group, ...]:
    """Return what only one computer's controller tells: on a cluster Argo begins what has a schedule."""
    return (endpoints.schedules(),) if spec.target == LOCAL else ()


def _cluster(spec: PlatformSpec) -> tuple[Group, ...]:
    teams = sorted(spec.teams)
    has_gateway = spec.kubernetes.addons.gateway != "off"
    return (
        *platform.groups(teams, has_gateway=has_gateway),
        *nodes.groups(teams, has_gpus=has_gpus(spec), has_karpenter=has_karpenter(spec)),
    )


def _addons(spec: PlatformSpec) -> tuple[Group, ...]:
    wanted = spec.kubernetes.addons
    budgets = {name: team.monthly_usd for name, team in spec.teams.items()}
    return (
        *([addons.pipelines()] if wanted.pipelines != "off" else []),
        *([addons.queues()] if wanted.queues != "off" else []),
        *([addons.secrets()] if wanted.secrets != "off" else []),
        *([addons.autoscaling()] if wanted.autoscaling != "off" else []),
        *([cost.group(spec.cost.budget_usd, budgets)] if wanted.cost != "off" else []),
    )
