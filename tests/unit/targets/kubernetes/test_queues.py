from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlplat.spec.base import parse
from mlplat.spec.platform import PlatformSpec
from mlplat.targets.kubernetes import queues

CPU = {"node_selector": {"pool": "cpu"}, "max_size": 4}
GPU = {"node_selector": {"pool": "gpu"}, "gpu_count": 4, "max_size": 2}


def platform(**written: Any) -> PlatformSpec:
    whole = {"target": "kubernetes", "engine": {}, "kubernetes": {"context": "c", "production": False}, **written}
    return parse(PlatformSpec, whole, "a test")


def share(spec: PlatformSpec, team: str) -> dict[str, dict[str, str]]:
    """Return a team's quota by flavor and resource."""
    made = queues.cluster_queue(team, spec, queues.flavors(spec))
    return {
        flavor["name"]: {each["name"]: each["nominalQuota"] for each in flavor["resources"]}
        for found in made["spec"].get("resourceGroups", [])
        for flavor in found["flavors"]
    }


@pytest.mark.parametrize(
    ("wanted", "capacity", "given_out"),
    [
        ({"a": 8, "b": 8}, 8, {"a": 4, "b": 4}),
        ({"a": 8, "b": 2}, 16, {"a": 8, "b": 2}),
        ({"a": 8, "b": 2}, None, {"a": 8, "b": 2}),
        ({"a": 1, "b": 1, "c": 1}, 2, {"a": 1, "b": 1, "c": 0}),
        ({"a": 6, "b": 3}, 3, {"a": 2, "b": 1}),
        ({"a": 5, "b": 0}, 0, {"a": 0, "b": 0}),
        ({}, 4, {}),
    ],
)
def test_shares_are_what_is_wanted_or_a_part_in_proportion(
    wanted: dict[str, int], capacity: int | None, given_out: dict[str, int]
) -> None:
    assert queues.shares(wanted, capacity) == given_out


@given(st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 500)), st.integers(0, 1000))
def test_shares_never_promise_more_than_there_is_and_leave_nothing_over(wanted: dict[str, int], capacity: int) -> None:
    made = queues.shares(wanted, capacity)
    assert sum(made.values()) == min(capacity, sum(wanted.values()))
    assert all(0 <= made[name] <= wanted[name] for name in wanted)


def test_a_team_has_its_gpus_where_there_are_some_and_none_elsewhere() -> None:
    spec = platform(pools={"cpu": CPU, "gpu": GPU}, teams={"a": {"gpu": 6, "cpu": 16}, "b": {"gpu": 6, "cpu": 8}})
    assert share(spec, "a") == {
        "cpu": {"cpu": "16", "memory": "128Gi", "nvidia.com/gpu": "0"},
        "gpu": {"cpu": "16", "memory": "128Gi", "nvidia.com/gpu": "4"},
    }


def test_a_shared_gpu_is_promised_in_shares_and_never_whole() -> None:
    spec = platform(pools={"gpu": {**GPU, "shared_by": 4}}, teams={"a": {"gpu": 2}})
    quota = share(spec, "a")["gpu"]
    assert quota["nvidia.com/gpu"] == "0"
    assert quota["nvidia.com/gpu.shared"] == "8"


def test_a_pool_of_some_teams_is_in_no_other_s_queue_and_divided_among_them_alone() -> None:
    teams = {"a": {"gpu": 8}, "b": {"gpu": 8}}
    spec = platform(pools={"cpu": CPU, "gpu": {**GPU, "teams": ["a"]}}, teams=teams)
    assert share(spec, "a")["gpu"]["nvidia.com/gpu"] == "8"
    assert set(share(spec, "b")) == {"cpu"}


def test_model_servers_pools_are_nobody_s_to_queue_for() -> None:
    spec = platform(pools={"cpu": CPU, "answers": {**GPU, "workload": "serving"}}, teams={"a": {}})
    assert [each.name for each in queues.flavors(spec)] == ["cpu"]


def test_jobs_look_at_nodes_without_gpus_first() -> None:
    assert [each.name for each in queues.flavors(platform(pools={"gpu": GPU, "cpu": CPU}))] == ["cpu", "gpu"]


def test_without_pools_any_node_will_do() -> None:
    spec = platform(teams={"a": {"cpu": 4}})
    assert [(each.name, each.labels) for each in queues.flavors(spec)] == [(queues.ANY, {})]
    assert share(spec, "a")[queues.ANY]["cpu"] == "4"


def test_gpu_nodes_ask_a_job_to_tolerate_them_itself() -> None:
    found = {
        each["metadata"]["name"]: each["spec"]
        for each in queues.documents(platform(pools={"gpu": GPU, "cpu": CPU}))
        if each["kind"] == "ResourceFlavor"
    }
    assert found["gpu"]["nodeTaints"] == [{"key": "nvidia.com/gpu", "value": "true", "effect": "NoSchedule"}]
    assert "tolerations" not in found["gpu"]
    assert "nodeTaints" not in found["cpu"]


def test_a_team_s_queue_leads_to_its_share_by_a_name_that_takes_nothing_by_itself() -> None:
    made = queues.local_queue("flights")
    assert made["spec"] == {"clusterQueue": "flights"}
    assert made["metadata"]["namespace"] == "flights"
    assert made["metadata"]["name"] != "default"


def test_a_priority_has_its_value_beside_its_name() -> None:
    found = [each for each in queues.documents(platform()) if each["kind"] == "WorkloadPriorityClass"]
    assert {each["metadata"]["name"]: each["value"] for each in found} == {"urgent": 1000, "usual": 0, "spare": -1000}
