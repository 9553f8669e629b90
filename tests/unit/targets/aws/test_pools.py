from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import awsparts
import awsprogram
import crds
from mlplat.errors import SpecError
from mlplat.spec.base import parse
from mlplat.spec.capacity import PoolSpec
from mlplat.targets.aws import machines, nodeclass, pools
from mlplat.targets.aws.tolerations import tolerates

GPU, SHARED = "nvidia.com/gpu", "nvidia.com/gpu.shared"


def pool(*types: str, **written: Any) -> PoolSpec:
    return parse(PoolSpec, {"instance_types": list(types or ("m7i.xlarge",)), "max_size": 4, **written}, "a test")


def requirement(node_pool: dict[str, Any], key: str) -> dict[str, Any]:
    found: dict[str, Any] = next(
        each for each in node_pool["spec"]["template"]["spec"]["requirements"] if each["key"] == key
    )
    return found


def only(name: str, spec: PoolSpec, **more: Any) -> dict[str, Any]:
    (made,) = pools.node_pools(name, spec, **more)
    return made


def every() -> list[tuple[str, PoolSpec]]:
    """Return the pools of this repository's stacks, and some with settings that no stack has."""
    written = [(name, each) for stack in awsprogram.STACKS for name, each in awsprogram.spec(stack).pools.items()]
    odd = {
        "shared-warm-teams": pool("g6.xlarge", "g6.12xlarge", shared_by=3, min_size=2, teams=["flights"]),
        "arm": pool("m7g.xlarge", labels={"example.com/quiet": "yes"}),
        "always": pool("m7i.xlarge", min_size=4),
    }
    return [*written, *odd.items()]


@pytest.mark.parametrize(("name", "spec"), every(), ids=[name for name, _ in every()])
def test_what_is_made_of_a_pool_fits_the_definitions(name: str, spec: PoolSpec) -> None:
    made = nodeclass.node_class(
        name, spec, site=awsparts.site(), cluster="mlplat-dev", node_role="node", key=awsparts.KEY
    )
    for document in (made, *pools.node_pools(name, spec), *pools.overlays(name, spec)):
        assert crds.problems(document) == []


def test_a_pool_that_is_no_such_thing_would_be_found() -> None:
    made = only("cpu", pool())
    made["spec"]["disruption"]["consolidationPolicy"] = "WhenUnderutilized"
    made["spec"]["tempalte"] = {}
    assert len(crds.problems(made)) == 2


@pytest.mark.parametrize(("name", "spec"), every(), ids=[name for name, _ in every()])
def test_the_rules_that_a_schema_cannot_say_hold(name: str, spec: PoolSpec) -> None:
    """Those that the definitions state as expressions, which the cluster alone evaluates."""
    for made in pools.node_pools(name, spec):
        body = made["spec"]
        if "replicas" in body:
            assert set(body["limits"]) == {"nodes"}
            assert "weight" not in body
            assert int(body["limits"]["nodes"]) > body["replicas"]
        for each in body["template"]["spec"]["requirements"]:
            assert each["values"]
            assert len(each["values"]) >= each.get("minValues", 0)
        for budget in body["disruption"]["budgets"]:
            assert ("schedule" in budget) == ("duration" in budget)
        labels = body["template"]["metadata"]["labels"]
        assert not {each for each in labels if each.split("/")[0].endswith(("karpenter.sh", "k8s.aws"))}
    for overlay in pools.overlays(name, spec):
        assert not {"cpu", "memory", "ephemeral-storage", "pods"} & set(overlay["spec"]["capacity"])


def test_nodes_with_gpus_are_for_who_asks_for_one() -> None:
    spec = pool("g6.xlarge")
    template = only("gpu", spec)["spec"]["template"]
    assert template["spec"]["taints"] == [{"key": GPU, "value": "true", "effect": "NoSchedule"}]
    assert template["metadata"]["labels"]["nvidia.com/gpu.present"] == "true"
    assert "taints" not in only("cpu", pool())["spec"]["template"]["spec"]


def test_a_pool_of_some_teams_is_closed_to_the_others() -> None:
    spec = pool(teams=["flights", "fraud"])
    template = only("ours", spec)["spec"]["template"]
    assert template["spec"]["taints"] == [{"key": "mlplat/team", "value": "ours", "effect": "NoSchedule"}]
    labels = template["metadata"]["labels"]
    assert labels["team.mlplat/flights"] == labels["team.mlplat/fraud"] == "true"


@pytest.mark.parametrize(("name", "spec"), every(), ids=[name for name, _ in every()])
def test_what_a_workload_says_lets_it_onto_the_pool(name: str, spec: PoolSpec) -> None:
    says = pools.tolerations(name, spec)
    assert all(tolerates(says, taint) for taint in pools.taints(name, spec))


@pytest.mark.parametrize(
    ("workload", "policy", "after"),
    [
        ("training", "WhenEmpty", "60m"),
        ("serving", "WhenEmptyOrUnderutilized", "5m"),
        ("general", "WhenEmptyOrUnderutilized", "5m"),
    ],
)
def test_training_is_never_moved_to_save_money(workload: str, policy: str, after: str) -> None:
    disruption = only("pool", pool(workload=workload))["spec"]["disruption"]
    assert (disruption["consolidationPolicy"], disruption["consolidateAfter"]) == (policy, after)
    assert disruption["budgets"] == [{"nodes": "10%"}]


def test_spot_keeps_two_families_open_and_other_ways_of_paying_do_not() -> None:
    spot = only("pool", pool("m7i.xlarge", "c7i.2xlarge", capacity=["spot", "on-demand"]))
    assert requirement(spot, "karpenter.k8s.aws/instance-family")["minValues"] == 2
    assert requirement(spot, "karpenter.sh/capacity-type")["values"] == ["spot", "on-demand"]
    assert "minValues" not in requirement(only("pool", pool()), "karpenter.k8s.aws/instance-family")


@pytest.mark.parametrize(("kind", "architecture"), [("m7i.xlarge", "amd64"), ("m7g.xlarge", "arm64")])
def test_the_architecture_is_that_of_the_types(kind: str, architecture: str) -> None:
    assert requirement(only("pool", pool(kind)), "kubernetes.io/arch")["values"] == [architecture]


@given(
    low=st.integers(0, 5),
    more=st.integers(1, 20),
    types=st.lists(st.sampled_from(["g6.xlarge", "g5.2xlarge", "g6.12xlarge"]), min_size=1, max_size=3, unique=True),
    shares=st.integers(1, 8),
)
def test_the_limit_is_what_max_size_times_the_largest_type_holds(
    low: int, more: int, types: list[str], shares: int
) -> None:
    spec = pool(*types, min_size=low, max_size=low + more, shared_by=shares)
    found = [machines.find(each) for each in types]
    limits = pools.limits(spec)
    assert int(limits["cpu"]) == more * max(each.vcpus for each in found)
    assert int(limits[GPU]) == more * max(each.gpu_count for each in found)
    assert (SHARED in limits) == (shares > 1)
    if shares > 1:
        assert int(limits[SHARED]) == int(limits[GPU]) * shares


def test_warm_nodes_are_a_pool_of_their_own_beside_one_that_grows() -> None:
    growing, warm = pools.node_pools("serving", pool("g6.xlarge", min_size=1, max_size=6))
    assert growing["metadata"]["name"] == "serving"
    assert growing["spec"]["limits"]["cpu"] == str(5 * 4)
    assert warm["metadata"]["name"] == "serving-warm"
    assert warm["spec"]["replicas"] == 1
    both = [each["spec"]["template"]["metadata"]["labels"] for each in (growing, warm)]
    assert [each["mlplat/pool"] for each in both] == ["serving", "serving"]
    assert [each.get("mlplat/warm") for each in both] == [None, "true"]
    assert len(pools.node_pools("all", pool(min_size=4, max_size=4))) == 1


def test_a_shared_gpu_s_shares_are_known_before_there_is_a_node() -> None:
    spec = pool("g6.xlarge", "g5.xlarge", "g6.12xlarge", shared_by=4, min_size=1)
    one, four = pools.overlays("serving", spec)
    assert one["spec"]["capacity"] == {SHARED: "4"}
    assert four["spec"]["capacity"] == {SHARED: "16"}
    at = {each["key"]: each["values"] for each in one["spec"]["requirements"]}
    assert at["karpenter.sh/nodepool"] == ["serving", "serving-warm"]
    assert at["node.kubernetes.io/instance-type"] == ["g6.xlarge", "g5.xlarge"]
    assert pools.labels("serving", spec)["nvidia.com/device-plugin.config"] == "shared-4"
    assert pools.overlays("whole", pool("g6.xlarge")) == []


def test_only_what_a_pool_asks_for_of_the_unfinished_is_on() -> None:
    plain = pools.gates({"cpu": pool()})
    assert [name for name, on in plain.items() if on] == ["reservedCapacity"]
    both = pools.gates({"a": pool("g6.xlarge", shared_by=2), "b": pool(min_size=1)})
    assert {name for name, on in both.items() if on} == {"reservedCapacity", "nodeOverlay", "staticCapacity"}


def test_the_evening_does_not_wait_a_day_for_a_node() -> None:
    awake, sleeping = (only("pool", pool(), sleeps=each) for each in (False, True))
    assert awake["spec"]["template"]["spec"]["terminationGracePeriod"] == "24h"
    assert sleeping["spec"]["template"]["spec"]["terminationGracePeriod"] == "20m"


@pytest.mark.parametrize(
    ("name", "spec", "says"),
    [
        ("gpu", pool("g6.xlrage"), "no instance type"),
        ("gpu", pool("g6.xlarge", "m7i.large"), "with and without GPUs"),
        ("gpu", pool("g6f.xlarge"), "part of a GPU"),
        ("mixed", pool("m7i.large", "m7g.large"), "architectures"),
        ("cpu", pool(shared_by=2), "no GPU to share"),
        ("fast", pool(efa=True), "known to have EFA"),
        ("fast", pool("g6e.24xlarge", "g6e.48xlarge", efa=True), "2 and 4 EFA cards"),
        ("system", pool(), "the platform's own nodes"),
        ("n" * 60, pool(min_size=1), "too long a name"),
    ],
)
def test_a_pool_that_no_machine_fits_is_refused_with_its_place(name: str, spec: PoolSpec, says: str) -> None:
    with pytest.raises(SpecError, match=says) as refused:
        pools.check({name: spec})
    assert f"pools.{name}" in refused.value.message


def test_all_problems_are_said_at_once() -> None:
    with pytest.raises(SpecError) as refused:
        pools.check({"one": pool("nope.large"), "two": pool(shared_by=2)})
    assert len(refused.value.problems) == 2


def test_the_name_of_warm_nodes_is_taken() -> None:
    with pytest.raises(SpecError, match="warm nodes of `a`"):
        pools.check({"a": pool(min_size=1), "a-warm": pool()})


@pytest.mark.parametrize("stack", awsprogram.STACKS)
def test_the_stacks_of_this_repository_are_fine(stack: str) -> None:
    pools.check(awsprogram.spec(stack).pools)
