"""Whether the zones of a stack have what its spec asks for."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from moto import mock_aws

import awsasked
from mlplat.errors import RefusedError
from mlplat.spec.platform import PlatformSpec
from mlplat.targets.aws import offerings
from mlplat.targets.aws.offerings import judge
from mlplat.targets.findings import Finding

ZONES = ("eu-west-1a", "eu-west-1b")


@pytest.fixture(autouse=True)
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have moto's account, and its credentials."""
    awsasked.enter(monkeypatch)
    with mock_aws():
        yield


def session(told: dict[str, list[awsasked.Answer]] | None = None) -> Any:
    """Return a session that asks moto."""
    return awsasked.Session(told)


@pytest.mark.parametrize(
    ("offered", "good", "said"),
    [
        ({"g6.xlarge": ZONES, "g5.xlarge": ZONES}, True, "in every zone"),
        ({"g6.xlarge": ZONES[:1], "g5.xlarge": ZONES[:1]}, True, "not in eu-west-1b"),
        ({"g6.xlarge": ZONES[:1], "g5.xlarge": ZONES[1:]}, True, "in every zone"),
        ({"g6.xlarge": ZONES}, False, "g5.xlarge: in no zone"),
        ({}, False, "g6.xlarge, g5.xlarge: in no zone"),
    ],
)
def test_a_type_that_no_zone_has_is_a_fault_and_a_zone_without_one_is_told(
    offered: dict[str, tuple[str, ...]], good: bool, said: str
) -> None:
    known = {name: frozenset(where) for name, where in offered.items()}
    found = judge("pool gpu", ["g6.xlarge", "g5.xlarge"], known, ZONES)
    assert (found.ok, found.what) == (good, "offering pool gpu")
    assert said in found.said
    assert good or "`pools.gpu.instance_types`" in str(found.mend)


def test_every_pool_and_the_system_nodes_are_looked_at() -> None:
    pools = {
        "cpu": {"instance_types": ["m5.large"], "max_size": 1},
        "odd": {"instance_types": ["m9z.large"], "max_size": 1},
    }
    spec = awsasked.spec({"cluster": {"system_nodes": {"instance_types": ["m5.xlarge"]}}}, pools=pools)
    found = {each.what: each.ok for each in offerings.machines(session(), spec)}
    assert found == {"offering system nodes": True, "offering pool cpu": True, "offering pool odd": False}


def test_a_zone_that_the_account_has_not_is_named() -> None:
    good, bad = (
        next(offerings.zones(session(), awsasked.of(awsasked.spec({"network": {"zones": zones}}))))
        for zones in (["a", "b"], ["a", "f"])
    )
    assert good.ok
    assert not bad.ok
    assert bad.said.startswith("eu-west-1f is not there for this account")
    assert "a, b, c" in str(bad.mend)


def test_a_zone_without_control_planes_is_told_by_its_id_as_letters_differ() -> None:
    ids = {"a": "use1-az3", "b": "use1-az1", "c": "use1-az2"}
    there = [{"ZoneName": f"us-east-1{k}", "ZoneId": each, "State": "available"} for k, each in ids.items()]
    told: dict[str, list[awsasked.Answer]] = {"ec2": [("describe_availability_zones", {"AvailabilityZones": there})]}
    aws = awsasked.of(awsasked.spec({"region": "us-east-1"}))
    (found,) = offerings.zones(session(told), aws)
    assert (found.ok, found.mend) == (False, "set `aws.network.zones` to some of b, c")


def spot(answer: awsasked.Answer) -> Finding:
    """Ask how likely the spot machines of a pool are."""
    pool = {"instance_types": ["g6.xlarge", "g5.xlarge"], "capacity": ["spot", "on-demand"], "max_size": 4}
    spec = awsasked.spec(pools={"gpu": pool})
    (found,) = offerings.spot(session({"ec2": [answer]}), spec)
    return found


def scores(*found: int) -> awsasked.Answer:
    """Return AWS's forecast."""
    listed = [{"Region": "eu-west-1", "Score": score} for score in found]
    return "get_spot_placement_scores", {"SpotPlacementScores": listed}


def test_capacity_is_never_a_fault_as_it_is_known_only_on_trying() -> None:
    assert spot(scores(9)).said == "4 spot machines: 9 of 10 now, by AWS's forecast; known only on trying"
    assert spot(scores(2)).said.endswith("add types of more families")
    refused = spot(("get_spot_placement_scores", "UnauthorizedOperation"))
    assert "AWS gives no forecast" in refused.said
    assert all(each.ok for each in (spot(scores(9)), spot(scores(2)), refused))


def test_pools_without_spot_and_a_foundation_alone_ask_for_no_forecast() -> None:
    pool = {"instance_types": ["g6.xlarge"], "max_size": 4}
    assert list(offerings.spot(session(), awsasked.spec(pools={"gpu": pool}))) == []
    pool = {"instance_types": ["g6.xlarge", "g5.xlarge"], "capacity": ["spot"], "max_size": 4}
    assert list(offerings.spot(session(), awsasked.spec(pools={"gpu": pool}, foundation={"only": True}))) == []


def option(version: str, *zones: str, storage: str = "gp3") -> dict[str, Any]:
    """Return what RDS offers."""
    return {
        "Engine": "postgres",
        "EngineVersion": version,
        "DBInstanceClass": "db.t4g.medium",
        "StorageType": storage,
        "AvailabilityZones": [{"Name": f"eu-west-1{zone}"} for zone in zones],
    }


@pytest.mark.parametrize(
    ("options", "multi_az", "good"),
    [
        ([option("17.2", "a", "b")], True, True),
        ([option("17.2", "a")], True, False),
        ([option("17.2", "a")], False, True),
        ([option("17.2", "f")], False, False),
        ([option("16.9", "a", "b")], False, False),
        ([option("170.1", "a", "b")], False, False),
        ([option("17.2", "a", "b", storage="gp2")], False, False),
        ([], False, False),
    ],
)
def test_a_database_needs_its_class_in_two_zones_to_have_one_stand_by(
    options: list[dict[str, Any]], multi_az: bool, good: bool
) -> None:
    told: list[awsasked.Answer] = [("describe_orderable_db_instance_options", {"OrderableDBInstanceOptions": options})]
    aws = awsasked.of(awsasked.spec({"database": {"multi_az": multi_az}}))
    (found,) = offerings.database(session({"rds": told}), aws)
    assert found.ok is good


def versions(**status: str) -> dict[str, list[awsasked.Answer]]:
    """Return what EKS supports: the status by version, `.` written as `_`."""
    until = datetime(2027, 3, 27, tzinfo=UTC)
    listed = [
        {"clusterVersion": name[1:].replace("_", "."), "versionStatus": each, "endOfStandardSupportDate": until}
        for name, each in status.items()
    ]
    return {"eks": [("describe_cluster_versions", {"clusterVersions": listed})]}


@pytest.mark.parametrize(
    ("status", "good"), [("STANDARD_SUPPORT", True), ("EXTENDED_SUPPORT", False), ("UNSUPPORTED", False)]
)
def test_a_version_that_costs_a_surcharge_is_a_fault(status: str, good: bool) -> None:
    told = versions(v1_35=status, v1_9="UNSUPPORTED", v1_36="STANDARD_SUPPORT", v1_34="STANDARD_SUPPORT")
    (found,) = offerings.kubernetes(session(told), awsasked.of(awsasked.spec()))
    assert found.ok is good
    assert ("until 2027-03-27" in found.said) is good
    assert good or "one of 1.34, 1.36" in str(found.mend)


def test_a_version_that_eks_does_not_know_is_a_fault() -> None:
    (found,) = offerings.kubernetes(session(versions(v1_36="STANDARD_SUPPORT")), awsasked.of(awsasked.spec()))
    assert (found.ok, found.said) == (False, "1.35 is not in standard support")


def test_what_aws_refuses_to_tell_is_raised_as_a_refusal() -> None:
    told: dict[str, list[awsasked.Answer]] = {"eks": [("describe_cluster_versions", "AccessDeniedException")]}
    with pytest.raises(RefusedError, match="which versions EKS has"):
        list(offerings.kubernetes(session(told), awsasked.of(awsasked.spec())))


def test_a_local_platform_asks_for_nothing() -> None:
    assert list(offerings.machines(session(), PlatformSpec())) == []
