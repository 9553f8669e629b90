"""Dashboards as values: one module a page, made of the panels of `panel.py`."""

from __future__ import annotations

from mlplat.spec.platform import PlatformSpec
from mlplat.watching import catalogue
from mlplat.watching.dashboards import cost, endpoint, gpu, platform, rollout
from mlplat.watching.dashboards.panel import Board


def boards(spec: PlatformSpec) -> tuple[Board, ...]:
    """Return the pages of a stack: those of an add-on that is off, and of GPUs that nobody has, are not among them."""
    on = spec.kubernetes
    budgets = {name: team.monthly_usd for name, team in spec.teams.items()}
    return (
        platform.board(on.addons),
        *([endpoint.board(on.monitoring.objectives)] if on.addons.gateway != "off" else []),
        rollout.board(),
        *([gpu.board()] if catalogue.has_gpus(spec) else []),
        *([cost.board(spec.cost.budget_usd, budgets)] if on.addons.cost != "off" else []),
    )
