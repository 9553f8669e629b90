"""Stacks whose rules, dashboards and routes are looked at: one on a cluster that is there, one in an account."""

from __future__ import annotations

from typing import Any

import awsprogram
from mlplat.spec.platform import PlatformSpec, parse_platform

TEAMS = {"flights": {"monthly_usd": 500.0, "gpu": 2, "projects": ["flights"]}, "rides": {"projects": ["rides"]}}
COST = {"budget_usd": 1000.0, "emails": ["somebody@example.com"]}
TOPIC = "arn:aws:sns:eu-west-1:123456789012:alerts"
RECEIVERS = {
    "chat": {"kind": "slack", "secret": "chat", "channel": "#models"},
    "duty": {"kind": "pagerduty", "secret": "duty", "severities": ["critical"]},
    "ours": {"kind": "webhook", "secret": "hook", "severities": ["info"]},
    "mail": {"kind": "sns", "topic": TOPIC},
}


def cluster(**kubernetes: Any) -> PlatformSpec:
    """Return a stack on a cluster that is there, with everything that can be watched; keys of `kubernetes` on top."""
    group = {"context": "test", "production": False, "monitoring": {"receivers": RECEIVERS}, **kubernetes}
    pools = {"gpu": {"node_selector": {"kind": "gpu"}, "gpu_count": 1, "max_size": 2}}
    document = {"version": 2, "target": "kubernetes", "engine": {}, "teams": TEAMS, "pools": pools, "cost": COST}
    return parse_platform({**document, "kubernetes": group}, "a stack of tests")


def account() -> PlatformSpec:
    """Return the stack `prod`, in an account of AWS."""
    return awsprogram.spec("prod")


def both() -> dict[str, PlatformSpec]:
    """Return both, by name."""
    return {"cluster": cluster(), "account": account()}
