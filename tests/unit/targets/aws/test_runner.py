from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from typing import Any, cast

import pulumi
import pulumi_aws as aws
import pytest

import capture
from allowed import allowed
from awsparts import KEY, network, site, statements, untagged
from capture import Graph
from mlplat.errors import SpecError
from mlplat.targets.aws.cluster import Cluster, admin_role
from mlplat.targets.aws.runner import Runner, buildspec

PROJECT = "aws:codebuild/project:Project"
REPOSITORY = "https://github.com/example/platform"
ADMIN = "arn:aws:iam::111122223333:role/admins"
DEPLOYER = json.dumps({"Version": "2012-10-17", "Statement": []})


@dataclass
class _Cluster:
    resource: aws.eks.Cluster
    security_group_id: str = "sg-0123456789abcdef1"


def build(policies: tuple[str, ...] = (), admins: tuple[str, ...] = (), **settings: Any) -> Graph:
    def program() -> None:
        place = site(runner=settings, cluster={"admins": list(admins)})
        opts = capture.provider()
        made = aws.eks.Cluster(
            "cluster", role_arn=ADMIN, vpc_config={"subnet_ids": []}, name="cluster", tags=place.tags(), opts=opts
        )
        Runner(
            "runner",
            place.aws.runner,
            site=place,
            network=network(),
            cluster=cast(Cluster, _Cluster(made)),
            key_arn=pulumi.Output.from_input(KEY),
            logs_key_arn=KEY,
            policy_documents=policies,
            opts=opts,
        )

    return capture.run(program)


@functools.cache
def made() -> Graph:
    return build(enabled=True, repository=REPOSITORY)


def test_nothing_is_made_unless_asked_for() -> None:
    assert {each.type for each in build() if each.custom} == {"pulumi:providers:aws", "aws:eks/cluster:Cluster"}


def test_it_stands_in_the_private_subnets_and_has_no_right_to_its_host() -> None:
    project = made().one(PROJECT).inputs
    assert project["vpcConfig"]["subnets"] == network().private_subnet_ids
    assert project["environment"]["privilegedMode"] is False
    assert project["encryptionKey"] == KEY
    assert project["concurrentBuildLimit"] == 1


@pytest.mark.parametrize(("host", "kind"), [("github.com", "GITHUB"), ("gitlab.com", "GITLAB")])
def test_it_takes_the_branch_that_is_written_of_a_repository(host: str, kind: str) -> None:
    repository = f"https://{host}/example/platform"
    project = build(enabled=True, repository=repository, branch="live").one(PROJECT).inputs
    assert (project["source"]["type"], project["source"]["location"]) == (kind, repository)
    assert project["sourceVersion"] == "live"


@pytest.mark.parametrize("repository", ["https://example.com/a/b", "http://github.com/a/b", "https://github.com/a"])
def test_a_repository_that_codebuild_cannot_read_is_refused(repository: str) -> None:
    with pytest.raises(SpecError, match="repository"):
        site(runner={"enabled": True, "repository": repository})


@pytest.mark.parametrize("stack", ["-rf", "a;b", "$(id)", "A"])
def test_no_stack_s_name_reaches_the_shell_as_anything_but_a_name(stack: str) -> None:
    with pytest.raises(SpecError, match="stack"):
        site(runner={"enabled": True, "repository": REPOSITORY, "stack": stack})


def test_it_checks_and_brings_up_this_stack_or_the_one_that_is_written() -> None:
    own = json.loads(made().one(PROJECT).inputs["source"]["buildspec"])
    assert own == json.loads(buildspec("dev"))
    other = build(enabled=True, repository=REPOSITORY, stack="prod").one(PROJECT).inputs["source"]["buildspec"]
    assert json.loads(other)["phases"]["build"]["commands"] == [
        ".venv/bin/mlplat doctor -s prod",
        ".venv/bin/mlplat up -s prod --yes",
    ]


def test_nobody_reaches_it_and_it_reaches_the_cluster() -> None:
    rule = made().one("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule").inputs
    assert rule["securityGroupId"] == "sg-0123456789abcdef1"
    assert rule["referencedSecurityGroupId"] == "${aws:ec2/securityGroup:SecurityGroup::runner.id}"
    assert (rule["fromPort"], rule["toPort"]) == (443, 443)
    out = made().one("aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule").inputs
    assert (out["fromPort"], out["toPort"]) == (443, 443)


def test_it_plugs_into_its_own_subnets_and_hands_interfaces_to_nobody_but_codebuild() -> None:
    rights = statements(made().one("aws:iam/rolePolicy:RolePolicy"))
    interface = "arn:aws:ec2:eu-west-1:111122223333:network-interface/eni-1"
    subnet = f"arn:aws:ec2:eu-west-1:111122223333:subnet/{network().private_subnet_ids[0]}"
    service = {"ec2:AuthorizedService": "codebuild.amazonaws.com"}
    hand = "ec2:CreateNetworkInterfacePermission"
    assert allowed(rights, hand, interface, {"ec2:Subnet": subnet, **service})
    assert not allowed(rights, hand, interface, {"ec2:Subnet": f"{subnet}9", **service})
    assert not allowed(rights, hand, interface, {"ec2:Subnet": subnet, "ec2:AuthorizedService": "ec2.amazonaws.com"})
    assert allowed(rights, "ec2:DeleteNetworkInterface", interface, {"ec2:Subnet": subnet})
    assert not allowed(rights, "ec2:DeleteNetworkInterface", interface, {"ec2:Subnet": f"{subnet}9"})
    assert not allowed(rights, "ec2:CreateNetworkInterface", f"{subnet}9")


def test_the_deployer_s_documents_are_its_policies_and_it_waits_for_them() -> None:
    graph = build((DEPLOYER, DEPLOYER), enabled=True, repository=REPOSITORY)
    policies = graph.of("aws:iam/policy:Policy")
    assert [each.inputs["policy"] for each in policies] == [DEPLOYER, DEPLOYER]
    assert len({each.inputs["name"] for each in policies}) == 2
    before = graph.before(graph.one(PROJECT).key)
    assert {each.key for each in policies} <= before
    assert "aws:iam/rolePolicy:RolePolicy::runner" in before


def test_it_enters_the_cluster_by_its_own_name_where_admins_are_named_and_else_by_the_role_for_it() -> None:
    named = build(admins=(ADMIN,), enabled=True, repository=REPOSITORY)
    entry = named.one("aws:eks/accessEntry:AccessEntry").inputs
    assert entry["principalArn"] == "${aws:iam/role:Role::runner.arn}"
    assert named.of("aws:eks/accessPolicyAssociation:AccessPolicyAssociation")
    assert not made().of("aws:eks/accessEntry:AccessEntry")
    taken = admin_role(site())
    assert taken
    for graph, may in ((made(), True), (named, False)):
        rights = statements(graph.one("aws:iam/rolePolicy:RolePolicy"))
        assert allowed(rights, "sts:AssumeRole", taken) is may
        assert not allowed(rights, "sts:AssumeRole", ADMIN)


def test_everything_is_tagged_and_its_log_is_kept_for_a_time() -> None:
    assert untagged(made()) == []
    assert made().one("aws:cloudwatch/logGroup:LogGroup").inputs["retentionInDays"] == 365
