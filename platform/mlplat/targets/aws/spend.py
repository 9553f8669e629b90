"""Spend: budgets for the stack and its teams, AWS's search for unusual cost, and the topic by which people hear.

A budget by tag counts nothing until the tag is switched on for cost allocation. AWS knows a tag a day after something
first carried it, and only the account that pays may switch it on: therefore that is a setting, for a later `up`, and
never part of the first.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import pulumi
import pulumi_aws as aws

from mlplat.spec.capacity import CostSpec, TeamSpec
from mlplat.targets.aws.component import Component
from mlplat.targets.aws.iam import Statement, document
from mlplat.targets.aws.keypolicies import PUBLISHERS
from mlplat.targets.aws.site import TAG, Site

TEAM = "mlplat:team"
"""Tag of what a team's workloads use."""


class Spend(Component):
    """Who hears of which cost."""

    def __init__(
        self,
        name: str,
        spec: CostSpec,
        *,
        site: Site,
        teams: Mapping[str, TeamSpec],
        key_arn: pulumi.Input[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("Spend", name, site, opts)
        self.spec = spec
        self.topic = self._topic(key_arn)
        self._subscribe()
        if spec.budget_usd is not None:
            self._budget("budget", spec.budget_usd, TAG, site.deployment)
        for team, settings in teams.items():
            if settings.monthly_usd is not None:
                self._budget(f"budget-{team}", settings.monthly_usd, TEAM, team_tag(site, team))
        if spec.anomaly_usd is not None:
            self._anomalies(spec.anomaly_usd)
        if spec.activate_tags:
            self._activate([TAG, TEAM])
        self.register_outputs({"topic": self.topic.arn})

    def _topic(self, key_arn: pulumi.Input[str]) -> aws.sns.Topic:
        topic = aws.sns.Topic(
            "alerts",
            name=self.site.name("alerts"),
            display_name=f"mlplat {self.site.stack}",
            kms_master_key_id=key_arn,
            tags=self.named("alerts"),
            opts=self.child(),
        )
        aws.sns.TopicPolicy(
            "alerts",
            arn=topic.arn,
            policy=document(self._publish(topic.arn), encrypted(topic.arn)),
            opts=self.child(),
        )
        return topic

    def _publish(self, arn: pulumi.Output[str]) -> Statement:
        services = [f"{each}.amazonaws.com" for each in PUBLISHERS]
        only = {"StringEquals": {"aws:SourceAccount": self.site.account}}
        return Statement("Publish", ["sns:Publish"], [arn], only, {"Service": services}, own=True)

    def _subscribe(self) -> None:
        for email in self.spec.emails:
            aws.sns.TopicSubscription(
                f"alerts-{email}", topic=self.topic.arn, protocol="email", endpoint=email, opts=self.child()
            )

    def _budget(self, name: str, usd: float, key: str, value: str) -> aws.budgets.Budget:
        return aws.budgets.Budget(
            name,
            name=self.site.name(name, limit=100),
            budget_type="COST",
            time_unit="MONTHLY",
            limit_amount=amount(usd),
            limit_unit="USD",
            cost_filters=[{"name": "TagKeyValue", "values": [f"user:{key}${value}"]}],
            notifications=[
                *(self._notification("ACTUAL", percent) for percent in self.spec.alert_percent),
                *(self._notification("FORECASTED", percent) for percent in self.spec.forecast_percent),
            ],
            tags=self.named(name),
            opts=self.child(),
        )

    def _notification(self, kind: str, percent: int) -> aws.budgets.BudgetNotificationArgsDict:
        # A subscription to the topic is silent until somebody confirms it: the last alert also goes straight to people.
        last = kind == "ACTUAL" and percent == max(self.spec.alert_percent)
        return {
            "comparison_operator": "GREATER_THAN",
            "notification_type": kind,
            "threshold": percent,
            "threshold_type": "PERCENTAGE",
            "subscriber_sns_topic_arns": [self.topic.arn],
            "subscriber_email_addresses": list(self.spec.emails) if last else [],
        }

    def _anomalies(self, usd: float) -> None:
        # Of the kind that looks at each service of the account there may be one, and somebody may have it already.
        monitor = aws.costexplorer.AnomalyMonitor(
            "anomalies",
            name=self.site.name("anomalies"),
            monitor_type="CUSTOM",
            monitor_specification=specification(TAG, self.site.deployment),
            tags=self.named("anomalies"),
            opts=self.child(),
        )
        aws.costexplorer.AnomalySubscription(
            "anomalies",
            name=self.site.name("anomalies"),
            # At once is only possible by a topic.
            frequency="IMMEDIATE",
            monitor_arn_lists=[monitor.arn],
            subscribers=[{"type": "SNS", "address": self.topic.arn}],
            threshold_expression={
                "dimension": {
                    "key": "ANOMALY_TOTAL_IMPACT_ABSOLUTE",
                    "match_options": ["GREATER_THAN_OR_EQUAL"],
                    "values": [amount(usd)],
                }
            },
            tags=self.named("anomalies"),
            opts=self.child(),
        )

    def _activate(self, keys: list[str]) -> None:
        for key in keys:
            aws.costexplorer.CostAllocationTag(
                key.replace(":", "-"),
                tag_key=key,
                status="Active",
                # The account has one of each, and another deployment may count by it.
                opts=self.child(retain_on_delete=True),
            )


def encrypted(arn: pulumi.Output[str]) -> Statement:
    """Return the statement that refuses whoever publishes without TLS; SNS takes no action but its topics' own here."""
    only = {"Bool": {"aws:SecureTransport": "false"}}
    return Statement("TlsOnly", ["sns:Publish"], [arn], only, {"AWS": "*"}, effect="Deny", own=True)


def amount(usd: float) -> str:
    """Return an amount of money as AWS writes it: a text, and a whole one without a point."""
    return f"{usd:.2f}".removesuffix(".00")


def specification(key: str, value: str) -> str:
    """Return what a monitor of cost looks at: whatever carries a tag."""
    return json.dumps({"Tags": {"Key": key, "Values": [value], "MatchOptions": ["EQUALS"]}}, sort_keys=True)


def team_tag(site: Site, team: str) -> str:
    """Return the value of a team's tag; teams of two deployments in one account have budgets of their own."""
    return f"{site.base}/{team}"
