"""Whether AWS offers, in the zones of a stack, what its spec asks for.

An offering says that a zone has a type at all. Whether it has one left is its capacity, which nobody knows before
asking for it; for spot machines AWS says how likely it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from mlplat.errors import MlplatError
from mlplat.spec.aws import AwsSpec
from mlplat.spec.platform import PlatformSpec
from mlplat.targets.aws.session import client, telling
from mlplat.targets.findings import Finding

if TYPE_CHECKING:
    import boto3

NO_CONTROL_PLANE = frozenset({"use1-az3", "usw1-az2", "cac1-az3"})
"""Zones in which EKS refuses a control plane, by their ids: their letters differ from account to account. Source: EKS's
user guide, on the requirements of subnets."""
UNLIKELY = 3
"""Of 10: from here down AWS says that a request for spot machines is likely to fail."""


def zones(session: boto3.Session, aws: AwsSpec) -> Iterator[Finding]:
    """Yield whether the account has the stack's zones, they are up, and EKS puts a control plane there."""
    with telling("which zones there are"):
        found = client(session, "ec2").describe_availability_zones()["AvailabilityZones"]
    fit = {
        each["ZoneName"] for each in found if each["State"] == "available" and each["ZoneId"] not in NO_CONTROL_PLANE
    }
    wrong = [each for each in aws.zones if each not in fit]
    if not wrong:
        yield Finding("zones", True, ", ".join(aws.zones))
        return
    letters = ", ".join(sorted(each.removeprefix(aws.region) for each in fit))
    said = f"{', '.join(wrong)} is not there for this account, is down, or has no control plane of EKS"
    yield Finding("zones", False, said, f"set `aws.network.zones` to some of {letters}")


def judge(who: str, types: Iterable[str], offered: Mapping[str, frozenset[str]], wanted: Iterable[str]) -> Finding:
    """Judge what one pool asks for by the zones in which each of its types is offered."""
    types, wanted = list(types), list(wanted)
    nowhere = [each for each in types if not offered.get(each)]
    covered = {zone for each in types for zone in offered.get(each, frozenset())}
    if len(nowhere) == len(types):
        mend = f"choose types that the region has, in `{_key(who)}`"
        return Finding(f"offering {who}", False, f"{', '.join(types)}: in no zone of the stack", mend)
    if nowhere:
        mend = f"remove what the stack's zones do not have from `{_key(who)}`"
        return Finding(f"offering {who}", False, f"{', '.join(nowhere)}: in no zone of the stack", mend)
    without = [zone for zone in wanted if zone not in covered]
    said = f"in every zone: {', '.join(types)}" if not without else f"not in {', '.join(without)}, but elsewhere"
    return Finding(f"offering {who}", True, said)


def machines(session: boto3.Session, spec: PlatformSpec) -> Iterator[Finding]:
    """Yield whether the system nodes' and each pool's types are offered in the stack's zones."""
    if spec.aws is None:
        return
    asking = dict(_asking(spec))
    offered = _offered(session, {each for types in asking.values() for each in types}, spec.aws.zones)
    for who, types in asking.items():
        yield judge(who, types, offered, spec.aws.zones)


def _asking(spec: PlatformSpec) -> Iterator[tuple[str, list[str]]]:
    if spec.aws and not spec.foundation.stack:
        yield "system nodes", list(spec.aws.cluster.system_nodes.instance_types)
    if not spec.foundation.only:
        yield from ((f"pool {name}", list(pool.instance_types)) for name, pool in spec.pools.items())


def _offered(session: boto3.Session, types: set[str], zones: Iterable[str]) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    with telling("which types the zones have"):
        pages = client(session, "ec2").get_paginator("describe_instance_type_offerings")
        filters = [{"Name": "instance-type", "Values": sorted(types)}, {"Name": "location", "Values": list(zones)}]
        for page in pages.paginate(LocationType="availability-zone", Filters=filters):
            for each in page["InstanceTypeOfferings"]:
                found.setdefault(each["InstanceType"], set()).add(each["Location"])
    return {each: frozenset(where) for each, where in found.items()}


def spot(session: boto3.Session, spec: PlatformSpec) -> Iterator[Finding]:
    """Yield how likely AWS gives the spot machines of each pool at its most: a forecast, so never a fault."""
    if spec.aws is None or spec.foundation.only:
        return
    for name, pool in spec.pools.items():
        if "spot" in pool.capacity:
            yield _likely(session, spec.aws.region, name, list(pool.instance_types), pool.max_size)


def _likely(session: boto3.Session, region: str, name: str, types: list[str], size: int) -> Finding:
    what = f"capacity pool {name}"
    try:
        with telling("how likely spot machines are"):
            found = client(session, "ec2").get_spot_placement_scores(
                InstanceTypes=types, TargetCapacity=size, TargetCapacityUnitType="units", RegionNames=[region]
            )["SpotPlacementScores"]
    except MlplatError as error:
        # Whoever may bring a stack up need not have this right, and nothing depends on it.
        return Finding(what, True, f"known only on trying; AWS gives no forecast: {error.message}")
    score = max((each["Score"] for each in found), default=0)
    said = f"{size} spot machines: {score} of 10 now, by AWS's forecast; known only on trying"
    return Finding(what, True, said + ("; add types of more families" if score <= UNLIKELY else ""))


def database(session: boto3.Session, aws: AwsSpec) -> Iterator[Finding]:
    """Yield whether RDS offers the database's class and version in the stack's zones."""
    wanted = aws.database
    with telling("which classes RDS has"):
        pages = client(session, "rds").get_paginator("describe_orderable_db_instance_options")
        asked = pages.paginate(Engine="postgres", DBInstanceClass=wanted.instance_class, Vpc=True)
        found = [
            each for page in asked for each in page["OrderableDBInstanceOptions"] if _is_version(each, wanted.version)
        ]
    fitting = [each for each in found if each.get("StorageType") == "gp3"]
    places = {zone["Name"] for each in fitting for zone in each["AvailabilityZones"]} & set(aws.zones)
    enough = len(places) > 1 if wanted.multi_az else bool(places)
    where = ", ".join(sorted(places)) or "in no zone of the stack"
    said = f"{wanted.instance_class}, PostgreSQL {wanted.version}: {where}"
    mend = "choose another `aws.database.instance_class` or `version`"
    mend += ": RDS needs it in two zones, to have one stand by" if wanted.multi_az else ""
    yield Finding("offering database", enough, said, None if enough else mend)


def _is_version(option: Mapping[str, str], wanted: str) -> bool:
    return f"{option['EngineVersion']}.".startswith(f"{wanted}.")


def kubernetes(session: boto3.Session, aws: AwsSpec) -> Iterator[Finding]:
    """Yield whether EKS supports the cluster's version without a surcharge."""
    with telling("which versions EKS has"):
        pages = client(session, "eks").get_paginator("describe_cluster_versions")
        found = {
            each["clusterVersion"]: each for page in pages.paginate(includeAll=True) for each in page["clusterVersions"]
        }
    standard = sorted((each for each in found if _in_support(found[each])), key=_order)
    wanted = found.get(aws.cluster.version)
    good = aws.cluster.version in standard
    until = wanted.get("endOfStandardSupportDate") if wanted else None
    said = f"{aws.cluster.version} in standard support" + (f" until {until:%Y-%m-%d}" if until and good else "")
    said = said if good else f"{aws.cluster.version} is not in standard support"
    mend = f"set `aws.cluster.version` to one of {', '.join(standard)}; go up one minor version at a time"
    yield Finding("kubernetes version", good, said, None if good else mend)


def _in_support(version: Mapping[str, str]) -> bool:
    return version.get("versionStatus", version.get("status", "")).upper().replace("-", "_") == "STANDARD_SUPPORT"


def _order(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _key(who: str) -> str:
    name = who.removeprefix("pool ")
    return f"pools.{name}.instance_types" if name != who else "aws.cluster.system_nodes.instance_types"
