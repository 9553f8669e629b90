"""Faults of the network: ranges, zones, ways in and out. Each field is legal by itself."""

from __future__ import annotations

from faults.base import Fault, rule

NETWORK: list[Fault] = [
    rule("vpc_is_private", "names switched off", "ec2.Vpc", {"enableDnsHostnames": False}),
    rule("vpc_is_private", "network of a whole class A, adopted by hand", "ec2.Vpc", {"cidrBlock": "10.0.0.0/8"}),
    rule("subnets_are_inside", "subnet outside the network", "ec2.Subnet/private-b", {"cidrBlock": "10.99.0.0/18"}),
    rule(
        "subnets_are_inside",
        "subnet over another",
        "ec2.Subnet/private-b",
        {"cidrBlock": "10.64.0.0/18"},
        says="overlaps",
    ),
    rule(
        "zones_are_of_the_region", "zone of another region", "ec2.Subnet/private-a", {"availabilityZone": "eu-west-3a"}
    ),
    rule(
        "services_span_two_zones",
        "database in one zone",
        "rds.SubnetGroup",
        {"subnetIds": ["subnet-0123456789abcdef0"]},
    ),
    rule("workers_are_private", "nodes in the open", "ec2.Subnet/private-a", {"mapPublicIpOnLaunch": True}),
    rule(
        "workers_are_private",
        "database in public subnets",
        "rds.SubnetGroup",
        {"subnetIds": ["${aws:ec2/subnet:Subnet::public-a.id}", "${aws:ec2/subnet:Subnet::public-b.id}"]},
    ),
    rule("groups_open_where_said", "port that there is not", "vpc.SecurityGroupIngressRule", {"toPort": 70_000}),
    rule(
        "groups_open_where_said",
        "database open to a neighbour",
        "vpc.SecurityGroupIngressRule",
        {"cidrIpv4": "10.0.0.0/8"},
    ),
    rule(
        "stores_answer_groups_only",
        "database open to the whole network",
        "vpc.SecurityGroupIngressRule/database",
        {"cidrIpv4": "10.64.0.0/16"},
    ),
    rule(
        "nothing_is_open_outside_dev",
        "database open to everybody",
        "vpc.SecurityGroupIngressRule/database",
        {"cidrIpv4": "0.0.0.0/0"},
    ),
    rule(
        "nothing_is_open_outside_dev",
        "API open to everybody",
        "eks.Cluster",
        {"vpcConfig.publicAccessCidrs": ["0.0.0.0/0"]},
    ),
    rule("default_group_is_closed", "default group left alone", "ec2.DefaultSecurityGroup", gone=True),
    rule("ways_out_share_no_zone", "one way out for three zones", "ec2.NatGateway/nat-b", gone=True),
    rule(
        "ways_out_share_no_zone",
        "way out in a private subnet",
        "ec2.NatGateway/nat-b",
        {"subnetId": "${aws:ec2/subnet:Subnet::private-b.id}"},
        says="without a way",
    ),
    rule("subnets_are_routed", "subnet without a route table", "ec2.RouteTableAssociation/private-b", gone=True),
    rule("storage_is_near", "buckets reached through the NAT", "ec2.VpcEndpoint/s3", gone=True),
    rule(
        "endpoints_are_of_services",
        "endpoint of no service",
        "ec2.VpcEndpoint/s3",
        {"serviceName": "com.amazonaws.eu-west-1.s4"},
    ),
    rule(
        "endpoints_are_of_services",
        "endpoint elsewhere",
        "ec2.VpcEndpoint/s3",
        {"serviceName": "com.amazonaws.eu-west-2.s3"},
    ),
    rule("network_is_watched", "no flow log", "ec2.FlowLog", gone=True),
    rule("network_is_watched", "only what was refused", "ec2.FlowLog", {"trafficType": "REJECT"}),
    rule("discovery_finds_something", "discovery tag missing", "ec2.Tag/discovery", gone=True),
]
