"""Cost of machines at the present rate, by whom it is for."""

from __future__ import annotations

from collections.abc import Mapping

from mlplat.watching.alerts.cost import CLUSTER, HOURS, TEAM
from mlplat.watching.dashboards.panel import Board, Panel, Query, Row

USD = "currencyUSD"


def board(budget_usd: float | None, teams: Mapping[str, float | None]) -> Board:
    """Return the page of cost; a budget, in USD a month, colours what is above it."""
    text = (
        "USD a month if the present rate went on: nodes at the prices that OpenCost knows. Storage, traffic and"
        " databases are in the cloud's bill only."
    )
    return Board("mlplat-cost", "Cost", text, (_now(budget_usd), _teams(teams)), alerts='alertname=~".+OverBudget"')


def _now(budget_usd: float | None) -> Row:
    unused = f"sum({TEAM})"
    steps = ((0.8 * budget_usd, "orange"), (budget_usd, "red")) if budget_usd else ()
    return Row(
        "Cluster",
        (
            Panel("A month", (Query(CLUSTER, "nodes"),), USD, "stat", width=6, steps=steps),
            Panel(
                "Paid for and given to nobody",
                (Query(f"clamp_min(1 - {unused} / {CLUSTER}, 0)", "share"),),
                "percentunit",
                "stat",
                width=6,
                steps=((0.3, "orange"), (0.6, "red")),
            ),
            Panel("A month, over time", (Query(CLUSTER, "nodes"),), USD, width=12),
            Panel(
                "By node",
                (Query(f"max by (node) (node_total_hourly_cost) * {HOURS}", "{{node}}"),),
                USD,
                width=24,
                stacked=True,
            ),
        ),
    )


def _teams(teams: Mapping[str, float | None]) -> Row:
    budgets = {team: budget for team, budget in sorted(teams.items()) if budget is not None}
    panels = [Panel("By namespace", (Query(TEAM, "{{in_namespace}}"),), USD, width=16, stacked=True)]
    used = [Query(f'{TEAM}{{in_namespace="{team}"}} / {budget:g}', team) for team, budget in budgets.items()]
    if used:
        steps = ((0.8, "orange"), (1.0, "red"))
        panels.append(Panel("Of the team's budget", tuple(used), "percentunit", "bargauge", width=8, steps=steps))
    return Row("Teams", tuple(panels))
