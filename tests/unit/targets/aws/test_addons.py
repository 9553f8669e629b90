from __future__ import annotations

import json
from typing import Any

import pytest

import awscluster
import awsparts
from capture import Graph
from mlplat import versions
from mlplat.targets.aws.addons import network_values
from mlplat.targets.aws.tolerations import tolerates

ADDON = "aws:eks/addon:Addon"
SYSTEM = {"key": "CriticalAddonsOnly", "value": "true", "effect": "NoSchedule"}
GPU = {"key": "nvidia.com/gpu", "value": "true", "effect": "NoSchedule"}
TEAM = {"key": "mlplat/team", "value": "ours", "effect": "NoSchedule"}


def values(graph: Graph, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(graph.one(ADDON, name).inputs["configurationValues"])
    return found


@pytest.mark.parametrize("kubernetes", versions.KUBERNETES)
def test_every_addon_is_there_and_pinned_to_the_cluster_s_version(kubernetes: str) -> None:
    made = {each.name: each.inputs for each in awscluster.graph(cluster={"version": kubernetes}).of(ADDON)}
    assert {name: each["addonVersion"] for name, each in made.items()} == {
        each.name: each.version(kubernetes) for each in versions.ADDONS
    }
    for each in made.values():
        assert (each["resolveConflictsOnCreate"], each["resolveConflictsOnUpdate"]) == ("OVERWRITE", "OVERWRITE")


@pytest.mark.parametrize("name", ["coredns", "aws-ebs-csi-driver", "metrics-server", "eks-node-monitoring-agent"])
def test_what_stands_on_nodes_comes_after_them(name: str) -> None:
    graph = awscluster.graph()
    assert graph.one("aws:eks/nodeGroup:NodeGroup").key in graph.before(f"{ADDON}::{name}")


@pytest.mark.parametrize("name", ["vpc-cni", "eks-pod-identity-agent", "kube-proxy"])
def test_what_nodes_need_comes_before_them(name: str) -> None:
    graph = awscluster.graph()
    assert graph.one("aws:eks/nodeGroup:NodeGroup").key not in graph.before(f"{ADDON}::{name}")


@pytest.mark.parametrize(
    ("name", "part"), [("coredns", None), ("aws-ebs-csi-driver", "controller"), ("metrics-server", None)]
)
def test_the_cluster_s_services_stand_on_system_nodes(name: str, part: str | None) -> None:
    found = values(awscluster.graph(), name)
    found = found[part] if part else found
    assert found["nodeSelector"] == {"mlplat/pool": "system"}
    assert tolerates(found["tolerations"], SYSTEM)


def test_agents_stand_on_every_node() -> None:
    graph = awscluster.graph()
    watching = values(graph, "eks-node-monitoring-agent")
    for part in ("nodeAgent", "dcgmAgent"):
        assert all(tolerates(watching[part]["tolerations"], taint) for taint in (SYSTEM, GPU, TEAM))
    assert values(graph, "aws-ebs-csi-driver")["node"] == {"tolerateAllTaints": True}


def test_every_setting_of_the_network_addon_is_a_text() -> None:
    """It refuses booleans and numbers there."""
    found = network_values({"eu-west-1a": "subnet-a"}, "eu-west-1", "sg-1")
    assert all(isinstance(each, str) for each in found["env"].values())
    assert found["enableNetworkPolicy"] == "true"
    assert found["env"]["ENABLE_PREFIX_DELEGATION"] == "true"


def test_pods_have_addresses_of_their_own_range_where_there_is_one() -> None:
    plain = values(awscluster.graph(), "vpc-cni")
    assert "eniConfig" not in plain
    apart = values(awscluster.graph(network={"pod_cidr": "100.64.0.0/16"}), "vpc-cni")
    assert apart["env"]["AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG"] == "true"
    subnets = apart["eniConfig"]["subnets"]
    assert list(subnets) == ["eu-west-1a", "eu-west-1b", "eu-west-1c"]
    assert len({each["id"] for each in subnets.values()}) == 3
    assert all("clusterSecurityGroupId" in each["securityGroups"][0] for each in subnets.values())


def test_volumes_have_the_deployment_s_tag_and_their_driver_a_role_of_its_own() -> None:
    graph = awscluster.graph()
    assert values(graph, "aws-ebs-csi-driver")["controller"]["extraVolumeTags"]["mlplat:deployment"] == (
        awsparts.DEPLOYMENT
    )
    (bound,) = graph.one(ADDON, "aws-ebs-csi-driver").inputs["podIdentityAssociations"]
    assert bound == {"serviceAccount": "ebs-csi-controller-sa", "roleArn": "${aws:iam/role:Role::ebs-csi.arn}"}


def test_the_driver_may_use_the_key_through_ec2_alone() -> None:
    policy = awscluster.graph().one("aws:iam/policy:Policy", "ebs-csi-key")
    for statement in awsparts.statements(policy):
        assert statement["Resource"] == [awsparts.KEY]
        assert statement["Condition"]["StringEquals"] == {"kms:ViaService": "ec2.eu-west-1.amazonaws.com"}


def test_identities_are_there_before_the_pods_that_take_them() -> None:
    ready, graph = awscluster.ready(), awscluster.graph()
    for each in graph.of("aws:eks/podIdentityAssociation:PodIdentityAssociation"):
        assert each.key in ready
        role = each.inputs["roleArn"].removeprefix("${").removesuffix(".arn}")
        attached = [
            other.key
            for other in graph.of("aws:iam/rolePolicyAttachment:RolePolicyAttachment")
            if role in other.depends_on
        ]
        assert attached
        assert set(attached) <= graph.before(each.key)
