"""Ways from the network to AWS's services that do not lead through the internet.

S3 and DynamoDB are reached by a route, which costs nothing. Where the network is isolated, each other service that the
platform calls gets an address in the private subnets, paid by the hour. IAM and the price list have none: Karpenter is
told so, and whoever runs `mlplat up` in such a network reaches IAM by another way.
"""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
import pulumi_aws as aws

from mlplat.spec.aws import AwsSpec
from mlplat.spec.aws.network import NetworkSpec
from mlplat.targets.aws.component import Component
from mlplat.targets.aws.iam import Statement, document
from mlplat.targets.aws.site import Site

ROUTED = ("s3", "dynamodb")
ADDRESSED = (
    "autoscaling",
    "ec2",
    "ec2messages",
    "ecr.api",
    "ecr.dkr",
    "eks",
    "eks-auth",
    "elasticloadbalancing",
    "kms",
    "logs",
    "monitoring",
    "secretsmanager",
    "sqs",
    "ssm",
    "ssmmessages",
    "sts",
)
"""Services that nodes, their add-ons and the platform's own services call."""
HTTPS = 443


def services(spec: AwsSpec) -> tuple[str, ...]:
    """Return the services that an isolated network needs an address of, as the last part of their names."""
    if not spec.network.isolated:
        return ()
    return (*ADDRESSED, *(("kinesis-streams", "kinesis-firehose") if spec.stream.enabled else ()))


class Endpoints(Component):
    """Routes to S3 and DynamoDB, and addresses of the other services where nothing else leads to them."""

    def __init__(
        self,
        name: str,
        spec: NetworkSpec,
        *,
        site: Site,
        vpc_id: pulumi.Input[str],
        cidrs: Sequence[str],
        subnet_ids: Sequence[pulumi.Input[str]],
        route_table_ids: Sequence[pulumi.Input[str]],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("Endpoints", name, site, opts)
        self.vpc_id = vpc_id
        # An adopted network's owner may have made the routes already, and then names no tables.
        routed = ROUTED if route_table_ids else ()
        self.ready: list[pulumi.Resource] = [self._routed(each, spec, route_table_ids) for each in routed]
        wanted = services(site.aws)
        if wanted:
            group = self._group(cidrs)
            self.ready += [self._addressed(each, group, subnet_ids) for each in wanted]
        self.register_outputs({})

    def _routed(
        self, service: str, spec: NetworkSpec, route_table_ids: Sequence[pulumi.Input[str]]
    ) -> aws.ec2.VpcEndpoint:
        return aws.ec2.VpcEndpoint(
            service,
            vpc_id=self.vpc_id,
            service_name=self._service(service),
            vpc_endpoint_type="Gateway",
            route_table_ids=list(route_table_ids),
            policy=perimeter(service, self.site) if spec.isolated else None,
            tags=self.named(self.site.name(service)),
            opts=self.child(),
        )

    def _addressed(
        self, service: str, group: aws.ec2.SecurityGroup, subnet_ids: Sequence[pulumi.Input[str]]
    ) -> aws.ec2.VpcEndpoint:
        return aws.ec2.VpcEndpoint(
            service.replace(".", "-"),
            vpc_id=self.vpc_id,
            service_name=self._service(service),
            vpc_endpoint_type="Interface",
            subnet_ids=list(subnet_ids),
            security_group_ids=[group.id],
            private_dns_enabled=True,
            tags=self.named(self.site.name(service.replace(".", "-"))),
            opts=self.child(),
        )

    def _group(self, cidrs: Sequence[str]) -> aws.ec2.SecurityGroup:
        name = self.site.name("endpoints", limit=255)
        group = aws.ec2.SecurityGroup(
            "services",
            name=name,
            description="Services of AWS, for whoever is in the network",
            vpc_id=self.vpc_id,
            tags=self.named(name),
            opts=self.child(),
        )
        for index, cidr in enumerate(cidrs):
            rule = aws.vpc.SecurityGroupIngressRule(
                f"services-{index}",
                security_group_id=group.id,
                description="HTTPS from the network",
                cidr_ipv4=cidr,
                ip_protocol="tcp",
                from_port=HTTPS,
                to_port=HTTPS,
                tags=self.tags,
                opts=self.child(),
            )
            self.ready.append(rule)
        return group

    def _service(self, service: str) -> str:
        return f"com.amazonaws.{self.site.region}.{service}"


def perimeter(service: str, site: Site) -> str:
    """Return the policy of an isolated network's route: only with this account's credentials, and AWS's own images.

    Whoever brings another account's credentials could otherwise carry data out by the one way that is open.
    """
    own = Statement(
        "Own",
        [f"{service}:*"],
        conditions={"StringEquals": {"aws:PrincipalAccount": site.account}},
        principals={"AWS": "*"},
        own=True,
    )
    # Layers of images lie in a bucket of ECR's, which hands out signed addresses of its own.
    layers = site.arn("s3", f"prod-{site.region}-starport-layer-bucket/*", region=False, account=False)
    images = Statement("ImageLayers", ["s3:GetObject"], [layers], principals={"AWS": "*"}, own=True)
    made: str = document(own, *([images] if service == "s3" else []))
    return made
