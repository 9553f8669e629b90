from __future__ import annotations

import json
from typing import Any

import pytest

import capture
from capture import Graph
from mlplat.spec.aws import AwsSpec
from mlplat.spec.aws.network import NetworkSpec
from mlplat.targets.aws.network import Network
from mlplat.targets.aws.site import Site

EXISTING = {
    "vpc_id": "vpc-0123456789abcdef0",
    "cidr": "10.1.0.0/16",
    "private_subnet_ids": ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"],
    "route_table_ids": ["rtb-0123456789abcdef0"],
}


def made(
    stream: bool = False, boundary: str | None = None, protected: bool = True, **network: Any
) -> tuple[Graph, Network]:
    """Return what a network declares, and the network itself."""
    written = {
        "account": "111122223333",
        "region": "eu-west-1",
        "environment": "dev",
        "protected": protected,
        "network": network,
        "stream": {"enabled": stream},
        "identities": {"boundary": boundary},
    }
    spec = AwsSpec.model_validate_json(json.dumps(written))
    site = Site("mlplat", "prod", "0123456789abcdef", spec)
    kept: list[Network] = []

    def program() -> None:
        key = "arn:aws:kms:eu-west-1:111122223333:key/logs"
        kept.append(Network("network", spec.network, site=site, logs_key_arn=key, opts=capture.provider()))

    return capture.run(program), kept[0]


def ways_out(graph: Graph) -> dict[str, str]:
    """Return by which gateway each table reaches the internet."""
    routes = [each.inputs for each in graph.of("aws:ec2/route:Route")]
    return {each["routeTableId"]: each.get("natGatewayId") or each["gatewayId"] for each in routes}


def names(graph: Graph, kind: str) -> set[str]:
    return {each.name for each in graph.of(kind)}


@pytest.mark.parametrize(
    ("nat", "zones", "gateways"),
    [
        ("single", ["a", "b"], {"a": "a", "b": "a"}),
        ("single", ["c", "a"], {"c": "c", "a": "c"}),
        ("per_zone", ["a", "b", "c"], {"a": "a", "b": "b", "c": "c"}),
    ],
)
def test_every_zone_leaves_by_the_gateway_that_the_spec_gives_it(
    nat: str, zones: list[str], gateways: dict[str, str]
) -> None:
    graph, _ = made(nat=nat, zones=zones)
    found = ways_out(graph)
    for zone, gateway in gateways.items():
        table = f"${{aws:ec2/routeTable:RouteTable::private-{zone}.id}}"
        assert found[table] == f"${{aws:ec2/natGateway:NatGateway::nat-{gateway}.id}}"
    assert names(graph, "aws:ec2/natGateway:NatGateway") == {f"nat-{each}" for each in set(gateways.values())}
    assert (
        len(graph.of("aws:ec2/eip:Eip"))
        == NetworkSpec.model_validate_json(json.dumps({"nat": nat, "zones": zones})).gateways
    )


def test_a_second_gateway_and_a_third_zone_change_routes_and_replace_nothing() -> None:
    before, _ = made(nat="single", zones=["a", "b"])
    after, _ = made(nat="per_zone", zones=["c", "a", "b"])
    now = {each.key: each for each in after}
    gone = {each.key for each in before} - set(now)
    assert gone == set()
    changed = {each.key for each in before if each.inputs != now[each.key].inputs}
    # The endpoints' routes are a list of tables, which is changed in place.
    assert changed == {
        "aws:ec2/route:Route::private-b",
        "aws:ec2/vpcEndpoint:VpcEndpoint::s3",
        "aws:ec2/vpcEndpoint:VpcEndpoint::dynamodb",
    }


def test_nodes_and_balancers_find_the_subnets_that_are_theirs() -> None:
    graph, _ = made(zones=["a", "b"], pod_cidr="100.64.0.0/16")
    tags = {each.name: each.inputs["tags"] for each in graph.of("aws:ec2/subnet:Subnet")}
    discovered = {name for name, found in tags.items() if found.get("karpenter.sh/discovery") == "mlplat-prod-012345"}
    assert discovered == {"private-a", "private-b"}
    assert {name for name, found in tags.items() if "kubernetes.io/role/internal-elb" in found} == discovered
    assert {name for name, found in tags.items() if "kubernetes.io/role/elb" in found} == {"public-a", "public-b"}
    assert {name for name, found in tags.items() if "kubernetes.io/role/cni" in found} == {"pods-a", "pods-b"}


def test_pods_leave_by_their_zone_s_way_and_come_after_their_range() -> None:
    graph, network = made(zones=["a", "b"], pod_cidr="100.64.0.0/16")
    for zone in "ab":
        route = graph.one("aws:ec2/routeTableAssociation:RouteTableAssociation", f"pods-{zone}")
        assert route.inputs["routeTableId"] == f"${{aws:ec2/routeTable:RouteTable::private-{zone}.id}}"
        before = graph.before(f"aws:ec2/subnet:Subnet::pods-{zone}")
        assert "aws:ec2/vpcIpv4CidrBlockAssociation:VpcIpv4CidrBlockAssociation::pods" in before
    assert len(network.pod_subnet_ids) == len(network.private_subnet_ids) == len(network.public_subnet_ids) == 2


def test_nothing_gets_a_public_address_by_itself_and_the_default_group_is_closed() -> None:
    graph, _ = made()
    assert not any(each.inputs["mapPublicIpOnLaunch"] for each in graph.of("aws:ec2/subnet:Subnet"))
    closed = graph.one("aws:ec2/defaultSecurityGroup:DefaultSecurityGroup").inputs
    assert (closed["ingress"], closed["egress"]) == ([], [])


@pytest.mark.parametrize("protected", [True, False])
def test_a_protected_network_is_not_replaced_by_an_edit_of_its_range(protected: bool) -> None:
    """Everything stands in it: another range would mean another cluster and another database."""
    graph, _ = made(protected=protected)
    vpc = graph.one("aws:ec2/vpc:Vpc")
    # Not kept when the platform ends: it holds nothing then, and its gateways cost money.
    assert (vpc.protect, vpc.retain_on_delete) == (protected, False)


def test_names_resolve_in_the_network_as_endpoints_and_the_cluster_ask() -> None:
    vpc = made()[0].one("aws:ec2/vpc:Vpc").inputs
    assert (vpc["enableDnsSupport"], vpc["enableDnsHostnames"]) == (True, True)


def test_s3_and_dynamodb_are_reached_by_a_route_from_every_zone() -> None:
    graph, _ = made(zones=["a", "b", "c"])
    for service in ("s3", "dynamodb"):
        endpoint = graph.one("aws:ec2/vpcEndpoint:VpcEndpoint", service).inputs
        assert endpoint["vpcEndpointType"] == "Gateway"
        assert endpoint["serviceName"] == f"com.amazonaws.eu-west-1.{service}"
        assert len(endpoint["routeTableIds"]) == 3
        # Whatever may leave for the internet may leave for any bucket: a policy here would refuse public data only.
        assert "policy" not in endpoint
    assert not graph.of("aws:ec2/securityGroup:SecurityGroup")


def test_an_isolated_network_has_no_way_out_and_an_address_of_every_service() -> None:
    graph, network = made(isolated=True, zones=["a", "b"], pod_cidr="100.64.0.0/16")
    assert not ways_out(graph)
    assert not names(graph, "aws:ec2/internetGateway:InternetGateway")
    assert network.public_subnet_ids == []
    addressed = [
        each.inputs
        for each in graph.of("aws:ec2/vpcEndpoint:VpcEndpoint")
        if each.inputs["vpcEndpointType"] == "Interface"
    ]
    services = {each["serviceName"].removeprefix("com.amazonaws.eu-west-1.") for each in addressed}
    nodes = {"ec2", "ecr.api", "ecr.dkr", "sts", "ssm", "sqs", "eks", "eks-auth", "logs", "kms", "secretsmanager"}
    assert services >= nodes | {"elasticloadbalancing"}
    for each in addressed:
        assert each["privateDnsEnabled"] is True
        assert len(each["subnetIds"]) == 2
    rules = [each.inputs for each in graph.of("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule")]
    assert {each["cidrIpv4"] for each in rules} == {"10.64.0.0/16", "100.64.0.0/16"}
    assert {(each["ipProtocol"], each["fromPort"], each["toPort"]) for each in rules} == {("tcp", 443, 443)}


@pytest.mark.parametrize(("stream", "wanted"), [(True, {"kinesis-streams", "kinesis-firehose"}), (False, set())])
def test_a_stream_is_reached_where_there_is_one(stream: bool, wanted: set[str]) -> None:
    graph, _ = made(isolated=True, stream=stream)
    assert {each for each in names(graph, "aws:ec2/vpcEndpoint:VpcEndpoint") if "kinesis" in each} == wanted


def test_data_leaves_an_isolated_network_with_no_credentials_of_another_account() -> None:
    graph, _ = made(isolated=True)
    policy = json.loads(graph.one("aws:ec2/vpcEndpoint:VpcEndpoint", "s3").inputs["policy"])
    own, layers = policy["Statement"]
    assert own["Condition"] == {"StringEquals": {"aws:PrincipalAccount": "111122223333"}}
    # Layers of images come from ECR's own bucket, by addresses that ECR has signed.
    assert layers["Resource"] == ["arn:aws:s3:::prod-eu-west-1-starport-layer-bucket/*"]
    assert layers["Action"] == ["s3:GetObject"]


def test_an_existing_network_is_adopted_and_nothing_of_it_is_made_or_changed() -> None:
    graph, network = made(existing=EXISTING, zones=["a", "b"])
    kinds = {each.type for each in graph if each.type.startswith("aws:ec2/")}
    assert kinds == {"aws:ec2/vpcEndpoint:VpcEndpoint", "aws:ec2/flowLog:FlowLog"}
    assert network.vpc_id == EXISTING["vpc_id"]
    assert network.cidr == "10.1.0.0/16"
    assert network.private_subnet_ids == EXISTING["private_subnet_ids"]
    endpoint = graph.one("aws:ec2/vpcEndpoint:VpcEndpoint", "s3").inputs
    assert endpoint["routeTableIds"] == ["rtb-0123456789abcdef0"]


def test_an_existing_network_without_tables_keeps_its_own_ways_to_s3() -> None:
    graph, _ = made(existing={**EXISTING, "route_table_ids": []}, zones=["a", "b"])
    assert not graph.of("aws:ec2/vpcEndpoint:VpcEndpoint")


def test_an_isolated_existing_network_gets_the_addresses_in_its_own_subnets() -> None:
    graph, _ = made(existing=EXISTING, zones=["a", "b"], isolated=True)
    endpoint = graph.one("aws:ec2/vpcEndpoint:VpcEndpoint", "eks-auth").inputs
    assert endpoint["subnetIds"] == EXISTING["private_subnet_ids"]
    rule = graph.one("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule").inputs
    assert rule["cidrIpv4"] == "10.1.0.0/16"


def test_whatever_waits_for_the_network_waits_for_its_ways_out() -> None:
    """A node that starts before its route never joins, and one that outlives it is stranded."""
    graph, network = made(zones=["a", "b"], nat="single")
    waiting = {each._name for each in network.ready}
    assert waiting >= {"nat-a", "private-a", "private-b", "public", "s3", "dynamodb"}
    kinds = {type(each).__name__ for each in network.ready}
    assert kinds == {"NatGateway", "Route", "RouteTableAssociation", "VpcEndpoint"}
    assert len(network.ready) == 1 + 3 + 4 + 2
    assert graph.before("aws:ec2/natGateway:NatGateway::nat-a") >= {"aws:ec2/internetGateway:InternetGateway::internet"}


@pytest.mark.parametrize(("days", "kept"), [(90, 90), (8, 14), (1, 1), (3653, 3653)])
def test_flow_logs_are_encrypted_and_kept_for_as_long_as_asked(days: int, kept: int) -> None:
    graph, _ = made(flow_log_days=days)
    group = graph.one("aws:cloudwatch/logGroup:LogGroup").inputs
    assert group["retentionInDays"] == kept
    assert group["kmsKeyId"].endswith("key/logs")
    flow = graph.one("aws:ec2/flowLog:FlowLog").inputs
    assert flow["trafficType"] == "ALL"


def test_no_flow_logs_make_nothing_that_is_paid_for() -> None:
    graph, _ = made(flow_log_days=0)
    assert not graph.of("aws:cloudwatch/logGroup:LogGroup")
    assert not graph.of("aws:iam/role:Role")


def test_the_role_of_flow_logs_is_taken_for_this_account_only_and_writes_one_group() -> None:
    boundary = "arn:aws:iam::111122223333:policy/boundary"
    graph, _ = made(boundary=boundary)
    role = graph.one("aws:iam/role:Role").inputs
    [trust] = json.loads(role["assumeRolePolicy"])["Statement"]
    assert trust["Condition"]["StringEquals"] == {"aws:SourceAccount": "111122223333"}
    assert role["permissionsBoundary"] == boundary
    [write, _] = json.loads(graph.one("aws:iam/rolePolicy:RolePolicy").inputs["policy"])["Statement"]
    assert write["Resource"] == [
        "arn:aws:logs:eu-west-1:111122223333:log-group:/aws/vpc/mlplat-prod-012345-flow-logs:*"
    ]
