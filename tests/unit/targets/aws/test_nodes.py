from __future__ import annotations

import pytest

import awscluster
import awsparts
from capture import Graph, Made
from mlplat.errors import UsageError
from mlplat.targets.aws.nodes import ami_type, group_name

ADDON, GROUP = "aws:eks/addon:Addon", "aws:eks/nodeGroup:NodeGroup"
FIRST = {"vpc-cni", "eks-pod-identity-agent", "kube-proxy"}
NIGHTS = {"down": "20:00", "up": "07:00"}


def group(graph: Graph) -> Made:
    return graph.one(GROUP)


def test_a_node_comes_after_what_it_needs_to_become_ready() -> None:
    graph = awscluster.graph()
    before = graph.before(group(graph).key)
    assert {f"{ADDON}::{name}" for name in FIRST} <= before
    assert {each.key for each in graph.of("aws:ec2/natGateway:NatGateway")} <= before
    assert {
        each.key for each in graph.of("aws:iam/rolePolicyAttachment:RolePolicyAttachment") if "system" in each.name
    } <= (before)


def test_the_taint_is_spelled_as_eks_spells_it() -> None:
    (taint,) = group(awscluster.graph()).inputs["taints"]
    assert taint == {"key": "CriticalAddonsOnly", "value": "true", "effect": "NO_SCHEDULE"}


def test_an_up_does_not_change_how_many_there_are_and_nothing_else_is_ignored() -> None:
    assert group(awscluster.graph()).ignore_changes == ("scalingConfig.desiredSize",)


@pytest.mark.parametrize(("nights", "least"), [(None, 2), (NIGHTS, 0)])
def test_they_are_never_fewer_than_two_but_at_night(nights: dict[str, str] | None, least: int) -> None:
    cluster = {"system_nodes": {"size": 3, "max_size": 6}, **({"nights": nights} if nights else {})}
    sizes = group(awscluster.graph(cluster=cluster)).inputs["scalingConfig"]
    assert sizes == {"minSize": least, "desiredSize": 3, "maxSize": 6}


def test_they_stand_in_every_zone_and_are_mended() -> None:
    inputs = group(awscluster.graph()).inputs
    assert len(inputs["subnetIds"]) == 3
    assert inputs["nodeRepairConfig"] == {"enabled": True}
    assert inputs["capacityType"] == "ON_DEMAND"
    assert inputs["labels"] == {"mlplat/pool": "system"}


def test_the_template_hides_the_node_s_credentials_and_encrypts_its_disk() -> None:
    graph = awscluster.graph(cluster={"system_nodes": {"disk_gib": 80}})
    template = graph.one("aws:ec2/launchTemplate:LaunchTemplate").inputs
    assert template["metadataOptions"] == {
        "httpEndpoint": "enabled",
        "httpTokens": "required",
        "httpPutResponseHopLimit": 1,
    }
    (disk,) = template["blockDeviceMappings"]
    assert disk["ebs"]["encrypted"] == "true"
    assert (disk["ebs"]["kmsKeyId"], disk["ebs"]["volumeSize"]) == (awsparts.KEY, 80)


def test_whatever_a_template_starts_has_the_deployment_s_tag() -> None:
    template = awscluster.graph().one("aws:ec2/launchTemplate:LaunchTemplate").inputs
    kinds = {each["resourceType"]: each["tags"] for each in template["tagSpecifications"]}
    assert set(kinds) == {"instance", "volume", "network-interface"}
    assert all(tags["mlplat:deployment"] == awsparts.DEPLOYMENT for tags in kinds.values())


def test_the_node_s_role_has_four_of_aws_s_policies_and_none_of_its_own() -> None:
    graph = awscluster.graph()
    attached = [
        each.inputs["policyArn"].rpartition("/")[2]
        for each in graph.of("aws:iam/rolePolicyAttachment:RolePolicyAttachment")
        if each.name.startswith("system-")
    ]
    assert sorted(attached) == [
        "AmazonEC2ContainerRegistryPullOnly",
        "AmazonEKSWorkerNodePolicy",
        "AmazonEKS_CNI_Policy",
        "AmazonSSMManagedInstanceCore",
    ]


def test_another_type_makes_a_second_group_and_not_one_of_the_same_name() -> None:
    """EKS cannot change a group's types: the engine makes the new one first, and its name must be free."""
    one, two = ({"system_nodes": {"instance_types": [each]}} for each in ("m7i.large", "m7i.xlarge"))
    names = {group_name(awsparts.site(cluster=each)) for each in (one, two)}
    assert len(names) == 2
    assert group(awscluster.graph(cluster=one)).inputs["nodeGroupName"] in names
    larger = {"system_nodes": {"instance_types": ["m7i.large"], "size": 3, "disk_gib": 100}}
    assert group_name(awsparts.site(cluster=larger)) in names


@pytest.mark.parametrize(
    ("types", "image"),
    [
        (["m7i.large", "m6a.large"], "AL2023_x86_64_STANDARD"),
        (["m7g.large"], "AL2023_ARM_64_STANDARD"),
    ],
)
def test_the_image_is_of_the_types_architecture(types: list[str], image: str) -> None:
    assert ami_type(types) == image


@pytest.mark.parametrize(
    ("types", "says"),
    [
        (["m7i.large", "m7g.large"], "arm64 and x86_64"),
        (["g6.xlarge"], "has GPUs"),
        (["m7i.lrage"], "no instance type"),
    ],
)
def test_types_that_no_image_fits_are_refused(types: list[str], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        ami_type(types)


@pytest.mark.parametrize("label", ["system", "node"])
def test_every_node_can_pull_an_image_that_is_not_copied_yet(label: str) -> None:
    policy = awscluster.graph().one("aws:iam/rolePolicy:RolePolicy", f"{label}-cache")
    (statement,) = awsparts.statements(policy)
    assert statement["Action"] == ["ecr:BatchImportUpstreamImage", "ecr:CreateRepository"]
    assert all(each.endswith("/*") and each != "*" for each in statement["Resource"])
    none = awscluster.graph(images={"pull_through": []})
    assert not [each for each in none.of("aws:iam/rolePolicy:RolePolicy") if each.name == policy.name]
