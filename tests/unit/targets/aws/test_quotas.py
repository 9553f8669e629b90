"""What a platform needs of an account's quotas, and what the account has left."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws

import awsasked
from mlplat.errors import UsageError
from mlplat.spec.platform import PlatformSpec
from mlplat.targets.aws import machines, quotas
from mlplat.targets.aws.quotas import ADDRESSES, NETWORKS, Need, finding, group, needs
from mlplat.targets.findings import Finding

SPARE = "on-demand Standard (A, C, D, H, I, M, R, T, Z)"


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the credentials of moto's account."""
    awsasked.enter(monkeypatch)


def platform(**pools: dict[str, Any]) -> PlatformSpec:
    """Return a platform with pools."""
    return awsasked.spec(pools=pools)


def amounts(spec: PlatformSpec) -> dict[str, int]:
    """Return the amount of each need."""
    return {each.name: each.amount for each in needs(spec)}


@pytest.mark.parametrize(
    ("name", "how", "counted"),
    [
        ("m7i.large", "on-demand", quotas.STANDARD),
        ("im4gn.large", "on-demand", quotas.STANDARD),
        ("g6e.xlarge", "spot", "G and VT"),
        ("gr6.4xlarge", "spot", "G and VT"),
        ("p4d.24xlarge", "spot", "P"),
        ("p5.48xlarge", "spot", "P5"),
        ("p5.48xlarge", "on-demand", "P"),
        ("trn2.48xlarge", "on-demand", "Trn"),
        ("u7i-12tb.224xlarge", "on-demand", "High Memory"),
        ("zz9.large", "on-demand", "zz9"),
    ],
)
def test_a_type_counts_in_its_group(name: str, how: str, counted: str) -> None:
    assert group(name, how) == counted


def test_every_machine_on_demand_counts_in_a_quota_that_is_known() -> None:
    unknown = {each.family for each in machines.table().values() if (group(each.name), "on-demand") not in quotas.CODES}
    assert unknown == set()


def test_a_pool_needs_its_largest_type_times_its_size_for_every_way_of_paying() -> None:
    pool = {"instance_types": ["g6.xlarge", "g5.12xlarge"], "capacity": ["spot", "on-demand"], "max_size": 3}
    found = amounts(platform(gpu=pool))
    assert found["spot G and VT"] == found["on-demand G and VT"] == 3 * 48


def test_types_of_two_groups_count_in_both() -> None:
    pool = {"instance_types": ["g6.xlarge", "p5.48xlarge"], "max_size": 2}
    found = amounts(platform(gpu=pool))
    assert (found["on-demand G and VT"], found["on-demand P"]) == (2 * 4, 2 * 192)


def test_pools_and_system_nodes_add_up_and_are_named() -> None:
    pool = {"instance_types": ["m7i.xlarge"], "max_size": 5}
    found = {each.name: each for each in needs(platform(cpu=pool, more=pool))}
    assert found[SPARE].amount == 4 * 2 + 2 * 5 * 4
    assert found[SPARE].because == "system nodes 4 × 2, pool cpu 5 × 4, pool more 5 × 4"


def test_reserved_machines_need_no_more_than_was_reserved() -> None:
    pool = {"instance_types": ["p5.48xlarge"], "capacity": ["reserved"], "reservations": ["cr-01234567"], "max_size": 2}
    assert not [name for name in amounts(platform(big=pool)) if name.endswith(" P")]


def test_places_are_needed_where_they_are_made() -> None:
    made = {each.code: each.amount for each in needs(awsasked.spec())}
    assert (made[ADDRESSES], made[NETWORKS]) == (3, 1)
    existing = {
        "vpc_id": "vpc-01234567",
        "cidr": "10.0.0.0/16",
        "private_subnet_ids": [f"subnet-0000000{n}" for n in "123"],
    }
    adopted = {each.code for each in needs(awsasked.spec({"network": {"existing": existing}}))}
    assert adopted.isdisjoint({ADDRESSES, NETWORKS})


def test_a_platform_on_anothers_foundation_needs_its_pools_alone() -> None:
    pools = {"cpu": {"instance_types": ["m7i.xlarge"], "max_size": 5}}
    assert amounts(awsasked.spec(pools=pools, foundation={"stack": "below"})) == {SPARE: 20}
    assert amounts(awsasked.spec(pools=pools, foundation={"only": True}))[SPARE] == 8


def test_a_local_platform_needs_nothing() -> None:
    assert needs(PlatformSpec()) == []


def test_an_unknown_type_is_refused() -> None:
    with pytest.raises(UsageError, match="no instance type"):
        needs(platform(cpu={"instance_types": ["m7i.lrage"], "max_size": 1}))


@given(size=st.integers(1, 1000), more=st.integers(0, 1000))
def test_a_larger_pool_never_needs_less(size: int, more: int) -> None:
    one = amounts(platform(cpu={"instance_types": ["m7i.xlarge"], "max_size": size}))
    other = amounts(platform(cpu={"instance_types": ["m7i.xlarge"], "max_size": size + more}))
    assert other[SPARE] - one[SPARE] == 4 * more


NEED = Need("ec2", "L-1", "vCPUs", 40, "vCPU", "pool cpu 5 × 8")


@pytest.mark.parametrize(
    ("quota", "used", "good"), [(40.0, 0, True), (39.0, 0, False), (64.0, 24, True), (64.0, 25, False), (0.0, 0, False)]
)
def test_a_quota_is_judged_by_what_others_leave_of_it(quota: float, used: int, good: bool) -> None:
    found = finding(NEED, quota, used, "eu-west-1")
    assert found.ok is good
    assert f"{quota - used:g} left of {quota:g}" in found.said
    assert good or f"ask AWS for {40 + used}" in str(found.mend)
    assert good or "eu-west-1.console.aws.amazon.com/servicequotas/home/services/ec2/quotas/L-1" in str(found.mend)


def test_a_quota_that_nobody_knows_is_a_line_of_its_own() -> None:
    found = finding(NEED, None, 0, "eu-west-1")
    assert not found.ok
    assert found.said.startswith("could not be asked")


def quota(value: float) -> dict[str, Any]:
    """Return an answer of Service Quotas."""
    return {"Quota": {"Value": value}}


def asked(spec: PlatformSpec, answers: list[awsasked.Answer], deployment: str | None = None) -> dict[str, Finding]:
    """Check a platform's quotas, as Service Quotas answers."""
    session: Any = awsasked.Session({"service-quotas": answers})
    return {each.what: each for each in quotas.check(session, spec, deployment)}


def machine(deployment: str | None, *, name: str = "m5.large", spot: bool = False) -> dict[str, Any]:
    """Return a machine that runs, as EC2 tells of it."""
    tags = [{"Key": "mlplat:deployment", "Value": deployment}] if deployment else []
    found = {"InstanceType": name, "Tags": tags, "CpuOptions": {"CoreCount": 1, "ThreadsPerCore": 2}}
    return {**found, **({"InstanceLifecycle": "spot"} if spot else {})}


def judged(quotas_of: float, running: list[dict[str, Any]], deployment: str | None) -> dict[str, Finding]:
    """Check the quotas of a pool of four machines of two vCPUs, on-demand or spot, beside what runs."""
    pool = {"instance_types": ["m7i.large", "m6i.large"], "capacity": ["spot", "on-demand"], "max_size": 4}
    spec = awsasked.spec(pools={"cpu": pool}, foundation={"stack": "below"})
    told: dict[str, list[awsasked.Answer]] = {
        "service-quotas": [("get_service_quota", quota(quotas_of))] * 2,
        "ec2": [("describe_instances", {"Reservations": [{"Instances": running}]})],
    }
    session: Any = awsasked.Session(told)
    return {each.what: each for each in quotas.check(session, spec, deployment)}


def test_what_others_run_is_used_and_what_this_deployment_runs_is_not() -> None:
    running = [*[machine("other")] * 2, machine(None), *[machine("mine")] * 4]
    ours = judged(14, running, "mine")[f"quota {SPARE}"]
    assert (ours.ok, ours.said) == (True, "needs 8 vCPU (pool cpu 4 × 2), 8 left of 14")
    theirs = judged(14, running, None)[f"quota {SPARE}"]
    assert (theirs.ok, theirs.said) == (False, "needs 8 vCPU (pool cpu 4 × 2), 0 left of 14")


def test_spot_and_on_demand_and_groups_of_families_are_used_apart() -> None:
    running = [machine("other", spot=True), *[machine("other", name="g6.xlarge")] * 9]
    found = judged(9, running, None)
    assert found[f"quota {SPARE}"].ok
    assert not found[f"quota {SPARE.replace('on-demand', 'spot')}"].ok


def test_a_machine_that_does_not_tell_its_cores_counts_by_its_type() -> None:
    bare = {"InstanceType": "m5.4xlarge"}
    assert "4 left of 20" in judged(20, [bare], None)[f"quota {SPARE}"].said


@mock_aws
def test_addresses_and_networks_that_are_there_are_used() -> None:
    ec2 = boto3.client("ec2", region_name="eu-west-1")
    for _ in range(3):
        ec2.allocate_address(Domain="vpc")
    found = asked(awsasked.spec(), [("get_service_quota", quota(5))] * 3)
    assert not found["quota Elastic IPs"].ok
    assert "2 left of 5" in found["quota Elastic IPs"].said
    # The region's default network is one of the five.
    assert (found["quota VPCs"].ok, found["quota VPCs"].said) == (True, "needs 1 VPCs (the network), 4 left of 5")


@mock_aws
def test_an_account_that_never_asked_has_what_everybody_has() -> None:
    answers: list[awsasked.Answer] = [
        ("get_service_quota", "NoSuchResourceException"),
        ("get_aws_default_service_quota", quota(5)),
        ("get_service_quota", quota(5)),
        ("get_service_quota", quota(5)),
    ]
    assert not asked(awsasked.spec(), answers)[f"quota {SPARE}"].ok


@mock_aws
def test_a_quota_that_could_not_be_asked_is_its_own_line_and_the_others_are_asked() -> None:
    answers: list[awsasked.Answer] = [
        ("get_service_quota", "AccessDeniedException"),
        *[("get_service_quota", quota(9))] * 2,
    ]
    found = asked(awsasked.spec(), answers)
    assert found[f"quota {SPARE}"].said.startswith("could not be asked: AWS does not allow")
    assert found["quota Elastic IPs"].ok
