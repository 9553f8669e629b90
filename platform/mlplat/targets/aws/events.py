"""What AWS says of nodes before it takes them away: four rules that put it on the queue that Karpenter reads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pulumi_aws as aws

from mlplat.targets.aws.component import Component
from mlplat.targets.aws.iam import Statement, document
from mlplat.targets.aws.site import Site

RULE_LIMIT, QUEUE_LIMIT = 64, 80
RETENTION_SECONDS = 300
"""Five minutes: a warning older than the two that a spot node has left says nothing any more."""

# Recommendations to leave (`EC2 Instance Rebalance Recommendation`) are left out on purpose: Karpenter would cordon the
# node at once and never drain it.
EVENTS: Mapping[str, tuple[str, str]] = {
    "health": ("aws.health", "AWS Health Event"),
    "spot": ("aws.ec2", "EC2 Spot Instance Interruption Warning"),
    "state": ("aws.ec2", "EC2 Instance State-change Notification"),
    "reservation": ("aws.ec2", "EC2 Capacity Reservation Instance Interruption Warning"),
}
"""Source and kind of each event by the rule's name."""


def queue_name(site: Site) -> str:
    """Return the name of the queue."""
    return site.name("interruptions", limit=QUEUE_LIMIT)


def queue_arn(site: Site) -> str:
    """Return the ARN of the queue."""
    return site.arn("sqs", queue_name(site))


def rule_name(site: Site, event: str) -> str:
    """Return the name of an event's rule."""
    return site.name("nodes", event, limit=RULE_LIMIT)


def pattern(event: str) -> dict[str, Any]:
    """Return what a rule matches."""
    source, kind = EVENTS[event]
    return {"source": [source], "detail-type": [kind]}


def queue_policy(site: Site) -> str:
    """Return the queue's policy as JSON: our rules alone may write, and nobody without encryption on the way."""
    queue = queue_arn(site)
    rules = [site.arn("events", f"rule/{rule_name(site, each)}") for each in EVENTS]
    # By rule, whose ARN holds the account: EventBridge does not promise to name the account besides.
    conditions = {"ArnEquals": {"aws:SourceArn": rules}}
    plain = {"Bool": {"aws:SecureTransport": "false"}}
    made: str = document(
        Statement("Rules", ["sqs:SendMessage"], [queue], conditions, {"Service": "events.amazonaws.com"}, own=True),
        Statement("TlsOnly", ["sqs:*"], [queue], plain, {"AWS": "*"}, effect="Deny", own=True),
    )
    return made


class Interruptions(Component):
    """The queue and its rules."""

    def __init__(self, name: str, *, site: Site, opts: Any = None) -> None:
        super().__init__("Interruptions", name, site, opts)
        self.queue_name = queue_name(site)
        self.queue = aws.sqs.Queue(
            "interruptions",
            name=self.queue_name,
            message_retention_seconds=RETENTION_SECONDS,
            # SQS's own key: a key of ours would have to admit EventBridge, and what is on it is no secret.
            sqs_managed_sse_enabled=True,
            tags=self.tags,
            opts=self.child(),
        )
        policy = aws.sqs.QueuePolicy(
            "interruptions", queue_url=self.queue.url, policy=queue_policy(site), opts=self.child()
        )
        targets = [self._rule(event) for event in EVENTS]
        self.ready = [self.queue, policy, *targets]
        self.register_outputs({"queue": self.queue_name})

    def _rule(self, event: str) -> aws.cloudwatch.EventTarget:
        rule = aws.cloudwatch.EventRule(
            event,
            name=rule_name(self.site, event),
            description=f"{EVENTS[event][1]}, for Karpenter.",
            event_pattern=json.dumps(pattern(event), sort_keys=True),
            tags=self.tags,
            opts=self.child(),
        )
        return aws.cloudwatch.EventTarget(
            event, rule=rule.name, target_id="karpenter", arn=self.queue.arn, opts=self.child()
        )
