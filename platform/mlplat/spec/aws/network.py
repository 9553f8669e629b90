"""The network of an AWS platform."""

from __future__ import annotations

from ipaddress import IPv4Network, ip_network
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from mlplat.spec.base import Spec

PRIVATE_NETWORKS = tuple(ip_network(each) for each in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))
POD_NETWORK = ip_network("100.64.0.0/10")
LARGEST, SMALLEST = 16, 22
"""AWS makes networks from /16 on; a /22 still has room for nodes in three zones."""


def _cidr(text: str) -> str:
    ip_network(text)
    return text


def _private(text: str) -> str:
    found = ip_network(text)
    if not isinstance(found, IPv4Network) or not any(found.subnet_of(each) for each in PRIVATE_NETWORKS):  # type: ignore[arg-type]
        raise ValueError(f"{text} is no private network (RFC 1918)")
    return text


def _network(text: str) -> str:
    if not LARGEST <= ip_network(_private(text)).prefixlen <= SMALLEST:
        raise ValueError(f"{text} is not between /{LARGEST} and /{SMALLEST}")
    return text


def _pods(text: str) -> str:
    found = ip_network(text)
    if not isinstance(found, IPv4Network) or not found.subnet_of(POD_NETWORK) or found.prefixlen != LARGEST:  # type: ignore[arg-type]
        raise ValueError(f"{text} is no /{LARGEST} inside {POD_NETWORK}")
    return text


Cidr = Annotated[str, AfterValidator(_cidr)]
"""A range of IPv4 or IPv6 addresses."""
PrivateCidr = Annotated[str, AfterValidator(_private)]
NetworkCidr = Annotated[str, AfterValidator(_network)]
PodCidr = Annotated[str, AfterValidator(_pods)]
Zone = Annotated[str, StringConstraints(pattern=r"^[a-f]$")]
VpcId = Annotated[str, StringConstraints(pattern=r"^vpc-[0-9a-f]{8,17}$")]
SubnetId = Annotated[str, StringConstraints(pattern=r"^subnet-[0-9a-f]{8,17}$")]
RouteTableId = Annotated[str, StringConstraints(pattern=r"^rtb-[0-9a-f]{8,17}$")]


class ExistingNetworkSpec(Spec):
    """A network that somebody else made and keeps."""

    vpc_id: VpcId = Field(description="The VPC.")
    cidr: PrivateCidr = Field(description="Its range of addresses.")
    private_subnet_ids: list[SubnetId] = Field(
        min_length=2, description="Subnets for nodes and databases, one a zone in the order of `zones`."
    )
    public_subnet_ids: list[SubnetId] = Field(
        [], description="Subnets for a public load balancer; empty where there is to be none."
    )
    route_table_ids: list[RouteTableId] = Field(
        [],
        description="Route tables of the private subnets, which then get routes to S3 and DynamoDB; empty, they keep"
        " those that they have.",
    )


class NetworkSpec(Spec):
    """A VPC with private subnets for everything that works, and public ones for what must be reached."""

    cidr: NetworkCidr = Field("10.64.0.0/16", description="Private range of the VPC, /16 to /22.")
    pod_cidr: PodCidr | None = Field(
        None,
        description="Second range, inside 100.64.0.0/10, from which pods take addresses; unset, they share `cidr`.",
    )
    zones: list[Zone] = Field(
        ["a", "b", "c"], min_length=2, max_length=3, description="Letters of the availability zones, two or three."
    )
    nat: Literal["none", "single", "per_zone"] = Field(
        "per_zone", description="Ways out to the internet: `single` is cheaper, and is lost with its zone."
    )
    isolated: bool = Field(
        False, description="Whether nothing leaves for the internet: AWS's services get endpoints inside the network."
    )
    flow_log_days: Annotated[int, Field(ge=0, le=3653)] = Field(
        90, description="Days for which accepted and refused connections are kept; 0 keeps none."
    )
    existing: ExistingNetworkSpec | None = Field(
        None, description="A network to stand in, instead of making one; only its endpoints and flow logs stay its own."
    )

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.isolated and "nat" in self.model_fields_set and self.nat != "none":
            raise ValueError("`isolated: true` and a NAT exclude each other")
        if not self.isolated and self.nat == "none" and self.existing is None:
            raise ValueError("`nat: none` cuts the nodes off unless `isolated: true` gives them endpoints")
        if len(set(self.zones)) != len(self.zones):
            raise ValueError("`zones` names one twice")
        if self.existing and (own := sorted({"cidr", "nat", "pod_cidr"} & self.model_fields_set)):
            raise ValueError(f"`{own[0]}` is an existing network's own to say: leave it out beside `existing`")
        if self.existing and len(self.existing.private_subnet_ids) != len(self.zones):
            raise ValueError("`existing.private_subnet_ids` must name one subnet for each of `zones`")
        return self

    @property
    def gateways(self) -> int:
        """Return how many NAT gateways are made."""
        if self.isolated or self.existing or self.nat == "none":
            return 0
        return 1 if self.nat == "single" else len(self.zones)
