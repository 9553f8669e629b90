"""Changes of a production's spec, and what each is known to do to what is there: the list that the documents show."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import createonly
from capture import Graph

IN_PLACE, REPLACES, REFUSED = "in place", "replaces", "refused"


@dataclass(frozen=True)
class Change:
    """One change of the spec."""

    says: str
    values: dict[str, Any]
    outcome: str
    kinds: tuple[str, ...] = field(default=())
    """Kinds that are replaced, or whose replacement or end the engine refuses, in the order of their names."""
    but: str = ""
    """What a reader must know beside it."""


def outcome(before: Graph, after: Graph) -> tuple[str, tuple[str, ...]]:
    """Return what a change does: nothing is replaced, something is, or what is protected would be or would end."""
    gone = {*createonly.replaced(before, after), *createonly.deleted(before, after)}
    lost = [each for each in before if each.key in gone and each.protect]
    if lost:
        return REFUSED, _kinds(lost)
    again = [each for each in before if each.key in createonly.replaced(before, after)]
    return (REPLACES, _kinds(again)) if again else (IN_PLACE, ())


def _kinds(made: list[Any]) -> tuple[str, ...]:
    return tuple(sorted({each.type.rpartition(":")[2] for each in made}))


CHANGES: tuple[Change, ...] = (
    Change("a larger disk of the database", {"aws.database.storage_gib": 200}, IN_PLACE),
    Change("PostgreSQL 18", {"aws.database.version": "18"}, REPLACES, ("ParameterGroup",)),
    Change("the next Kubernetes", {"aws.cluster.version": "1.36"}, IN_PLACE),
    Change(
        "other machines for the system",
        {"aws.cluster.system_nodes.instance_types": ["m7a.large"]},
        REPLACES,
        ("NodeGroup",),
    ),
    Change("larger disks for the system", {"aws.cluster.system_nodes.disk_gib": 100}, IN_PLACE),
    Change("another range for the network", {"aws.network.cidr": "10.80.0.0/16"}, REFUSED, ("Vpc",)),
    Change("a zone less", {"aws.network.zones": ["a", "b"]}, REPLACES, ("NodeGroup",)),
    Change("one way out instead of three", {"aws.network.nat": "single"}, IN_PLACE),
    Change(
        "another name of the platform",
        {"name": "other"},
        REFUSED,
        ("Bucket", "Cluster", "Repository", "Table", "Vault"),
    ),
    Change("an owner", {"owner": "somebody-else"}, IN_PLACE),
    Change("Valkey instead of DynamoDB", {"aws.online_store": {"kind": "valkey"}}, REFUSED, ("Table",)),
    Change("fixed shards for the stream", {"aws.stream.shards": 4}, IN_PLACE),
    Change("a project more", {"aws.images.projects": ["flights", "hotels"]}, IN_PLACE),
    Change("a project less", {"aws.images.projects": []}, REFUSED, ("Repository",)),
    Change("another domain", {"aws.domain.name": "other.example.com"}, REFUSED, ("Zone",)),
    Change("backups off", {"aws.backup": {"enabled": False}}, REFUSED, ("Vault",)),
)
