from __future__ import annotations

import functools
import re
from typing import Any

import pytest

import capture
from awsparts import CLIENT, KEY, network, platform, site, untagged
from capture import Graph
from mlplat.services.cluster.features import TABLES, online_store
from mlplat.targets.aws.online import OnlineStore, access, live_table, table_prefix, user_id
from mlplat.targets.aws.site import Site

TABLE = "aws:dynamodb/table:Table"
GROUP = "aws:elasticache/replicationGroup:ReplicationGroup"
USER = "aws:elasticache/user:User"
TABLE_NAME = re.compile(r"[A-Za-z0-9_.-]{3,255}")
CACHE_ID = re.compile(r"[a-z]([a-z0-9]|-(?!-)){0,38}[a-z0-9]")


def build(teams: tuple[str, ...] = ("flights",), protected: bool = True, **settings: Any) -> Graph:
    def program() -> None:
        place = site(online_store=settings, protected=protected)
        OnlineStore(
            "online",
            place.aws.online_store,
            site=place,
            network=network(),
            key_arn=KEY,
            client_security_group_id=CLIENT,
            teams=teams,
            opts=capture.provider(),
        )

    return capture.run(program)


@functools.cache
def valkey() -> Graph:
    return build(kind="valkey")


def feature_table(place: Site, project: str, view: str) -> str:
    """Return the name of a view's table, as the feature server is told to call it."""
    told: str = online_store(platform())["online_store"]["table_name_template"]
    return told.replace(f"${{{TABLES}}}", table_prefix(place)).format(project=project, table_name=view)


def long_site() -> Site:
    return Site("p" * 40, "s" * 40, "0123456789abcdef", site().aws)


@pytest.mark.parametrize("recovery", [True, False])
def test_the_table_is_encrypted_paid_by_request_recovered_and_forgets(recovery: bool) -> None:
    made = build(point_in_time_recovery=recovery).one(TABLE)
    assert made.inputs["billingMode"] == "PAY_PER_REQUEST"
    assert made.inputs["serverSideEncryption"] == {"enabled": True, "kmsKeyArn": KEY}
    assert made.inputs["pointInTimeRecovery"]["enabled"] is recovery
    assert made.inputs["ttl"] == {"attributeName": "expires", "enabled": True}


@pytest.mark.parametrize("protected", [True, False])
def test_the_table_is_kept_where_the_stack_is_protected(protected: bool) -> None:
    made = build(protected=protected).one(TABLE)
    assert (made.protect, made.retain_on_delete) == (protected, protected)
    assert made.inputs["deletionProtectionEnabled"] is protected


@pytest.mark.parametrize("place", [site(), long_site()], ids=["short", "long"])
def test_names_of_tables_fit_whatever_a_project_is_called(place: Site) -> None:
    name = feature_table(place, "p" * 63, "view_of_features_" * 5)
    assert TABLE_NAME.fullmatch(name)
    assert name.startswith(table_prefix(place))
    assert TABLE_NAME.fullmatch(live_table(place))


def test_no_table_of_features_is_the_table_of_live_values() -> None:
    assert feature_table(site(), "live", "x") != live_table(site())


def test_each_kind_makes_nothing_of_the_other() -> None:
    dynamodb = build()
    assert not dynamodb.of("aws:elasticache/")
    assert not dynamodb.of("aws:ec2/securityGroup:SecurityGroup")
    assert not valkey().of(TABLE)


def test_valkey_is_encrypted_on_the_way_and_at_rest_and_nobody_has_a_password() -> None:
    made = valkey().one(GROUP).inputs
    assert made["transitEncryptionEnabled"] is True
    assert made["transitEncryptionMode"] == "required"
    assert made["atRestEncryptionEnabled"] is True
    assert made["kmsKeyId"] == KEY
    assert not {"authToken", "authTokenWo"} & made.keys()
    users = valkey().of(USER)
    assert {each.inputs["authenticationMode"]["type"] for each in users} == {"iam"}
    assert not [each for each in users if {"passwords", "noPasswordRequired"} & each.inputs.keys()]


def test_a_user_that_signs_in_by_a_role_has_one_name_and_id_and_is_in_the_group() -> None:
    users = valkey().of(USER)
    assert {each.name for each in users} == {"features", "flights-pipeline", "flights-serving"}
    assert all(each.inputs["userId"] == each.inputs["userName"] for each in users)
    group = valkey().one("aws:elasticache/userGroup:UserGroup").inputs
    assert sorted(group["userIds"]) == sorted(each.inputs["userId"] for each in users)
    assert valkey().one(GROUP).inputs["userGroupIds"] == [group["userGroupId"]]


def test_a_team_s_users_reach_the_team_s_keys_and_its_servers_only_read() -> None:
    rights = access(["flights"])
    for name in ("flights-pipeline", "flights-serving"):
        assert re.findall(r"[~%]\S+", rights[name]) == ["~flights/*"]
        assert rights[name].endswith("-@dangerous")
    assert "+@write" not in rights["flights-serving"]


@pytest.mark.parametrize("place", [site(), long_site()], ids=["short", "long"])
def test_ids_are_such_as_elasticache_takes(place: Site) -> None:
    for name in ("online", "features", "a-team-with-a-rather-long-name-pipeline"):
        assert CACHE_ID.fullmatch(user_id(place, name)), user_id(place, name)


@pytest.mark.parametrize(("replicas", "stands_by"), [(0, False), (1, True), (3, True)])
def test_another_takes_over_where_there_is_one(replicas: int, stands_by: bool) -> None:
    made = build(kind="valkey", replicas=replicas).one(GROUP).inputs
    assert made["numCacheClusters"] == replicas + 1
    assert made["automaticFailoverEnabled"] is made["multiAzEnabled"] is stands_by


def test_only_the_cluster_reaches_valkey() -> None:
    rule = valkey().one("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule").inputs
    assert rule["referencedSecurityGroupId"] == CLIENT
    assert (rule["fromPort"], rule["toPort"]) == (6379, 6379)


@pytest.mark.parametrize("kind", ["dynamodb", "valkey"])
def test_everything_is_tagged(kind: str) -> None:
    assert untagged(build(kind=kind)) == []
