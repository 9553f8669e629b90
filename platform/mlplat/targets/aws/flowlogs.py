"""Who talked with whom in the network, and who was refused."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from mlplat.spec.aws.network import NetworkSpec
from mlplat.targets.aws.component import Component
from mlplat.targets.aws.iam import Statement, document, trusted
from mlplat.targets.aws.logs import retention
from mlplat.targets.aws.site import Site

AGGREGATION_SECONDS = 600
"""The longer of the two times there are: a tenth of the records, and of their price."""


class FlowLogs(Component):
    """Flow logs of a VPC in a log group of their own, and the role that writes them."""

    def __init__(
        self,
        name: str,
        spec: NetworkSpec,
        *,
        site: Site,
        vpc_id: pulumi.Input[str],
        key_arn: pulumi.Input[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("FlowLogs", name, site, opts)
        group_name = f"/aws/vpc/{site.name('flow-logs')}"
        group = aws.cloudwatch.LogGroup(
            name,
            name=group_name,
            retention_in_days=retention(spec.flow_log_days),
            kms_key_id=key_arn,
            tags=self.tags,
            opts=self.child(),
        )
        role = self._role(name, site.arn("logs", f"log-group:{group_name}:*"))
        aws.ec2.FlowLog(
            name,
            vpc_id=vpc_id,
            traffic_type="ALL",
            log_destination_type="cloud-watch-logs",
            log_destination=group.arn,
            iam_role_arn=role.arn,
            max_aggregation_interval=AGGREGATION_SECONDS,
            tags=self.named(site.name("flow-logs")),
            opts=self.child(),
        )
        self.register_outputs({"log_group": group_name})

    def _role(self, name: str, streams: str) -> aws.iam.Role:
        source = self.site.arn("ec2", "vpc-flow-log/*")
        role = aws.iam.Role(
            name,
            name=self.site.name("flow-logs", limit=64),
            description="Writes the network's flow logs",
            assume_role_policy=trusted("vpc-flow-logs.amazonaws.com", account=self.site.account, source=source),
            permissions_boundary=self.site.aws.identities.boundary,
            tags=self.tags,
            opts=self.child(),
        )
        writes = ["logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"]
        looks = Statement("Look", ["logs:DescribeLogGroups"])
        aws.iam.RolePolicy(
            name, role=role.name, policy=document(Statement("Write", writes, [streams]), looks), opts=self.child()
        )
        return role
