"""What a platform needs of the account's quotas, worked out of its spec, and what the account has left of them.

EC2 counts running machines in vCPUs, by group of families and by way of paying: on-demand and spot are apart, and one
says nothing of the other. A new account usually has 0 for GPUs, and nothing says so while a workload waits.

A quota is what AWS lets an account have. Capacity is what a zone has left to give, and nobody knows it before asking;
an offering is whether a zone has a type at all (`offerings`).
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlplat.errors import MlplatError
from mlplat.spec.platform import PlatformSpec
from mlplat.targets.aws import machines
from mlplat.targets.aws.session import client, telling
from mlplat.targets.aws.site import TAG
from mlplat.targets.findings import Finding

if TYPE_CHECKING:
    import boto3

ON_DEMAND, SPOT = "on-demand", "spot"
STANDARD = "Standard (A, C, D, H, I, M, R, T, Z)"
GROUPS: Mapping[str, str] = {
    **dict.fromkeys(("a", "c", "d", "h", "i", "m", "r", "t", "z", "im", "is"), STANDARD),
    **dict.fromkeys(("g", "gr", "vt"), "G and VT"),
    "p": "P",
    "inf": "Inf",
    "trn": "Trn",
    "dl": "DL",
    "f": "F",
    "x": "X",
    "u": "High Memory",
    "hpc": "HPC",
}
"""Group of families that one quota counts together, by the letters a type begins with. Source: EC2's user guide, on the
quotas of on-demand instances."""
CODES: Mapping[tuple[str, str], str] = {
    (STANDARD, ON_DEMAND): "L-1216C47A",
    (STANDARD, SPOT): "L-34B43A08",
    ("G and VT", ON_DEMAND): "L-DB2E81BA",
    ("G and VT", SPOT): "L-3819A6DF",
    ("P", ON_DEMAND): "L-417A185B",
    ("P", SPOT): "L-7212CCBC",
    ("P5", SPOT): "L-C4BD4855",
    ("Inf", ON_DEMAND): "L-1945791B",
    ("Inf", SPOT): "L-B5D1601B",
    ("Trn", ON_DEMAND): "L-2C3B7624",
    ("Trn", SPOT): "L-6B0D517C",
    ("DL", ON_DEMAND): "L-6E869C2A",
    ("F", ON_DEMAND): "L-74FC7D96",
    ("F", SPOT): "L-88CF9481",
    ("X", ON_DEMAND): "L-7295265B",
    ("X", SPOT): "L-E3A00192",
    ("High Memory", ON_DEMAND): "L-43DA4232",
    ("HPC", ON_DEMAND): "L-F7808C92",
}
"""Code of each quota of EC2, in vCPUs."""
NEWER_P = 5
"""From this generation on, spot machines of the P families are counted apart: one quota for each generation."""
ADDRESSES, NETWORKS = "L-0263D0A3", "L-F678F1CE"
COUNTED = ("pending", "running", "stopping", "shutting-down")
"""States of a machine whose vCPUs count."""


@dataclass(frozen=True)
class Need:
    """What a platform needs of one quota at its most."""

    service: str
    """As Service Quotas calls it: `ec2`, `vpc`."""
    code: str | None
    """Code of the quota; None where its group of families has none that is known here."""
    name: str
    amount: int
    unit: str
    because: str
    """Which parts of the spec ask for it."""


def group(name: str, how: str = ON_DEMAND) -> str:
    """Return the group of families that a type such as `g6e.xlarge` counts in; for an unknown one, its own family."""
    found = re.match(r"([a-z]+)(\d*)", name)
    letters, generation = (found[1], found[2]) if found else ("", "")
    if letters == "p" and how == SPOT and generation and int(generation) >= NEWER_P:
        return f"P{generation}"
    return GROUPS.get(letters, name.partition(".")[0])


def needs(spec: PlatformSpec) -> list[Need]:
    """Return what a stack needs at its most of every quota. Raises `UsageError` for an unknown type.

    Of each pool it is the type with most vCPUs times `max_size`, for every way of paying that it may use: which one it
    will be, nobody knows beforehand. Reserved machines count when they are reserved, not again when they run.
    """
    if spec.aws is None:
        return []
    amounts: dict[tuple[str, str], int] = defaultdict(int)
    because: dict[tuple[str, str], list[str]] = defaultdict(list)
    for who, types, paying, size in _askers(spec):
        for how in paying:
            for counted, vcpus in _largest(types, how).items():
                amounts[counted, how] += vcpus * size
                because[counted, how].append(f"{who} {size} × {vcpus}")
    found = [
        Need("ec2", CODES.get(key), f"{key[1]} {key[0]}", amount, "vCPU", ", ".join(because[key]))
        for key, amount in amounts.items()
    ]
    return [*found, *_places(spec)]


def _askers(spec: PlatformSpec) -> Iterator[tuple[str, list[str], list[str], int]]:
    if spec.aws and not spec.foundation.stack:
        nodes = spec.aws.cluster.system_nodes
        yield "system nodes", list(nodes.instance_types), [ON_DEMAND], nodes.max_size
    if not spec.foundation.only:
        for name, pool in spec.pools.items():
            yield (
                f"pool {name}",
                list(pool.instance_types),
                [w for w in pool.capacity if w != "reserved"],
                pool.max_size,
            )


def _largest(types: Iterable[str], how: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for each in types:
        counted = group(each, how)
        found[counted] = max(found.get(counted, 0), machines.find(each).vcpus)
    return found


def _places(spec: PlatformSpec) -> Iterator[Need]:
    if spec.aws is None or spec.foundation.stack:
        return
    if gateways := spec.aws.network.gateways:
        yield Need("ec2", ADDRESSES, "Elastic IPs", gateways, "addresses", f"{gateways} NAT")
    if spec.aws.network.existing is None:
        yield Need("vpc", NETWORKS, "VPCs", 1, "VPCs", "the network")


def finding(need: Need, quota: float | None, used: int, region: str) -> Finding:
    """Judge one need by the account's quota and what others use of it."""
    what = f"quota {need.name}"
    if quota is None:
        return Finding(
            what, False, f"could not be asked: nobody knows the quota of {need.name}", _console(need, region)
        )
    left = math.floor(quota) - used
    said = f"needs {need.amount} {need.unit} ({need.because}), {left} left of {quota:g}"
    if need.amount <= left:
        return Finding(what, True, said)
    return Finding(what, False, said, f"ask AWS for {need.amount + used}: {_console(need, region)}")


def check(session: boto3.Session, spec: PlatformSpec, deployment: str | None) -> Iterator[Finding]:
    """Yield a finding for every quota. What this deployment itself has made does not count as used."""
    wanted = needs(spec)
    region = spec.aws.region if spec.aws else ""
    machines_used = _vcpus_used(session, deployment) if any(each.unit == "vCPU" for each in wanted) else {}
    for need in wanted:
        try:
            quota = _quota(session, need)
            used = machines_used.get(need.name, 0) if need.unit == "vCPU" else _places_used(session, need, deployment)
        except MlplatError as error:
            yield Finding(f"quota {need.name}", False, f"could not be asked: {error.message}", error.hint)
        else:
            yield finding(need, quota, used, region)


def _quota(session: boto3.Session, need: Need) -> float | None:
    if need.code is None:
        return None
    with telling(f"for the quota {need.name}"):
        asked = client(session, "service-quotas")
        try:
            found = asked.get_service_quota(ServiceCode=need.service, QuotaCode=need.code)
        except asked.exceptions.NoSuchResourceException:
            # Nobody ever asked for more than what every account has.
            found = asked.get_aws_default_service_quota(ServiceCode=need.service, QuotaCode=need.code)
    return float(found["Quota"]["Value"])


def _vcpus_used(session: boto3.Session, deployment: str | None) -> dict[str, int]:
    used: dict[str, int] = defaultdict(int)
    with telling("for the machines that run"):
        pages = client(session, "ec2").get_paginator("describe_instances")
        for page in pages.paginate(Filters=[{"Name": "instance-state-name", "Values": list(COUNTED)}]):
            for machine in (each for one in page["Reservations"] for each in one["Instances"]):
                if not _is_of(machine.get("Tags", []), deployment):
                    used[_counted(machine)] += _cores(machine)
    return used


def _counted(machine: Mapping[str, Any]) -> str:
    how = SPOT if machine.get("InstanceLifecycle") == "spot" else ON_DEMAND
    return f"{how} {group(machine['InstanceType'], how)}"


def _cores(machine: Mapping[str, Any]) -> int:
    options = machine.get("CpuOptions") or {}
    if cores := options.get("CoreCount", 0) * options.get("ThreadsPerCore", 0):
        return int(cores)
    known = machines.table().get(machine["InstanceType"])
    return known.vcpus if known else 0


def _places_used(session: boto3.Session, need: Need, deployment: str | None) -> int:
    asked = client(session, "ec2")
    with telling(f"how many {need.name} there are"):
        if need.code == ADDRESSES:
            found = asked.describe_addresses()["Addresses"]
        else:
            found = [each for page in asked.get_paginator("describe_vpcs").paginate() for each in page["Vpcs"]]
    return sum(not _is_of(each.get("Tags", []), deployment) for each in found)


def _is_of(tags: Iterable[Mapping[str, str]], deployment: str | None) -> bool:
    return deployment is not None and any(tag["Key"] == TAG and tag["Value"] == deployment for tag in tags)


def _console(need: Need, region: str) -> str:
    page = f"https://{region}.console.aws.amazon.com/servicequotas/home/services/{need.service}/quotas"
    return f"{page}/{need.code}" if need.code else page
