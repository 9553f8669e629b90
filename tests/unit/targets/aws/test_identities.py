from __future__ import annotations

import functools
import json
from typing import Any

import pulumi
import pulumi_aws as aws
import pytest

import capture
from awsparts import CLIENT, KEY, network, platform, statements, untagged
from capture import Graph
from mlplat.targets.aws.database import Database
from mlplat.targets.aws.identities import Identities
from mlplat.targets.aws.online import OnlineStore
from mlplat.targets.aws.site import Site
from mlplat.targets.aws.stream import Stream

BOUNDARY = "arn:aws:iam::111122223333:policy/boundary"
TEAMS = {"flights": {"projects": ["delay"]}, "rail": {}}
ROLE, RIGHTS = "aws:iam/role:Role", "aws:iam/rolePolicy:RolePolicy"
ASSOCIATION = "aws:eks/podIdentityAssociation:PodIdentityAssociation"


@functools.cache
def made(kind: str = "dynamodb", boundary: str | None = None) -> Graph:
    def program() -> None:
        given: dict[str, Any] = {"online_store": {"kind": kind}, "identities": {"boundary": boundary}}
        spec = platform(TEAMS, **given)
        place = Site.of(spec, "dev", "0123456789abcdef")
        opts = capture.provider()
        key = pulumi.Output.from_input(KEY)
        buckets = {each: aws.s3.Bucket(each, opts=opts) for each in ("artifacts", "data", "features", "pipelines")}
        inside: dict[str, Any] = {
            "site": place,
            "network": network(),
            "key_arn": key,
            "client_security_group_id": CLIENT,
            "opts": opts,
        }
        Identities(
            "identities",
            spec,
            site=place,
            cluster_name="cluster",
            cluster_ready=[aws.eks.Addon("agent", cluster_name="cluster", addon_name="agent", opts=opts)],
            buckets=buckets,
            data_key_arn=key,
            database=Database("database", place.aws.database, **inside),
            online=OnlineStore("online", place.aws.online_store, teams=tuple(TEAMS), **inside),
            stream=Stream("stream", place.aws.stream, site=place, key_arn=key, bucket=buckets["data"], opts=opts),
            alerts_arn="arn:aws:sns:eu-west-1:111122223333:alerts",
            alerts_key_arn=key,
            opts=opts,
        )

    return capture.run(program)


def mine(graph: Graph, kind: str) -> list[capture.Made]:
    return [each for each in graph.of(kind) if each.parent == "mlplat:aws:Identities::identities"]


@pytest.mark.parametrize("kind", ["dynamodb", "valkey"])
def test_every_workload_has_role_rights_and_association_and_all_are_tagged(kind: str) -> None:
    graph = made(kind)
    names = {each.name for each in mine(graph, ROLE)}
    assert names == {each.name for each in mine(graph, RIGHTS)} == {each.name for each in mine(graph, ASSOCIATION)}
    assert {"tracking", "external-secrets", "databases", "flights-pipeline", "rail-serving"} <= names
    assert not [each for each in untagged(graph) if any(each == found.key for found in mine(graph, ROLE))]


def test_an_association_waits_for_the_role_s_rights_and_for_the_cluster() -> None:
    graph = made()
    for each in mine(graph, ASSOCIATION):
        before = graph.before(each.key)
        assert f"{RIGHTS}::{each.name}" in before
        assert "aws:eks/addon:Addon::agent" in before


def test_platform_services_and_teams_are_in_their_own_namespaces() -> None:
    places = {
        each.name: (each.inputs["namespace"], each.inputs["serviceAccount"]) for each in mine(made(), ASSOCIATION)
    }
    assert places["tracking"] == ("mlplat", "tracking")
    assert places["flights-serving"] == ("flights", "serving")


def test_only_pods_take_a_role_and_their_session_is_tagged() -> None:
    for each in mine(made(), ROLE):
        (trust,) = statements(each, "assumeRolePolicy")
        assert trust["Principal"] == {"Service": "pods.eks.amazonaws.com"}
        assert trust["Action"] == ["sts:AssumeRole", "sts:TagSession"]


@pytest.mark.parametrize("boundary", [None, BOUNDARY])
def test_the_boundary_is_on_every_role_where_one_is_written(boundary: str | None) -> None:
    roles = made(boundary=boundary).of(ROLE)
    assert roles
    assert {each.inputs.get("permissionsBoundary") for each in roles} == {boundary}


def test_names_of_roles_fit_and_differ() -> None:
    names = [each.inputs["name"] for each in made().of(ROLE)]
    assert len(set(names)) == len(names)
    assert max(map(len, names)) <= 64


def test_no_statement_names_every_resource_but_the_one_that_aws_cannot_scope() -> None:
    wide = [
        (each.name, statement["Action"])
        for each in mine(made(), RIGHTS)
        for statement in statements(each)
        if statement["Resource"] == ["*"]
    ]
    assert wide == [("tables", ["dynamodb:ListTables"])]


def test_rights_name_the_program_s_own_buckets_and_secrets() -> None:
    rights = {each.name: each for each in mine(made(), RIGHTS)}
    assert "aws:s3/bucket:Bucket::artifacts" in rights["tracking"].depends_on
    assert "aws:secretsmanager/secret:Secret::database-tracking" in rights["databases"].depends_on
    assert json.loads(rights["databases"].inputs["policy"])["Statement"][0]["Resource"] == [
        "${aws:rds/instance:Instance::database.masterUserSecretArn}"
    ]
