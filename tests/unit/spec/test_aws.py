from __future__ import annotations

from typing import Any

import pytest

from mlplat.errors import SpecError
from mlplat.spec.platform import PlatformSpec, parse_platform

ACCOUNT = {"account": "111122223333", "region": "eu-west-1"}
DEV = {**ACCOUNT, "environment": "dev"}
POOL = {"instance_types": ["g6.xlarge"], "max_size": 2}


def platform(**changes: Any) -> PlatformSpec:
    document = {"version": 2, "target": "aws", "engine": {}, "aws": ACCOUNT, **changes}
    return parse_platform(document, "stack test")


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"aws": None}, "`aws` is required for the target `aws`"),
        ({"engine": None}, "`engine` is required"),
        ({"aws": {**ACCOUNT, "account": "12"}}, "aws.account"),
        ({"aws": {**ACCOUNT, "region": "Ireland"}}, "aws.region"),
        ({"aws": {**ACCOUNT, "protected": False}}, "`protected: false` is for `environment: dev` only"),
        ({"aws": {**ACCOUNT, "cluster": {"public_access_cidrs": ["0.0.0.0/0"]}}}, "only `dev` may"),
        ({"aws": {**ACCOUNT, "cluster": {"public_access_cidrs": ["::/0"]}}}, "only `dev` may"),
        ({"aws": {**ACCOUNT, "cluster": {"deletion_protection": False}}}, "cluster.deletion_protection"),
        ({"aws": {**ACCOUNT, "database": {"deletion_protection": False}}}, "database.deletion_protection"),
        ({"aws": {**DEV, "cluster": {"public_access_cidrs": ["10.0.0.1/8"]}}}, "has host bits set"),
        ({"aws": {**DEV, "cluster": {"version": 1.35}}}, "aws.cluster.version"),
        ({"aws": {**DEV, "cluster": {"system_nodes": {"size": 5, "max_size": 3}}}}, "more than `max_size`"),
        ({"aws": {**DEV, "network": {"cidr": "11.12.0.0/16"}}}, "no private network"),
        ({"aws": {**DEV, "network": {"cidr": "10.0.0.0/8"}}}, "not between /16 and /22"),
        ({"aws": {**DEV, "network": {"pod_cidr": "10.1.0.0/16"}}}, "100.64.0.0/10"),
        ({"aws": {**DEV, "network": {"zones": ["a"]}}}, "aws.network.zones"),
        ({"aws": {**DEV, "network": {"zones": ["a", "a"]}}}, "names one twice"),
        ({"aws": {**DEV, "network": {"nat": "none"}}}, "cuts the nodes off"),
        ({"aws": {**DEV, "network": {"isolated": True, "nat": "single"}}}, "exclude each other"),
        ({"aws": {**DEV, "database": {"storage_gib": 50, "max_storage_gib": 50}}}, "max_storage_gib"),
        ({"aws": {**DEV, "backup": {"lock_days": 50}}}, "longer than `keep_days`"),
        ({"aws": {**DEV, "runner": {"enabled": True}}}, "`repository` is required"),
        ({"pools": {"gpu": {**POOL, "min_size": 3}}}, "more than `max_size`"),
        ({"pools": {"gpu": {**POOL, "capacity": ["spot"]}}}, "two families"),
        ({"pools": {"gpu": {**POOL, "capacity": ["reserved"]}}}, "go together"),
        ({"pools": {"gpu": {**POOL, "teams": ["nobody"]}}}, "not among `teams`"),
        ({"cost": {"budget_usd": 100.0}}, "nobody hears of it"),
        ({"foundation": {"stack": "other", "only": True}}, "exclude each other"),
    ],
)
def test_what_cannot_be_meant_is_refused(changes: dict[str, Any], what: str) -> None:
    with pytest.raises(SpecError) as refused:
        platform(**changes)
    assert what in str(refused.value)


def test_production_is_what_nobody_has_to_write() -> None:
    aws = platform().aws
    assert aws is not None
    assert (aws.environment, aws.protected, aws.database.multi_az, aws.network.gateways) == ("prod", True, True, 3)
    assert aws.cluster.public_access_cidrs == []


@pytest.mark.parametrize(
    ("network", "gateways"),
    [
        ({}, 3),
        ({"zones": ["a", "c"]}, 2),
        ({"nat": "single"}, 1),
        ({"isolated": True}, 0),
        (
            {
                "zones": ["a", "b"],
                "existing": {
                    "vpc_id": "vpc-0123456789abcdef0",
                    "cidr": "10.0.0.0/16",
                    "private_subnet_ids": ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"],
                },
            },
            0,
        ),
    ],
)
def test_ways_out_are_as_many_as_the_zones_unless_one_has_to_do(network: dict[str, Any], gateways: int) -> None:
    aws = platform(aws={**ACCOUNT, "network": network}).aws
    assert aws is not None
    assert aws.network.gateways == gateways


def test_a_misspelt_key_of_a_pool_gets_the_right_one_and_where_to_look() -> None:
    with pytest.raises(SpecError) as refused:
        platform(pools={"gpu": {**POOL, "max_szie": 3}})
    assert "pools.gpu.max_szie: unknown key" in str(refused.value)
    assert refused.value.hint == "did you mean `max_size`? `mlplat explain pools.gpu` lists the keys"
