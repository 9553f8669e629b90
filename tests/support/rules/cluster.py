"""Rules on the cluster: its settings, the order of its parts, who is let in."""

from __future__ import annotations

import json
import re
from typing import Any

from capture import Graph, Made
from rules.base import Found, ancestors, at, aws, customs, first, kind, listed, objects, place, refs, rule

BEFORE_NODES = ("vpc-cni", "eks-pod-identity-agent", "kube-proxy")
"""Add-ons without which a node never becomes ready, or its first pods have no role."""
AFTER_NODES = ("coredns", "aws-ebs-csi-driver", "metrics-server")
"""Add-ons whose pods need a node to be healthy on."""
MINORS = ("1.33", "1.34", "1.35", "1.36")
"""Versions of Kubernetes in EKS's standard support."""


@rule
def cluster_is_ours(graph: Graph) -> Found:
    """A cluster admits whom access entries name, and has no part that somebody else manages unseen."""
    for each in aws(graph, "eks.Cluster"):
        wanted: dict[str, Any] = {
            "accessConfig.authenticationMode": "API",
            "accessConfig.bootstrapClusterCreatorAdminPermissions": False,
            "bootstrapSelfManagedAddons": False,
            "upgradePolicy.supportType": "STANDARD",
            "vpcConfig.endpointPrivateAccess": True,
        }
        for path, value in wanted.items():
            if at(each.inputs, path) != value:
                yield each.key, f"`{path}` is {at(each.inputs, path)!r}, not {value!r}"
        if not isinstance(at(each.inputs, "vpcConfig.endpointPublicAccess"), bool):
            yield each.key, "does not say whether its API answers over the internet, and by default it does"
        if at(each.inputs, "vpcConfig.endpointPublicAccess") and not at(each.inputs, "vpcConfig.publicAccessCidrs"):
            yield each.key, "answers over the internet without saying whom"
        if each.inputs.get("version") not in MINORS:
            yield each.key, f"version {each.inputs.get('version')!r} is not among {', '.join(MINORS)}"
        if not place(graph).is_dev and each.inputs.get("deletionProtection") is not True:
            yield each.key, "can be deleted"


@rule
def addons_come_in_order(graph: Graph) -> Found:
    """Network, identity and proxy are there before a node is, name service and disks after it."""
    before = ancestors(graph)
    nodes = {each.key for each in aws(graph, "eks.NodeGroup")}
    by_name = {each.inputs.get("addonName"): each for each in aws(graph, "eks.Addon")}
    if not nodes:
        return
    for name in (*BEFORE_NODES, "coredns", "aws-ebs-csi-driver"):
        if name not in by_name:
            yield name, "is no add-on of the cluster"
    for addon, each in by_name.items():
        if addon in BEFORE_NODES and not all(each.key in before(key) for key in nodes):
            yield each.key, "is not there before the nodes are"
        if addon in AFTER_NODES and not nodes <= before(each.key):
            yield each.key, "does not wait for nodes to stand on"


@rule
def addons_are_pinned(graph: Graph) -> Found:
    """An add-on or chart without a version is another one each time it is made."""
    for each in aws(graph, "eks.Addon"):
        if not re.fullmatch(r"v\d+\.\d+\.\d+-eksbuild\.\d+", str(each.inputs.get("addonVersion"))):
            yield each.key, f"version {each.inputs.get('addonVersion')!r} is none of EKS's"
        settings = each.inputs.get("configurationValues")
        if settings is not None and _unreadable(settings):
            yield each.key, "`configurationValues` is no JSON"
    for each in objects(graph):
        if "chart" in each.inputs and not re.fullmatch(r"v?\d+\.\d+\.\d+", str(each.inputs.get("version"))):
            yield each.key, f"version {each.inputs.get('version')!r} of its chart is not exact"


def _unreadable(text: str) -> bool:
    try:
        return not isinstance(json.loads(text), dict)
    except ValueError:
        return True


@rule
def addons_have_their_roles(graph: Graph) -> Found:
    """The driver of disks calls EC2: without a role its volumes stay pending."""
    associated = {each.inputs.get("serviceAccount") for each in aws(graph, "eks.PodIdentityAssociation")}
    for each in aws(graph, "eks.Addon"):
        if each.inputs.get("addonName") == "aws-ebs-csi-driver":
            own = [at(found, "serviceAccount") for found in listed(each.inputs.get("podIdentityAssociations"))]
            if "ebs-csi-controller-sa" not in {*own, *associated}:
                yield each.key, "has no role"


@rule
def nodes_wait_for_the_network(graph: Graph) -> Found:
    """Ways out are there before a node is, and after it: a node cut off while it ends leaves what it holds behind."""
    before = ancestors(graph)
    kinds = ("ec2.NatGateway", "ec2.Route", "ec2.RouteTableAssociation", "ec2.VpcEndpoint")
    network = {each.key for each in aws(graph, *kinds)}
    for each in aws(graph, "eks.NodeGroup"):
        for key in sorted(network - before(each.key)):
            yield each.key, f"does not wait for {key}"


@rule
def cluster_ends_before_the_network(graph: Graph) -> Found:
    """A network cannot be deleted while a cluster's interfaces stand in it."""
    before = ancestors(graph)
    network = {each.key for each in aws(graph, "ec2.Vpc", "ec2.Subnet")}
    for each in aws(graph, "eks.Cluster"):
        reached = before(each.key)
        used = {key for key in network if key in reached}
        if network and not any(key.startswith(kind("ec2.Subnet")) for key in used):
            yield each.key, "does not wait for its subnets"
        if network and not any(key.startswith(kind("ec2.Vpc") + "::") for key in used):
            yield each.key, "does not wait for its network"


@rule
def cluster_is_logged(graph: Graph) -> Found:
    """The log group is made before the cluster, which else makes one without an end and without a key."""
    before = ancestors(graph)
    groups = {each.inputs.get("name"): each for each in aws(graph, "cloudwatch.LogGroup")}
    for each in aws(graph, "eks.Cluster"):
        group = groups.get(f"/aws/eks/{each.inputs.get('name')}/cluster")
        if group is None:
            yield each.key, "has no log group of ours"
        elif group.key not in before(each.key):
            yield each.key, f"does not wait for {group.key}"
        if "audit" not in each.inputs.get("enabledClusterLogTypes", []):
            yield each.key, "keeps no audit log"


@rule
def nodes_are_admitted(graph: Graph) -> Found:
    """Karpenter's nodes have a role of ours, which an access entry admits as a node."""
    if first(graph, "eks.Cluster") is None:
        return
    roles = {each.inputs.get("name"): each for each in aws(graph, "iam.Role")}
    entries = [each for each in aws(graph, "eks.AccessEntry") if each.inputs.get("type") == "EC2_LINUX"]
    profiles = {each.inputs.get("name"): each.inputs.get("role") for each in aws(graph, "iam.InstanceProfile")}
    for each in customs(graph, "EC2NodeClass"):
        # Where IAM cannot be reached from the network, the class names a profile that is there already.
        name = at(each.inputs, "spec.role") or profiles.get(at(each.inputs, "spec.instanceProfile"))
        if name not in roles:
            yield each.key, f"names the role {name!r}, which is not made"
        elif not any(_names_role(entry.inputs.get("principalArn"), roles[name]) for entry in entries):
            yield each.key, f"names the role {name!r}, which the cluster does not admit"
    for entry in aws(graph, "eks.AccessEntry"):
        if entry.inputs.get("type") == "EC2_LINUX" and entry.inputs.get("kubernetesGroups"):
            yield entry.key, "gives a node groups"


def _names_role(value: Any, role: Made) -> bool:
    return role.key in refs(value) or str(value).endswith(f":role/{role.inputs.get('name')}")


@rule
def entries_are_roles(graph: Graph) -> Found:
    """Whoever is admitted is a role, and an associated policy is one of EKS's."""
    for each in aws(graph, "eks.AccessEntry", "eks.AccessPolicyAssociation"):
        principal = str(each.inputs.get("principalArn"))
        if not refs(principal) and not re.fullmatch(r"arn:aws[\w-]*:iam::\d{12}:(role|user)/.+", principal):
            yield each.key, f"{principal!r} is nobody"
    for each in aws(graph, "eks.AccessPolicyAssociation"):
        policy = str(each.inputs.get("policyArn"))
        if not re.fullmatch(r"arn:aws[\w-]*:eks::aws:cluster-access-policy/Amazon\w+Policy", policy):
            yield each.key, f"{policy!r} is no access policy"
