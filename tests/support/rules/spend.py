"""Rules on budgets and alerts: legal in fields that no tool checks, and heard by somebody."""

from __future__ import annotations

import json
import re
from typing import Any

from capture import Graph, Made
from rules.base import (
    Found,
    aws,
    refs,
    rule,
    services,
    statements,
)

BUDGET_TYPES = ("COST", "USAGE", "RI_UTILIZATION", "RI_COVERAGE", "SAVINGS_PLANS_UTILIZATION", "SAVINGS_PLANS_COVERAGE")
TIME_UNITS = ("MONTHLY", "DAILY", "QUARTERLY", "ANNUALLY")
EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


@rule
def budgets_are_legal(graph: Graph) -> Found:
    """A budget's fields are ones that AWS takes: no tool checks them."""
    for each in aws(graph, "budgets.Budget"):
        amount = str(each.inputs.get("limitAmount"))
        if not re.fullmatch(r"\d+(\.\d+)?", amount) or float(amount) <= 0:
            yield each.key, f"amount {amount!r} is none"
        for path, legal in {
            "budgetType": BUDGET_TYPES, "timeUnit": TIME_UNITS, "limitUnit": ("USD",),
        }.items():  # fmt: skip
            if each.inputs.get(path) not in legal:
                yield each.key, f"`{path}` {each.inputs.get(path)!r} is none of {', '.join(legal)}"
        if not each.inputs.get("notifications"):
            yield each.key, "tells nobody"
        for found in each.inputs.get("notifications") or []:
            yield from _notification(each, found)


def _notification(each: Made, found: dict[str, Any]) -> Found:
    for path, legal in {
        "comparisonOperator": ("GREATER_THAN", "LESS_THAN", "EQUAL_TO"),
        "notificationType": ("ACTUAL", "FORECASTED"),
        "thresholdType": ("PERCENTAGE", "ABSOLUTE_VALUE"),
    }.items():
        if found.get(path) not in legal:
            yield each.key, f"`{path}` {found.get(path)!r} is none of {', '.join(legal)}"
    if not (found.get("threshold") or 0) > 0:
        yield each.key, f"threshold {found.get('threshold')!r} is none"
    mails, topics = found.get("subscriberEmailAddresses") or [], found.get("subscriberSnsTopicArns") or []
    if not mails and not topics:
        yield each.key, "tells nobody"
    if bad := [mail for mail in mails if not EMAIL.fullmatch(mail)]:
        yield each.key, f"{bad[0]!r} is no address"


@rule
def alerts_arrive(graph: Graph) -> Found:
    """A topic admits who publishes to it, its key admits them too, and somebody listens."""
    heard = {key for each in aws(graph, "sns.TopicSubscription") for key in refs(each.inputs.get("topic"))}
    keys = {each.key: each for each in aws(graph, "kms.Key")}
    for topic in aws(graph, "sns.Topic"):
        publishers = _publishers(graph, topic)
        policies = [e for e in aws(graph, "sns.TopicPolicy") if topic.key in refs(e.inputs.get("arn"))] or [topic]
        admitted = {service for each in policies for found in statements(each) for service in services(found)}
        through = [keys[key] for key in refs(topic.inputs.get("kmsMasterKeyId")) & set(keys)]
        for service in sorted(publishers):
            if service not in admitted:
                yield topic.key, f"does not admit `{service}`"
            for key in through:
                if service not in {name for found in statements(key) for name in services(found)}:
                    yield key.key, f"does not admit `{service}`, which publishes to {topic.key}"
        if topic.key not in heard:
            yield topic.key, "nobody listens"


def _publishers(graph: Graph, topic: Made) -> set[str]:
    kinds = {
        "budgets.Budget": "budgets.amazonaws.com", "costexplorer.AnomalySubscription": "costalerts.amazonaws.com",
        "cloudwatch.EventTarget": "events.amazonaws.com", "cloudwatch.MetricAlarm": "cloudwatch.amazonaws.com",
        "backup.VaultNotifications": "backup.amazonaws.com",
    }  # fmt: skip
    name = f":{topic.inputs.get('name')}"
    return {
        service for kind_, service in kinds.items() for each in aws(graph, kind_)
        if topic.key in refs(each.inputs) or name in json.dumps(each.inputs)
    }  # fmt: skip


@rule
def anomalies_are_told(graph: Graph) -> Found:
    """An anomaly subscription watches a monitor and has a threshold in dollars or percent."""
    for each in aws(graph, "costexplorer.AnomalySubscription"):
        if not each.inputs.get("monitorArnLists"):
            yield each.key, "watches nothing"
        if not each.inputs.get("subscribers"):
            yield each.key, "tells nobody"
        if each.inputs.get("frequency") not in ("DAILY", "IMMEDIATE", "WEEKLY"):
            yield each.key, f"frequency {each.inputs.get('frequency')!r} is none"
        kinds = {found.get("type") for found in each.inputs.get("subscribers", [])}
        # AWS sends at once only to a topic, and mails only in a digest.
        if (each.inputs.get("frequency") == "IMMEDIATE") != (kinds == {"SNS"}):
            yield (
                each.key,
                f"frequency {each.inputs.get('frequency')} does not go with {', '.join(sorted(map(str, kinds)))}",
            )
