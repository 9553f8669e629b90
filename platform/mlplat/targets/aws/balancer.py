"""What the AWS Load Balancer Controller may do: network load balancers for services of its cluster, nothing else.

Upstream's policy also holds what application load balancers, certificates found by name, WAF and Shield ask for; those
features are off in our values. What it makes carries the cluster's tag, and it may change nothing without it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mlplat.targets.aws.iam import Statement
from mlplat.targets.aws.karpenter_policies import OWNED, owned_tag
from mlplat.targets.aws.site import Site

SERVICE_ACCOUNT = "aws-load-balancer-controller"
TAG = "elbv2.k8s.aws/cluster"
LINKED = "aws-service-role/elasticloadbalancing.amazonaws.com/AWSServiceRoleForElasticLoadBalancing"
EC2_READS = (
    *("AccountAttributes", "Addresses", "AvailabilityZones", "InternetGateways", "Vpcs", "VpcPeeringConnections"),
    *("Subnets", "SecurityGroups", "Instances", "NetworkInterfaces", "Tags", "RouteTables"),
)
ELB_READS = (
    *("LoadBalancers", "LoadBalancerAttributes", "Listeners", "ListenerCertificates", "ListenerAttributes"),
    *("SSLPolicies", "Rules", "TargetGroups", "TargetGroupAttributes", "TargetHealth", "Tags", "CapacityReservation"),
)


def policies(site: Site, cluster: str) -> Mapping[str, Sequence[Statement]]:
    """Return the statements of each policy by its name."""
    return {"balancers": _balancers(site, cluster), "groups": _groups(site, cluster)}


def _balancers(site: Site, cluster: str) -> list[Statement]:
    balancers, groups, listeners = (
        [site.arn("elasticloadbalancing", each)] for each in ("loadbalancer/net/*", "targetgroup/*", "listener/net/*")
    )
    asked, ours = _tag("aws:RequestTag", cluster), _tag("aws:ResourceTag", cluster)
    creates = {"StringEquals": {**asked["StringEquals"], "elasticloadbalancing:CreateAction": _creations()}}
    return [
        Statement("Read", [f"elasticloadbalancing:Describe{each}" for each in ELB_READS]),
        Statement("Make", _elb("CreateLoadBalancer", "CreateTargetGroup"), [*balancers, *groups], asked),
        Statement("Listen", _elb("CreateListener"), balancers, ours),
        Statement("TagNew", _elb("AddTags"), [*balancers, *groups, *listeners], creates),
        Statement("Tag", _elb("AddTags", "RemoveTags"), [*balancers, *groups, *listeners], ours),
        Statement("Listeners", _elb(*_LISTENER), listeners, ours),
        Statement("Balancers", _elb(*_BALANCER), balancers, ours),
        Statement("Groups", _elb(*_GROUP), groups, ours),
        Statement(
            "FirstEver",
            ["iam:CreateServiceLinkedRole"],
            [site.arn("iam", f"role/{LINKED}", region=False)],
            {"StringEquals": {"iam:AWSServiceName": "elasticloadbalancing.amazonaws.com"}},
        ),
    ]


_LISTENER = (
    *("DeleteListener", "ModifyListener", "ModifyListenerAttributes"),
    *("AddListenerCertificates", "RemoveListenerCertificates"),
)
_BALANCER = (
    *("DeleteLoadBalancer", "ModifyLoadBalancerAttributes", "ModifyCapacityReservation"),
    *("SetIpAddressType", "SetSecurityGroups", "SetSubnets"),
)
_GROUP = (
    *("DeleteTargetGroup", "ModifyTargetGroup", "ModifyTargetGroupAttributes"),
    *("RegisterTargets", "DeregisterTargets"),
)


def _groups(site: Site, cluster: str) -> list[Statement]:
    groups = [site.arn("ec2", "security-group/*")]
    rules = ["ec2:AuthorizeSecurityGroupIngress", "ec2:RevokeSecurityGroupIngress"]
    asked, ours = _tag("aws:RequestTag", cluster), _tag("aws:ResourceTag", cluster)
    creates = {"StringEquals": {**asked["StringEquals"], "ec2:CreateAction": "CreateSecurityGroup"}}
    nodes = {"StringEquals": {f"aws:ResourceTag/{owned_tag(cluster)}": OWNED}}
    return [
        Statement("Read", [f"ec2:Describe{each}" for each in EC2_READS]),
        Statement("ReadGroups", ["ec2:GetSecurityGroupsForVpc"], [site.arn("ec2", "vpc/*")]),
        Statement("Make", ["ec2:CreateSecurityGroup"], groups, asked),
        Statement("MakeIn", ["ec2:CreateSecurityGroup"], [site.arn("ec2", "vpc/*")]),
        Statement("TagNew", ["ec2:CreateTags"], groups, creates),
        Statement("Tag", ["ec2:CreateTags", "ec2:DeleteTags"], groups, ours),
        Statement("Own", [*rules, "ec2:DeleteSecurityGroup"], groups, ours),
        # The nodes' group, which EKS made: it must let the balancer's traffic in.
        Statement("Nodes", rules, groups, nodes),
    ]


def _creations() -> list[str]:
    return ["CreateLoadBalancer", "CreateTargetGroup", "CreateListener"]


def _elb(*actions: str) -> list[str]:
    return [f"elasticloadbalancing:{each}" for each in actions]


def _tag(kind: str, cluster: str) -> dict[str, dict[str, Any]]:
    return {"StringEquals": {f"{kind}/{TAG}": cluster}}
