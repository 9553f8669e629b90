from __future__ import annotations

import json
from typing import Any

import pytest

import awscluster
import awsparts
from capture import Graph
from mlplat.errors import UsageError
from mlplat.targets.aws.cluster import admin_role, cluster_name, refuse_unknown_version
from mlplat.targets.aws.site import Site

CLUSTER = "aws:eks/cluster:Cluster"
ADMINS = [
    f"arn:aws:iam::{awsparts.ACCOUNT}:role/admins",
    f"arn:aws:iam::{awsparts.ACCOUNT}:role/aws-reserved/sso.amazonaws.com/admins",
]


def made(**cluster: Any) -> dict[str, Any]:
    return awscluster.graph(cluster=cluster).one(CLUSTER).inputs


def entries(graph: Graph) -> dict[str, dict[str, Any]]:
    return {each.name: each.inputs for each in graph.of("aws:eks/accessEntry:AccessEntry")}


def test_entries_are_the_only_way_in_and_whoever_made_it_has_none() -> None:
    assert made()["accessConfig"] == {
        "authenticationMode": "API",
        "bootstrapClusterCreatorAdminPermissions": False,
    }


def test_addons_are_ours_and_the_version_is_a_text() -> None:
    inputs = made(version="1.36")
    assert inputs["bootstrapSelfManagedAddons"] is False
    assert inputs["version"] == "1.36"
    assert inputs["upgradePolicy"] == {"supportType": "STANDARD"}


def test_secrets_are_encrypted_under_our_key() -> None:
    assert made()["encryptionConfig"] == {"provider": {"keyArn": awsparts.KEY}, "resources": ["secrets"]}


@pytest.mark.parametrize("cidrs", [[], ["203.0.113.0/24"]])
def test_the_api_answers_inside_and_outside_only_whom_the_spec_names(cidrs: list[str]) -> None:
    places = made(public_access_cidrs=cidrs)["vpcConfig"]
    assert places["endpointPrivateAccess"] is True
    assert places["endpointPublicAccess"] is bool(cidrs)
    assert places.get("publicAccessCidrs", []) == cidrs
    assert len(places["subnetIds"]) == 3


def test_logs_are_ours_before_the_cluster_would_make_its_own() -> None:
    graph = awscluster.graph(cluster={"log_days": 45})
    logs = graph.one("aws:cloudwatch/logGroup:LogGroup", "logs")
    assert logs.inputs["name"] == f"/aws/eks/{awscluster.NAME}/cluster"
    assert (logs.inputs["retentionInDays"], logs.inputs["kmsKeyId"]) == (60, awsparts.KEY)
    assert logs.key in graph.before(graph.one(CLUSTER).key)


@pytest.mark.parametrize(("protected", "guarded"), [(True, True), (True, False), (False, True)])
def test_it_is_protected_as_the_spec_says(protected: bool, guarded: bool) -> None:
    graph = awscluster.graph(protected=protected, cluster={"deletion_protection": guarded})
    assert graph.one(CLUSTER).protect is protected
    assert graph.one(CLUSTER).inputs["deletionProtection"] is guarded


def test_named_admins_enter_as_themselves() -> None:
    graph = awscluster.graph(cluster={"admins": ADMINS})
    found = entries(graph)
    assert {each["principalArn"] for each in found.values()} >= set(ADMINS)
    associations = graph.of("aws:eks/accessPolicyAssociation:AccessPolicyAssociation")
    assert sorted(each.inputs["principalArn"] for each in associations) == ADMINS
    for each in associations:
        assert each.inputs["policyArn"].endswith(":cluster-access-policy/AmazonEKSClusterAdminPolicy")
        assert each.inputs["accessScope"] == {"type": "cluster"}
    assert admin_role(awsparts.site(cluster={"admins": ADMINS})) is None


def test_where_nobody_is_named_a_role_of_the_account_is_the_admin() -> None:
    graph, site = awscluster.graph(), awsparts.site()
    role = graph.one("aws:iam/role:Role", "admin")
    (trust,) = json.loads(role.inputs["assumeRolePolicy"])["Statement"]
    assert trust["Principal"] == {"AWS": f"arn:aws:iam::{awsparts.ACCOUNT}:root"}
    assert admin_role(site) == f"arn:aws:iam::{awsparts.ACCOUNT}:role/{role.inputs['name']}"
    assert entries(graph)["admin"]["principalArn"] == "${aws:iam/role:Role::admin.arn}"


def test_the_right_to_enter_is_there_before_whatever_is_put_on_the_cluster() -> None:
    ready, graph = awscluster.ready(), awscluster.graph()
    said = {each.key for each in graph.of("aws:eks/accessPolicyAssociation:AccessPolicyAssociation")}
    assert said <= set(ready)


def test_the_network_outlives_the_cluster() -> None:
    """Else its interfaces would hold subnets that cannot be deleted."""
    graph = awscluster.graph()
    before = graph.before(graph.one(CLUSTER).key)
    assert {each.key for each in graph.of("aws:ec2/natGateway:NatGateway")} <= before


def test_karpenter_finds_the_group_of_nodes_and_the_fast_network_may_use_it() -> None:
    graph = awscluster.graph()
    group = f"${{{CLUSTER}::cluster.clusterSecurityGroupId}}"
    tag = graph.one("aws:ec2/tag:Tag").inputs
    assert tag == {"key": "karpenter.sh/discovery", "resourceId": group, "value": awscluster.NAME}
    rule = graph.one("aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule").inputs
    assert rule["referencedSecurityGroupId"] == rule["securityGroupId"] == group
    assert rule["ipProtocol"] == "-1"


def test_the_control_plane_s_role_has_the_key_of_secrets_and_no_other() -> None:
    graph = awscluster.graph()
    (statement,) = json.loads(graph.one("aws:iam/rolePolicy:RolePolicy", "secrets").inputs["policy"])["Statement"]
    assert statement["Resource"] == [awsparts.KEY]
    (trust,) = json.loads(graph.one("aws:iam/role:Role", "cluster").inputs["assumeRolePolicy"])["Statement"]
    assert trust["Principal"] == {"Service": "eks.amazonaws.com"}
    assert trust["Condition"] == {"StringEquals": {"aws:SourceAccount": awsparts.ACCOUNT}}


def test_every_role_has_the_boundary() -> None:
    graph = awscluster.graph(identities={"boundary": awscluster.BOUNDARY})
    for role in graph.of("aws:iam/role:Role"):
        assert role.inputs["permissionsBoundary"] == awscluster.BOUNDARY, role.name


def test_everything_has_the_deployment_s_tag() -> None:
    assert awsparts.untagged(awscluster.graph()) == []


@pytest.mark.parametrize("version", ["1.19", "1.99"])
def test_a_kubernetes_that_nothing_is_known_of_is_refused(version: str) -> None:
    with pytest.raises(UsageError, match=version) as refused:
        refuse_unknown_version(version)
    assert refused.value.hint == "use one of 1.35, 1.36"


def test_a_long_name_is_cut_to_what_eks_takes() -> None:
    long = Site("p" * 60, "s" * 60, awsparts.DEPLOYMENT, awsparts.aws())
    assert len(cluster_name(long)) <= 100
    assert awsparts.DEPLOYMENT[:6] in cluster_name(long)
