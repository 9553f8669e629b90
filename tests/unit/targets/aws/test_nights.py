from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import awsparts
import capture
from capture import Graph
from mlplat.errors import UsageError
from mlplat.spec.aws.cluster import NightsSpec, SystemNodesSpec
from mlplat.targets.aws import nights, pools
from mlplat.targets.aws.nights import Nights, moments, scaling

SCHEDULE = "aws:scheduler/schedule:Schedule"
TIMES = st.builds("{:02}:{:02}".format, st.integers(0, 23), st.integers(0, 59))


def spec(**written: Any) -> NightsSpec:
    return NightsSpec(**written)


def made(environment: str = "dev", boundary: str | None = None, **written: Any) -> Graph:
    site = awsparts.site(
        environment=environment,
        cluster={"nights": written, "system_nodes": {"size": 2, "max_size": 5}},
        identities={"boundary": boundary},
    )
    return capture.run(
        lambda: Nights(
            "nights",
            site.aws,
            site=site,
            cluster_name="cluster",
            group_name="system",
            database="mlplat-dev",
            key_arn=awsparts.KEY,
            opts=capture.provider(),
        )
    )


@pytest.mark.parametrize(
    ("written", "step", "scheduler", "cron"),
    [
        ({}, "pools_close", "cron(0 20 * * ? *)", "0 20 * * *"),
        ({}, "nodes_leave", "cron(30 20 * * ? *)", "30 20 * * *"),
        ({}, "nodes_return", "cron(0 7 ? * MON-FRI *)", "0 7 * * 1-5"),
        ({}, "pools_open", "cron(0 7 ? * MON-FRI *)", "0 7 * * 1-5"),
        ({"weekends": False}, "pools_open", "cron(0 7 * * ? *)", "0 7 * * *"),
        ({"down": "23:45"}, "nodes_leave", "cron(15 0 * * ? *)", "15 0 * * *"),
        ({"down": "01:05", "up": "09:30"}, "pools_open", "cron(30 9 ? * MON-FRI *)", "30 9 * * 1-5"),
    ],
)
def test_each_step_comes_at_its_time(written: dict[str, Any], step: nights.Step, scheduler: str, cron: str) -> None:
    moment = moments(spec(**written))[step]
    assert (moment.scheduler(), moment.cron()) == (scheduler, cron)


@given(down=TIMES, up=TIMES, weekends=st.booleans())
def test_nodes_leave_half_an_hour_after_the_pools_and_come_before_them(down: str, up: str, weekends: bool) -> None:
    when = moments(spec(down=down, up=up, weekends=weekends))
    minutes = {step: each.hour * 60 + each.minute for step, each in when.items()}
    assert (minutes["nodes_leave"] - minutes["pools_close"]) % 1440 == nights.DRAIN_MINUTES
    assert minutes["nodes_return"] == minutes["pools_open"]
    assert not when["pools_close"].weekdays_only


def test_a_node_waits_for_its_pods_for_less_than_the_evening_takes() -> None:
    assert int(pools.EVENING_GRACE.removesuffix("m")) < nights.DRAIN_MINUTES - 5


def test_four_schedules_in_the_time_zone_of_people() -> None:
    graph = made(time_zone="Europe/Dublin")
    found = {each.name: each.inputs for each in graph.of(SCHEDULE)}
    assert set(found) == {"nodes-leave", "nodes-return", "database-stops", "database-starts"}
    assert {each["scheduleExpressionTimezone"] for each in found.values()} == {"Europe/Dublin"}
    assert all(each["flexibleTimeWindow"] == {"mode": "OFF"} for each in found.values())


def test_a_schedule_says_what_it_wants_in_the_sdk_s_spelling() -> None:
    targets = {each.name: each.inputs["target"] for each in made().of(SCHEDULE)}
    leaves = json.loads(targets["nodes-leave"]["input"])
    assert targets["nodes-leave"]["arn"] == "arn:aws:scheduler:::aws-sdk:eks:updateNodegroupConfig"
    assert leaves == {
        "ClusterName": "cluster",
        "NodegroupName": "system",
        "ScalingConfig": {"MinSize": 0, "MaxSize": 5, "DesiredSize": 0},
    }
    assert json.loads(targets["nodes-return"]["input"])["ScalingConfig"]["DesiredSize"] == 2
    assert targets["database-stops"]["arn"] == "arn:aws:scheduler:::aws-sdk:rds:stopDBInstance"
    assert json.loads(targets["database-stops"]["input"]) == {"DbInstanceIdentifier": "mlplat-dev"}


def test_the_role_may_do_that_and_nothing_else() -> None:
    graph = made()
    account = awsparts.ACCOUNT
    nodes, database, text = awsparts.statements(graph.one("aws:iam/rolePolicy:RolePolicy"))
    assert nodes["Action"] == ["eks:UpdateNodegroupConfig"]
    assert nodes["Resource"] == [f"arn:aws:eks:eu-west-1:{account}:nodegroup/cluster/system/*"]
    assert database["Action"] == ["rds:StopDBInstance", "rds:StartDBInstance"]
    assert database["Resource"] == [f"arn:aws:rds:eu-west-1:{account}:db:mlplat-dev"]
    assert text["Action"] == ["kms:Decrypt"]
    (trust,) = awsparts.statements(graph.one("aws:iam/role:Role"), "assumeRolePolicy")
    group = graph.one("aws:scheduler/scheduleGroup:ScheduleGroup").inputs["name"]
    assert trust["Condition"]["ArnLike"]["aws:SourceArn"].endswith(f":schedule-group/{group}")
    assert {each.inputs["groupName"] for each in graph.of(SCHEDULE)} == {group}


def test_no_schedule_comes_before_its_role_may_do_what_it_says() -> None:
    graph = made()
    for each in graph.of(SCHEDULE):
        assert "aws:iam/rolePolicy:RolePolicy::nights" in each.depends_on


def test_the_boundary_and_the_tags_are_on_all_of_it() -> None:
    graph = made(boundary=f"arn:aws:iam::{awsparts.ACCOUNT}:policy/boundary")
    assert graph.one("aws:iam/role:Role").inputs["permissionsBoundary"].endswith("boundary")
    assert awsparts.untagged(graph) == []


@pytest.mark.parametrize(
    ("environment", "written", "says"),
    [
        ("prod", {}, "production"),
        ("dev", {"down": "07:00", "up": "07:00"}, "no night"),
        ("dev", {"down": "07:00", "up": "07:20"}, "no night"),
        ("dev", {"time_zone": "Europe/Dubln"}, "no time zone"),
    ],
)
def test_nights_that_would_hurt_are_refused(environment: str, written: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        nights.check(awsparts.aws(environment=environment, cluster={"nights": written}))


def test_without_nights_there_is_nothing_to_check() -> None:
    nights.check(awsparts.aws(environment="prod"))


def test_the_largest_size_stays_at_night() -> None:
    nodes = SystemNodesSpec(size=3, max_size=7)
    assert scaling(nodes, asleep=True) == {"MinSize": 0, "MaxSize": 7, "DesiredSize": 0}
    assert scaling(nodes, asleep=False) == {"MinSize": 0, "MaxSize": 7, "DesiredSize": 3}
