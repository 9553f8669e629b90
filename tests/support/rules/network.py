"""Rules on the network: ranges, ways in and out, zones."""

from __future__ import annotations

import itertools
from ipaddress import IPv4Network, ip_network

from capture import TOKEN, Graph, Made
from rules.base import Found, at, aws, first, kind, place, refs, rule


def _ranges(graph: Graph) -> list[IPv4Network]:
    written = [each.inputs.get("cidrBlock") for each in aws(graph, "ec2.Vpc", "ec2.VpcIpv4CidrBlockAssociation")]
    return [found for each in written if each and isinstance(found := ip_network(each), IPv4Network)]


@rule
def vpc_is_private(graph: Graph) -> Found:
    """A VPC is of RFC 1918, between /16 and /28, and resolves names: private endpoints need both DNS switches."""
    for each in aws(graph, "ec2.Vpc"):
        block = ip_network(each.inputs.get("cidrBlock", "0.0.0.0/0"))
        if not block.is_private or not 16 <= block.prefixlen <= 28:
            yield each.key, f"`cidrBlock` {block} is no private network of /16 to /28"
        for switch in ("enableDnsHostnames", "enableDnsSupport"):
            if each.inputs.get(switch) is not True:
                yield each.key, f"`{switch}` is off: endpoints inside the network have no names"


@rule
def subnets_are_inside(graph: Graph) -> Found:
    """A subnet lies in a range of its VPC, and overlaps no other."""
    ranges = _ranges(graph)
    blocks = [(each, ip_network(each.inputs["cidrBlock"])) for each in aws(graph, "ec2.Subnet")]
    for each, block in blocks:
        if not any(block.subnet_of(wide) for wide in ranges):  # type: ignore[arg-type]
            yield each.key, f"{block} lies in no range of the network"
        if not 16 <= block.prefixlen <= 28:
            yield each.key, f"{block} is not between /16 and /28"
    for (one, left), (other, right) in itertools.combinations(blocks, 2):
        if left.overlaps(right):
            yield one.key, f"{left} overlaps {right} of {other.key}"


@rule
def zones_are_of_the_region(graph: Graph) -> Found:
    """A subnet's zone is one of the region's; what must survive a zone's loss is in two."""
    here = place(graph)
    for each in aws(graph, "ec2.Subnet"):
        zone = str(each.inputs.get("availabilityZone", ""))
        if zone[:-1] != here.region or zone[-1:] not in set("abcdef"):
            yield each.key, f"zone {zone!r} is not in {here.region}"


@rule
def services_span_two_zones(graph: Graph) -> Found:
    """A cluster and a database ask for subnets in two zones at least."""
    zones = {each.key: each.inputs.get("availabilityZone") for each in aws(graph, "ec2.Subnet")}
    places = {"eks.Cluster": "vpcConfig.subnetIds", "rds.SubnetGroup": "subnetIds", "eks.NodeGroup": "subnetIds",
              "elasticache.SubnetGroup": "subnetIds"}  # fmt: skip
    for name, path in places.items():
        for each in aws(graph, name):
            if len(set(_subnet_zones(at(each.inputs, path), zones))) < 2:
                yield each.key, "has subnets in fewer than two zones"


def _subnet_zones(value: object, zones: dict[str, str | None]) -> list[str | None]:
    # An adopted subnet is a literal id: each stands in a zone of its own, as the spec asks.
    ids = value if isinstance(value, list) else []
    return [zones.get(next(iter(refs(each)), ""), str(each)) for each in ids]


@rule
def workers_are_private(graph: Graph) -> Found:
    """Nodes, databases and the cluster's interfaces stand in subnets that give nobody a public address."""
    public = {each.key for each in aws(graph, "ec2.Subnet") if each.inputs.get("mapPublicIpOnLaunch")}
    public |= _routed_to_gateway(graph)
    for each in aws(
        graph, "eks.Cluster", "eks.NodeGroup", "rds.SubnetGroup", "elasticache.SubnetGroup", "codebuild.Project"
    ):
        for key in refs(each.inputs) & public:
            yield each.key, f"stands in {key}, which is public"


def _routed_to_gateway(graph: Graph) -> set[str]:
    gateways = {each.key for each in aws(graph, "ec2.InternetGateway")}
    open_tables = {
        key for each in aws(graph, "ec2.Route") if refs(each.inputs) & gateways for key in refs(each.inputs) - gateways
    }
    open_tables |= {each.key for each in aws(graph, "ec2.RouteTable") if refs(each.inputs.get("routes")) & gateways}
    found = {kind("ec2.Subnet")}
    return {
        key
        for each in aws(graph, "ec2.RouteTableAssociation")
        if refs(each.inputs) & open_tables
        for key in refs(each.inputs)
        if key.partition("::")[0] in found
    }


@rule
def groups_open_where_said(graph: Graph) -> Found:
    """A way in names ports in range, and a network or group of this program: never every port to a range."""
    ranges = [str(each) for each in _ranges(graph)]
    for each, source, low, high, protocol in _ways_in(graph):
        if protocol != "-1" and not -1 <= low <= high <= 65_535:
            yield each.key, f"ports {low} to {high} are none"
        if source and not TOKEN.search(source) and source not in ranges and ranges:
            yield each.key, f"lets {source} in, which is not this network"
        if source and protocol == "-1":
            yield each.key, f"lets {source} in on every port"


def _ways_in(graph: Graph) -> list[tuple[Made, str, int, int, str]]:
    found = []
    for each in aws(graph, "vpc.SecurityGroupIngressRule"):
        source = str(each.inputs.get("cidrIpv4") or each.inputs.get("cidrIpv6") or "")
        found.append((each, source, *_ports(each.inputs, "ipProtocol")))
    for each in aws(graph, "ec2.SecurityGroupRule"):
        if each.inputs.get("type") == "ingress":
            found += [
                (each, source, *_ports(each.inputs, "protocol")) for source in each.inputs.get("cidrBlocks") or [""]
            ]
    for each in aws(graph, "ec2.SecurityGroup", "ec2.DefaultSecurityGroup"):
        for way in each.inputs.get("ingress") or []:
            found += [(each, source, *_ports(way, "protocol")) for source in way.get("cidrBlocks") or [""]]
    return found


def _ports(way: dict[str, object], protocol: str) -> tuple[int, int, str]:
    low, high = way.get("fromPort", 0), way.get("toPort", 0)
    return (low if isinstance(low, int) else -2), (high if isinstance(high, int) else -2), str(way.get(protocol))


@rule
def stores_answer_groups_only(graph: Graph) -> Found:
    """A database and an online store let in a security group, never addresses, and on one port."""
    stores = {
        key for each in aws(graph, "rds.Instance", "elasticache.ReplicationGroup")
        for key in refs([each.inputs.get("vpcSecurityGroupIds"), each.inputs.get("securityGroupIds")])
    }  # fmt: skip
    for each, source, low, high, _ in _ways_in(graph):
        if stores & {each.key, *refs(each.inputs.get("securityGroupId"))} and (source or low != high):
            yield each.key, "lets in more than a group on one port"


@rule
def default_group_is_closed(graph: Graph) -> Found:
    """What names no group of its own falls into the network's default one: it lets nothing in or out."""
    if aws(graph, "ec2.Vpc") and not aws(graph, "ec2.DefaultSecurityGroup"):
        yield "ec2.DefaultSecurityGroup", "is not taken over, and is open within itself"
    for each in aws(graph, "ec2.DefaultSecurityGroup"):
        if each.inputs.get("ingress") or each.inputs.get("egress"):
            yield each.key, "is not closed"


@rule
def ways_out_share_no_zone(graph: Graph) -> Found:
    """Outside `dev` each zone has its own way out: one zone's end is not everybody's. NATs stand in public subnets."""
    nats = aws(graph, "ec2.NatGateway")
    subnets = {each.key: each for each in aws(graph, "ec2.Subnet")}
    open_ones = _routed_to_gateway(graph)
    homes = {each.key: [subnets[key] for key in refs(each.inputs.get("subnetId")) if key in subnets] for each in nats}
    for each in nats:
        if any(home.key not in open_ones for home in homes[each.key]):
            yield each.key, "stands in a subnet without a way to the internet"
    if place(graph).is_dev or not nats:
        return
    zones = {home.inputs.get("availabilityZone") for found in homes.values() for home in found}
    for each in aws(graph, "ec2.Subnet"):
        if each.inputs.get("availabilityZone") not in zones:
            yield each.key, "its zone has no NAT of its own"


@rule
def subnets_are_routed(graph: Graph) -> Found:
    """A subnet without a route table of ours has the default one, which leads nowhere."""
    routed = {key for each in aws(graph, "ec2.RouteTableAssociation") for key in refs(each.inputs)}
    for each in aws(graph, "ec2.Subnet"):
        if each.key not in routed:
            yield each.key, "has no route table"


@rule
def storage_is_near(graph: Graph) -> Found:
    """Buckets are reached through a gateway endpoint from every private route table: NATs bill by the gigabyte."""
    if not aws(graph, "ec2.Vpc"):
        return
    near = [
        each for each in aws(graph, "ec2.VpcEndpoint")
        if str(each.inputs.get("serviceName", "")).endswith(".s3") and each.inputs.get("vpcEndpointType") == "Gateway"
    ]  # fmt: skip
    tables = {key for each in near for key in refs(each.inputs.get("routeTableIds"))}
    nats = {each.key for each in aws(graph, "ec2.NatGateway")}
    private = {key for each in aws(graph, "ec2.Route") if refs(each.inputs) & nats for key in refs(each.inputs) - nats}
    if not near:
        yield "ec2.VpcEndpoint", "there is no gateway endpoint for S3"
    for key in sorted(private - tables):
        yield key, "reaches S3 through a NAT"


@rule
def endpoints_are_of_services(graph: Graph) -> Found:
    """An endpoint's service is one of AWS's, in this region."""
    from botocore.session import Session

    known = {*Session().get_available_services(), *ENDPOINT_ONLY}
    here = place(graph)
    for each in aws(graph, "ec2.VpcEndpoint"):
        name = str(each.inputs.get("serviceName", ""))
        prefix, _, service = name.partition(f".{here.region}.")
        if prefix != "com.amazonaws" or service not in known:
            yield each.key, f"{name!r} is no service in {here.region}"


ENDPOINT_ONLY = {
    "ecr.api", "ecr.dkr", "elasticloadbalancing", "elasticfilesystem", "monitoring", "eks-auth", "ec2messages",
    "ssmmessages", "kinesis-streams", "kinesis-firehose", "git-codecommit",
}  # fmt: skip
"""Names of endpoint services that the API calls otherwise."""


@rule
def network_is_watched(graph: Graph) -> Found:
    """A network of ours keeps what it let in and what it refused."""
    watched = {key for each in aws(graph, "ec2.FlowLog") for key in refs(each.inputs.get("vpcId"))}
    for each in aws(graph, "ec2.Vpc"):
        if each.key not in watched:
            yield each.key, "has no flow log"
    for each in aws(graph, "ec2.FlowLog"):
        if each.inputs.get("trafficType") != "ALL":
            yield each.key, f"keeps only {each.inputs.get('trafficType')}"


@rule
def discovery_finds_something(graph: Graph) -> Found:
    """Karpenter finds subnets and groups by tags: every selector meets something that this program tags so."""
    tagged = {
        "subnetSelectorTerms": aws(graph, "ec2.Subnet", "ec2.Tag"),
        "securityGroupSelectorTerms": aws(graph, "ec2.SecurityGroup", "ec2.Tag", "eks.Cluster"),
    }
    if first(graph, "ec2.Vpc") is None:
        return
    for each in graph:
        if each.inputs.get("kind") != "EC2NodeClass":
            continue
        for field, candidates in tagged.items():
            for term in each.inputs["spec"].get(field) or [{}]:
                if not any(_meets(term, made) for made in candidates):
                    yield each.key, f"`{field}` {term} meets nothing"


def _meets(term: dict[str, object], made: Made) -> bool:
    tags = term.get("tags")
    if not isinstance(tags, dict):
        return made.key in refs(term) or any(str(term.get("id", "")) in key for key in [made.key] if term.get("id"))
    own = (
        {made.inputs.get("key"): made.inputs.get("value")}
        if made.type == kind("ec2.Tag")
        else made.inputs.get("tags", {})
    )
    return all(key in own and value in ("*", own[key]) for key, value in tags.items())
