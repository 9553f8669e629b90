"""What the cluster and its teams cost at the rate of the last hour, held against their budgets.

A cloud's own budgets count what was really billed, a day later. These see nodes alone, at the prices that OpenCost
knows, and within minutes: a forgotten pool of GPUs is found on the same day.
"""

from __future__ import annotations

from collections.abc import Mapping

from mlplat.watching.rule import Alert, Group, Recording, in_namespace

HOURS = 730
"""Of a month, as clouds count it."""
CLUSTER = "cluster:cost:usd_per_month"
TEAM = "namespace:cost:usd_per_month"


def group(budget_usd: float | None, teams: Mapping[str, float | None]) -> Group:
    """Return what is recorded of cost, and an alert for each budget, in USD a month."""
    budgets = [(team, budget) for team, budget in sorted(teams.items()) if budget is not None]
    alerts = (*([_cluster(budget_usd)] if budget_usd else []), *(_team(team, budget) for team, budget in budgets))
    cluster = f"sum(max by (node) (node_total_hourly_cost)) * {HOURS}"
    return Group("cost", (Recording(CLUSTER, cluster), Recording(TEAM, _by_namespace()), *alerts))


def _by_namespace() -> str:
    """Return each namespace's part of the nodes: what its containers ask for, or use where that is more."""
    cpu = _part("container_cpu_allocation", "node_cpu_hourly_cost")
    memory = _part("container_memory_allocation_bytes / 1024 ^ 3", "node_ram_hourly_cost")
    gpu = _part("container_gpu_allocation", "node_gpu_hourly_cost")
    # A namespace without GPUs has no series of them, and a sum with what is not there is nothing.
    return f"({cpu} + {memory} + ({gpu} or 0 * {cpu})) * {HOURS}"


def _part(amount: str, price: str) -> str:
    each = f"({in_namespace(amount)}) * on (node) group_left () max by (node) ({price})"
    return f"sum by (in_namespace) ({each})"


def _cluster(budget: float) -> Alert:
    return Alert(
        "ClusterOverBudget",
        f"avg_over_time({CLUSTER}[1h]) > {budget:g}",
        "warning",
        "the cluster costs {{ $value | humanize }} USD a month at the present rate",
        f"`cost.budget_usd` is {budget:g} USD. Nodes alone are counted: storage, traffic and databases come on top.",
        "mlplat cost",
        hold="2h",
    )


def _team(team: str, budget: float) -> Alert:
    return Alert(
        "TeamOverBudget",
        f'avg_over_time({TEAM}{{in_namespace="{team}"}}[1h]) > {budget:g}',
        "warning",
        "{{ $labels.in_namespace }} costs {{ $value | humanize }} USD a month at the present rate",
        f"`teams.{team}.monthly_usd` is {budget:g} USD. Its share of the nodes is counted, by what its pods ask for.",
        "mlplat open grafana",
        hold="2h",
        labels={"team": team},
    )
