"""What ending a stack of a cloud's does: what goes, and what stays because it holds data.

What stays is what the program retains (`retain_on_delete`) with all its settings and all it stands on, and it stays in
the state as well: the next `up` goes on with it, where one that had been forgotten would be "already there".
What is paid by the hour never stays: a database leaves a snapshot.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

State = Mapping[str, Any]
STACK, PROVIDERS = "pulumi:pulumi:Stack", "pulumi:providers:"
HOURLY = frozenset(
    {"aws:rds/instance:Instance", "aws:rds/cluster:Cluster", "aws:elasticache/replicationGroup:ReplicationGroup"}
)
"""Types that hold data and are paid while they stand, so that they go; RDS leaves a last snapshot."""
SECRET = "aws:secretsmanager/secret:Secret"  # noqa: S105 - a type
SETTINGS = ("aws:s3/", "aws:kms/", "aws:ecr/", "aws:dynamodb/", "aws:secretsmanager/", "aws:backup/")
"""Modules whose resources, where they stand on something that stays, are its settings: a bucket without its refusal of
public access would be kept and open."""
VAULT_LOCK = "aws:backup/vaultLockConfiguration:VaultLockConfiguration"
"""Type of what nobody can take from a vault, nor the vault from the account, before its last copy has expired."""
LOCKED = {"aws:eks/cluster:Cluster": "name", "aws:rds/instance:Instance": "identifier"}
"""Types that AWS refuses to delete while their `deletionProtection` is on, and the output that names them."""


@dataclass(frozen=True)
class Ending:
    """A stack's resources, told apart."""

    goes: tuple[str, ...]
    """URNs of all that is ended, components without anything left in them included."""
    stays: tuple[str, ...]
    """URNs of what holds data, and of what that stands on."""
    guarded: tuple[str, ...]
    """URNs of what is ended although it is protected."""
    locked: tuple[tuple[str, str], ...]
    """Type and name of what AWS itself refuses to delete until that is taken back."""


def of(resources: Sequence[State], *, delete_data: bool = False) -> Ending:
    """Tell apart what an `up` made. With `delete_data` everything goes that can: a locked vault of copies cannot."""
    by_urn = {str(each["urn"]): each for each in resources}
    wanted = _is_locked_up if delete_data else _is_kept
    kept = _with_all_of(by_urn, {urn for urn, each in by_urn.items() if wanted(each)})
    goes = [urn for urn, each in by_urn.items() if urn not in kept and each["type"] != STACK]
    return Ending(
        goes=tuple(goes),
        stays=tuple(urn for urn in by_urn if urn in kept and by_urn[urn]["type"] != STACK),
        guarded=tuple(urn for urn in goes if by_urn[urn].get("protect")),
        locked=tuple(found for urn in goes if (found := _locked(by_urn[urn]))),
    )


def loosened(resources: Sequence[State], ending: Ending, now: datetime) -> list[dict[str, Any]]:
    """Return a state in which what is to go may go: it is not protected, nor left standing in the account.

    A last snapshot gets a name with the time in it: the one of the time before still has the plain name.
    """
    goes = set(ending.goes)
    return [_loose(each, now) if str(each["urn"]) in goes else dict(each) for each in resources]


def counted(resources: Sequence[State], urns: Sequence[str]) -> dict[str, int]:
    """Return how many real things of each type there are among some of a stack's, most first."""
    chosen, found = set(urns), dict[str, int]()
    for each in resources:
        if str(each["urn"]) in chosen and each.get("custom") and not each["type"].startswith(PROVIDERS):
            kind = str(each["type"]).rsplit(":", maxsplit=1)[-1]
            found[kind] = found.get(kind, 0) + 1
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def names(resources: Sequence[State], urns: Sequence[str]) -> list[str]:
    """Return what AWS calls the things that are retained among some of a stack's, as `type name`."""
    chosen = set(urns)
    return [
        f"{str(each['type']).rsplit(':', maxsplit=1)[-1].lower()} {each.get('id', '')}"
        for each in resources
        if str(each["urn"]) in chosen and each.get("retainOnDelete")
    ]


def _is_kept(resource: State) -> bool:
    return resource["type"] not in HOURLY and _holds_data(resource)


def _is_locked_up(resource: State) -> bool:
    return bool(resource["type"] == VAULT_LOCK)


def _with_all_of(by_urn: Mapping[str, State], found: set[str]) -> set[str]:
    """Return URNs with those of their settings, and of all that they stand on."""
    # A setting may stand on another one: go round until nothing more is found.
    while more := {
        urn
        for urn, each in by_urn.items()
        if urn not in found and str(each["type"]).startswith(SETTINGS) and found & set(_stands_on(each, deep=False))
    }:
        found |= more
    ahead = list(found)
    while ahead:
        below = {urn for urn in _stands_on(by_urn[ahead.pop()], deep=True) if urn in by_urn} - found
        found |= below
        ahead += below
    return found


def _holds_data(resource: State) -> bool:
    if resource.get("retainOnDelete"):
        return True
    # Secrets Manager keeps the name of a deleted secret for those days, and the next `up` could not make it.
    return bool(resource["type"] == SECRET and (resource.get("inputs") or {}).get("recoveryWindowInDays", 30))


def _stands_on(resource: State, *, deep: bool) -> list[str]:
    """Return the URNs that a resource depends on; `deep` counts its parent and provider too."""
    told = list(resource.get("dependencies") or [])
    told += [urn for each in (resource.get("propertyDependencies") or {}).values() for urn in each or []]
    if deep:
        told += [str(resource.get("provider") or "").rpartition("::")[0], str(resource.get("parent") or "")]
    return [each for each in dict.fromkeys(told) if each]


def _locked(resource: State) -> tuple[str, str] | None:
    kind, outputs = str(resource["type"]), resource.get("outputs") or {}
    if kind not in LOCKED or not outputs.get("deletionProtection"):
        return None
    return kind, str(outputs.get(LOCKED[kind]) or resource.get("id"))


def _loose(resource: State, now: datetime) -> dict[str, Any]:
    made = {key: value for key, value in resource.items() if key not in ("protect", "retainOnDelete")}
    for part in ("inputs", "outputs"):
        values = made.get(part) or {}
        if name := values.get("finalSnapshotIdentifier"):
            made[part] = {**values, "finalSnapshotIdentifier": f"{name}-{now:%Y%m%d-%H%M%S}"}
    return made
