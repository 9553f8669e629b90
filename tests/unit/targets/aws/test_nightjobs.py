from __future__ import annotations

import json
from typing import Any

import pytest

import awscluster
from mlplat import versions
from mlplat.spec.aws.cluster import NightsSpec
from mlplat.targets.aws import nightjobs
from mlplat.targets.aws.nightjobs import commands, job, rules
from mlplat.targets.aws.nights import DRAIN_MINUTES
from mlplat.targets.aws.tolerations import tolerates

POOLS = awscluster.pools(cpu={}, gpu={"instance_types": ["g6.xlarge"], "min_size": 1})
STATES: tuple[nightjobs.State, ...] = ("evening", "morning")


def patches(state: nightjobs.State) -> dict[str, Any]:
    found = [each for each in commands(POOLS, state) if each[0] == "patch"]
    return {each[2]: json.loads(each[-1].removeprefix("--patch="))["spec"] for each in found}


def test_pools_are_closed_before_their_nodes_are_taken() -> None:
    """Else Karpenter would make new ones for the pods that lost theirs."""
    *first, last = commands(POOLS, "evening")
    assert {each[0] for each in first} == {"patch"}
    assert last[:4] == ["delete", "nodeclaims.karpenter.sh", "--all", "--wait"]


def test_the_evening_s_gate_is_the_key_that_no_pool_has_itself() -> None:
    """The program says nothing of it, so an `up` at night does not open the pool."""
    assert patches("evening") == {
        "cpu": {"limits": {"pods": "0"}},
        "gpu": {"limits": {"pods": "0"}},
        "gpu-warm": {"replicas": 0},
    }


def test_the_morning_undoes_just_what_the_evening_did() -> None:
    assert patches("morning") == {
        "cpu": {"limits": {"pods": None}},
        "gpu": {"limits": {"pods": None}},
        "gpu-warm": {"replicas": 1},
    }
    assert all(each[0] == "patch" for each in commands(POOLS, "morning"))


@pytest.mark.parametrize("state", STATES)
def test_the_job_may_do_each_of_its_steps_and_no_more(state: nightjobs.State) -> None:
    allowed = {(resource, verb) for rule in rules() for resource in rule["resources"] for verb in rule["verbs"]}
    needed = {
        "patch": {("nodepools", "get"), ("nodepools", "patch")},
        "delete": {("nodeclaims", each) for each in ("get", "list", "watch", "delete")},
    }
    for each in commands(POOLS, state):
        assert needed[each[0]] <= allowed
    assert allowed == needed["patch"] | needed["delete"]
    assert {group for rule in rules() for group in rule["apiGroups"]} == {"karpenter.sh"}


def pod(state: nightjobs.State) -> dict[str, Any]:
    found: dict[str, Any] = job(POOLS, NightsSpec(), state)["jobTemplate"]["spec"]["template"]["spec"]
    return found


@pytest.mark.parametrize("state", STATES)
def test_steps_run_in_order_one_container_each(state: nightjobs.State) -> None:
    spec = pod(state)
    steps = [*spec["initContainers"], *spec["containers"]]
    assert [each["args"][:-1] for each in steps] == commands(POOLS, state)
    assert {each["image"] for each in steps} == {versions.KUBECTL}
    assert len({each["name"] for each in steps}) == len(steps)


@pytest.mark.parametrize("state", STATES)
def test_it_stands_where_there_are_nodes_at_both_hours(state: nightjobs.State) -> None:
    spec = pod(state)
    taint = {"key": "CriticalAddonsOnly", "value": "true", "effect": "NoSchedule"}
    assert tolerates(spec["tolerations"], taint)
    assert spec["nodeSelector"] == {"mlplat/pool": "system"}


@pytest.mark.parametrize("state", STATES)
def test_it_runs_as_nobody_and_writes_nowhere(state: nightjobs.State) -> None:
    spec = pod(state)
    assert spec["securityContext"]["runAsNonRoot"] is True
    for each in [*spec["initContainers"], *spec["containers"]]:
        assert each["securityContext"]["readOnlyRootFilesystem"] is True
        assert each["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_an_evening_is_over_before_the_first_node_of_the_morning() -> None:
    """Its pod is lost with the system nodes; its successor would wait all night, and then close the pools again."""
    deadlines = {
        each: job(POOLS, NightsSpec(), each)["jobTemplate"]["spec"]["activeDeadlineSeconds"] for each in STATES
    }
    assert deadlines["evening"] <= DRAIN_MINUTES * 60
    assert deadlines["morning"] > 0


def test_both_go_by_the_same_clock_as_the_account_s_schedules() -> None:
    nights = NightsSpec(down="19:30", up="06:15", time_zone="Asia/Tokyo", weekends=False)
    evening, morning = (job(POOLS, nights, each) for each in STATES)
    assert (evening["schedule"], morning["schedule"]) == ("30 19 * * *", "15 6 * * *")
    assert evening["timeZone"] == morning["timeZone"] == "Asia/Tokyo"
    assert evening["startingDeadlineSeconds"] == 3600
