"""The network: private subnets for everything that works, public ones for gateways, and the ways out.

A network that is there already is adopted by its ids: nothing of it is changed, and its subnets are not tagged, since
they are somebody else's. Its flow logs and, where it is isolated, the endpoints are still made here.
"""

from __future__ import annotations

from typing import Any

import pulumi
import pulumi_aws as aws

from mlplat.spec.aws.network import ExistingNetworkSpec, NetworkSpec
from mlplat.targets.aws.component import Component
from mlplat.targets.aws.endpoints import Endpoints
from mlplat.targets.aws.flowlogs import FlowLogs
from mlplat.targets.aws.site import Site
from mlplat.targets.aws.subnets import Subnets, subnets

DISCOVERY = "karpenter.sh/discovery"
"""Tag by which Karpenter finds the subnets of its nodes: its value is the cluster's name."""
INTERNAL_BALANCERS = "kubernetes.io/role/internal-elb"
PUBLIC_BALANCERS = "kubernetes.io/role/elb"
PODS = "kubernetes.io/role/cni"
"""Tag of a subnet from which the VPC CNI takes addresses for pods, without making nodes in it."""
EVERYWHERE = "0.0.0.0/0"


class Network(Component):
    """A VPC with its subnets and routes, or an existing one by its ids."""

    def __init__(
        self,
        name: str,
        spec: NetworkSpec,
        *,
        site: Site,
        logs_key_arn: pulumi.Input[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("Network", name, site, opts)
        self.spec = spec
        self.ready: list[pulumi.Resource] = []
        """Routes, gateways and endpoints: whatever needs the network to work depends on them, and goes before them."""
        self.vpc_id: pulumi.Input[str]
        self.cidr: str = spec.existing.cidr if spec.existing else spec.cidr
        self.private_subnet_ids: list[pulumi.Input[str]] = []
        self.public_subnet_ids: list[pulumi.Input[str]] = []
        self.pod_subnet_ids: list[pulumi.Input[str]] = []
        self._tables: list[pulumi.Input[str]] = []
        if spec.existing:
            self._adopt(spec.existing)
        else:
            self._make()
        self._endpoints()
        if spec.flow_log_days:
            FlowLogs("flow-logs", spec, site=site, vpc_id=self.vpc_id, key_arn=logs_key_arn, opts=self.child())
        outputs = {"vpc_id": self.vpc_id, "private_subnet_ids": self.private_subnet_ids}
        self.register_outputs({**outputs, "public_subnet_ids": self.public_subnet_ids})

    def _adopt(self, network: ExistingNetworkSpec) -> None:
        self.vpc_id = network.vpc_id
        self.private_subnet_ids = [*network.private_subnet_ids]
        self.public_subnet_ids = [*network.public_subnet_ids]
        self._tables = [*network.route_table_ids]

    def _make(self) -> None:
        vpc = aws.ec2.Vpc(
            "vpc",
            cidr_block=self.spec.cidr,
            enable_dns_support=True,
            # Without host names the endpoints' private names do not resolve, and EKS's private address does not either.
            enable_dns_hostnames=True,
            tags=self.named(self.site.name()),
            # Another range would be another VPC, and with it another of everything.
            opts=self.child(protect=self.site.protected),
        )
        self.vpc_id = vpc.id
        # What nobody put into a group of its own talks to nobody.
        aws.ec2.DefaultSecurityGroup(
            "default",
            vpc_id=vpc.id,
            ingress=[],
            egress=[],
            tags=self.named(self.site.name("closed")),
            opts=self.child(),
        )
        pods = self._pod_range(vpc)
        gateways = self._public(vpc) if not self.spec.isolated else {}
        for index, letter in enumerate(self.spec.zones):
            self._zone(vpc, letter, pods)
            if gateways:
                way = gateways.get(letter, next(iter(gateways.values())))
                self._route(f"private-{letter}", self._tables[index], nat_gateway_id=way.id)

    def _zone(self, vpc: aws.ec2.Vpc, letter: str, pods: aws.ec2.VpcIpv4CidrBlockAssociation | None) -> None:
        from mlplat.targets.aws.cluster import cluster_name

        ranges = self._ranges(letter)
        found = {DISCOVERY: cluster_name(self.site), INTERNAL_BALANCERS: "1"}
        private = self._subnet("private", letter, vpc, ranges.private, found)
        # One table a zone even with a single gateway: a second one later changes routes, and no subnet's table.
        table = self._table(f"private-{letter}", vpc)
        self.private_subnet_ids.append(private.id)
        self._tables.append(table.id)
        self._associate(f"private-{letter}", private, table)
        if pods and ranges.pods:
            subnet = self._subnet("pods", letter, vpc, ranges.pods, {PODS: "1"}, depends_on=[pods])
            self.pod_subnet_ids.append(subnet.id)
            self._associate(f"pods-{letter}", subnet, table)

    def _public(self, vpc: aws.ec2.Vpc) -> dict[str, aws.ec2.NatGateway]:
        internet = aws.ec2.InternetGateway(
            "internet", vpc_id=vpc.id, tags=self.named(self.site.name("internet")), opts=self.child()
        )
        table = self._table("public", vpc)
        self._route("public", table.id, gateway_id=internet.id)
        made: dict[str, aws.ec2.NatGateway] = {}
        for letter in self.spec.zones:
            subnet = self._subnet("public", letter, vpc, self._ranges(letter).public, {PUBLIC_BALANCERS: "1"})
            self._associate(f"public-{letter}", subnet, table)
            self.public_subnet_ids.append(subnet.id)
            if len(made) < self.spec.gateways:
                made[letter] = self._nat(letter, subnet, internet)
        return made

    def _nat(self, letter: str, subnet: aws.ec2.Subnet, internet: aws.ec2.InternetGateway) -> aws.ec2.NatGateway:
        tags = self.named(self.site.name("nat", letter))
        # An address can be taken from a VPC only while its internet gateway is there.
        address = aws.ec2.Eip(f"nat-{letter}", domain="vpc", tags=tags, opts=self.child(depends_on=[internet]))
        made = aws.ec2.NatGateway(
            f"nat-{letter}",
            subnet_id=subnet.id,
            allocation_id=address.id,
            tags=tags,
            opts=self.child(depends_on=[internet]),
        )
        self.ready.append(made)
        return made

    def _pod_range(self, vpc: aws.ec2.Vpc) -> aws.ec2.VpcIpv4CidrBlockAssociation | None:
        if not self.spec.pod_cidr:
            return None
        return aws.ec2.VpcIpv4CidrBlockAssociation(
            "pods", vpc_id=vpc.id, cidr_block=self.spec.pod_cidr, opts=self.child()
        )

    def _ranges(self, letter: str) -> Subnets:
        return subnets(self.spec.cidr, letter, self.spec.pod_cidr)

    def _subnet(
        self, kind: str, letter: str, vpc: aws.ec2.Vpc, cidr: str, tags: dict[str, str], **options: Any
    ) -> aws.ec2.Subnet:
        return aws.ec2.Subnet(
            f"{kind}-{letter}",
            vpc_id=vpc.id,
            cidr_block=cidr,
            availability_zone=f"{self.site.region}{letter}",
            map_public_ip_on_launch=False,
            tags={**self.named(self.site.name(kind, letter)), **tags},
            opts=self.child(**options),
        )

    def _table(self, name: str, vpc: aws.ec2.Vpc) -> aws.ec2.RouteTable:
        return aws.ec2.RouteTable(name, vpc_id=vpc.id, tags=self.named(self.site.name(name)), opts=self.child())

    def _route(self, name: str, table: pulumi.Input[str], **way: pulumi.Input[str]) -> None:
        made = aws.ec2.Route(name, route_table_id=table, destination_cidr_block=EVERYWHERE, opts=self.child(), **way)
        self.ready.append(made)

    def _associate(self, name: str, subnet: aws.ec2.Subnet, table: aws.ec2.RouteTable) -> None:
        made = aws.ec2.RouteTableAssociation(name, subnet_id=subnet.id, route_table_id=table.id, opts=self.child())
        self.ready.append(made)

    def _endpoints(self) -> None:
        made = Endpoints(
            "endpoints",
            self.spec,
            site=self.site,
            vpc_id=self.vpc_id,
            cidrs=[self.cidr, *([self.spec.pod_cidr] if self.spec.pod_cidr else [])],
            subnet_ids=self.private_subnet_ids,
            route_table_ids=self._tables,
            opts=self.child(),
        )
        self.ready += made.ready
