"""What Karpenter's controller may do, in six policies: one alone would be longer than IAM takes.

Whatever it makes carries the cluster's tag, and it may touch nothing that does not: two clusters in one account leave
each other's nodes alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mlplat.targets.aws.iam import Statement, Texts
from mlplat.targets.aws.keypolicies import disk_key
from mlplat.targets.aws.site import Site

STARTS = ("ec2:RunInstances", "ec2:CreateFleet")
MAKES = ("fleet", "instance", "volume", "network-interface", "launch-template", "spot-instances-request")
NODE_POOL = "karpenter.sh/nodepool"
NODE_CLASS = "karpenter.k8s.aws/ec2nodeclass"
REGION_TAG = "topology.kubernetes.io/region"
CLUSTER_TAG = "eks:eks-cluster-name"
OWNED = "owned"


def policies(
    site: Site, cluster: str, *, node_role_arn: Texts, queue_arn: str, key_arn: Texts
) -> Mapping[str, Sequence[Statement]]:
    """Return the statements of each policy by its name."""
    return {
        "lifecycle": _lifecycle(site, cluster),
        "volumes": disk_key("Disk", site, key_arn),
        "profiles": _profiles(site, cluster, node_role_arn),
        "discovery": _discovery(site),
        "cluster": [Statement("Cluster", ["eks:DescribeCluster"], [site.arn("eks", f"cluster/{cluster}")])],
        "interruption": [
            Statement(
                "Interruption",
                ["sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:GetQueueUrl", "sqs:ReceiveMessage"],
                [queue_arn],
            )
        ],
    }


def owned_tag(cluster: str) -> str:
    """Return the tag of everything that is a cluster's own."""
    return f"kubernetes.io/cluster/{cluster}"


def _lifecycle(site: Site, cluster: str) -> list[Statement]:
    requested = _tagged("aws:RequestTag", cluster)
    requested["StringEquals"][f"aws:RequestTag/{CLUSTER_TAG}"] = cluster
    made = [site.arn("ec2", f"{each}/*") for each in MAKES]
    tagging = {**requested, "StringEquals": {**requested["StringEquals"], "ec2:CreateAction": _created()}}
    return [
        Statement("StartFrom", STARTS, _sources(site)),
        Statement("StartByOwnTemplates", STARTS, [site.arn("ec2", "launch-template/*")], _tagged(_RESOURCE, cluster)),
        Statement("Start", [*STARTS, "ec2:CreateLaunchTemplate"], made, requested),
        Statement("TagWhatStarts", ["ec2:CreateTags"], made, tagging),
        Statement("TagOwnInstances", ["ec2:CreateTags"], [site.arn("ec2", "instance/*")], _names_only(cluster)),
        Statement(
            "End",
            ["ec2:TerminateInstances", "ec2:DeleteLaunchTemplate"],
            [site.arn("ec2", "instance/*"), site.arn("ec2", "launch-template/*")],
            _tagged(_RESOURCE, cluster),
        ),
    ]


_RESOURCE = "aws:ResourceTag"


def _created() -> list[str]:
    return ["RunInstances", "CreateFleet", "CreateLaunchTemplate"]


def _sources(site: Site) -> list[str]:
    # Images and snapshots are others': they have no account of ours in their ARNs.
    others = [site.arn("ec2", f"{each}/*", account=False) for each in ("image", "snapshot")]
    ours = ("security-group", "subnet", "capacity-reservation", "placement-group")
    return [*others, *(site.arn("ec2", f"{each}/*") for each in ours)]


def _tagged(kind: str, cluster: str) -> dict[str, dict[str, Any]]:
    return {
        "StringEquals": {f"{kind}/{owned_tag(cluster)}": OWNED},
        "StringLike": {f"{kind}/{NODE_POOL}": "*"},
    }


def _names_only(cluster: str) -> dict[str, dict[str, Any]]:
    conditions = _tagged(_RESOURCE, cluster)
    keys = [CLUSTER_TAG, "karpenter.sh/nodeclaim", "Name"]
    return {
        **conditions,
        "StringEqualsIfExists": {f"aws:RequestTag/{CLUSTER_TAG}": cluster},
        "ForAllValues:StringEquals": {"aws:TagKeys": keys},
    }


def _profiles(site: Site, cluster: str, node_role_arn: Texts) -> list[Statement]:
    profiles = [site.arn("iam", "instance-profile/*", region=False)]
    existing = _profile_tags(site, cluster, "aws:ResourceTag")
    asked = _profile_tags(site, cluster, "aws:RequestTag")
    asked["StringEquals"][f"aws:RequestTag/{CLUSTER_TAG}"] = cluster
    both = {
        "StringEquals": {**existing["StringEquals"], **asked["StringEquals"]},
        "StringLike": {**existing["StringLike"], **asked["StringLike"]},
    }
    changes = ["iam:AddRoleToInstanceProfile", "iam:RemoveRoleFromInstanceProfile", "iam:DeleteInstanceProfile"]
    passed = {"StringEquals": {"iam:PassedToService": _computer(site)}}
    return [
        Statement("PassNodeRole", ["iam:PassRole"], [node_role_arn], passed),
        Statement("MakeProfiles", ["iam:CreateInstanceProfile"], profiles, asked),
        Statement("TagProfiles", ["iam:TagInstanceProfile"], profiles, both),
        Statement("ChangeProfiles", changes, profiles, existing),
        # Without these two a node class cannot be deleted, even one with a profile that others made.
        Statement("ListProfiles", ["iam:ListInstanceProfiles"]),
        Statement("ReadProfiles", ["iam:GetInstanceProfile"], profiles),
    ]


def _computer(site: Site) -> str:
    return f"ec2.{site.aws.dns_suffix}"


def _profile_tags(site: Site, cluster: str, kind: str) -> dict[str, dict[str, Any]]:
    return {
        "StringEquals": {f"{kind}/{owned_tag(cluster)}": OWNED, f"{kind}/{REGION_TAG}": site.region},
        "StringLike": {f"{kind}/{NODE_CLASS}": "*"},
    }


def _discovery(site: Site) -> list[Statement]:
    reads = (
        *("CapacityReservations", "Images", "Instances", "InstanceStatus", "InstanceTypeOfferings", "InstanceTypes"),
        *("LaunchTemplates", "PlacementGroups", "SecurityGroups", "SpotPriceHistory", "Subnets"),
    )
    here = {"StringEquals": {"aws:RequestedRegion": site.region}}
    return [
        Statement("Read", [f"ec2:Describe{each}" for each in reads], conditions=here),
        Statement("Images", ["ssm:GetParameter"], [site.arn("ssm", "parameter/aws/service/*", account=False)]),
        Statement("Prices", ["pricing:GetProducts"]),
    ]
