"""Erasing an entity everywhere, so that it is done whenever it was interrupted: run again, it goes on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from mlplat.errors import RefusedError, UnreachableError
from mlplat.runtime.snapshots.holders import Holder
from mlplat.runtime.snapshots.store import Snapshots
from mlplat.runtime.snapshots.tombstones import Held, Tombstone, Tombstones

SILENT = (UnreachableError, RefusedError)
"""What a holder raises that cannot be looked into: the others are, and it is said of this one."""


def plan(holders: Sequence[Holder], column: str, value: str) -> tuple[list[Held], list[str]]:
    """Return what holds an entity's rows now, and what could not be looked into."""
    found: list[Held] = []
    unreached: list[str] = []
    for holder in holders:
        try:
            found += holder.find(column, value)
        except SILENT as error:
            unreached.append(_said(holder.name, error))
    return found, unreached


def erase(
    holders: Sequence[Holder],
    tombstones: Tombstones,
    column: str,
    value: str,
    *,
    reason: str,
    now: datetime,
    versions: Sequence[dict[str, str]],
    unreached: Sequence[str] = (),
) -> Tombstone:
    """Erase an entity's rows from every holder; return the tombstone, which names what an earlier attempt did as well.

    `versions` are the model's, as `version` and `data`. What is to be done is written down before it is, so that both
    hashes of an item are known also when this process ends between the two. The tombstone comes first of all: from then
    on no run takes the entity's rows from their source.
    """
    time = now.isoformat(timespec="seconds")
    known = tombstones.find(column, value)
    made = known or Tombstone(tombstones.digest(column, value), column, reason, begun=time)
    made.ended, made.unreached = None, list(unreached)
    tombstones.write(made)
    held_now, silent = plan(holders, column, value)
    made.unreached += silent
    # What an earlier attempt began comes first: it has a hash that is not known yet.
    begun = [held for held in made.held if not held.done]
    done = [held for held in made.held if held.done]
    named = {(held.holder, held.item, held.before) for held in begun}
    found = [held for held in held_now if (held.holder, held.item, held.before) not in named]
    made.held = [*done, *begun, *found]
    made.models = _seen_by(made.held, versions, tombstones)
    tombstones.write(made)
    by_name = {holder.name: holder for holder in holders}
    for place, held in enumerate(made.held):
        if held.done or held.holder not in by_name:
            continue
        try:
            after = by_name[held.holder].erase(held, column, value)
        except SILENT as error:
            made.unreached.append(_said(held.holder, error))
            continue
        made.held[place] = replace(held, after=after, done=True)
        tombstones.write(made)
    made.unreached = list(dict.fromkeys(made.unreached))
    made.ended = time
    tombstones.write(made)
    return made


def _said(holder: str, error: Exception) -> str:
    return f"the {holder}: {error}"


def seen_by(held: Sequence[Held], versions: Sequence[dict[str, str]], snapshots: Snapshots) -> list[dict[str, str]]:
    """Return the model versions that learned from snapshots, or from what those came of by erasing."""
    hashes = {origin for each in held if each.holder == "snapshot" for origin in snapshots.origins(each.before)}
    return [version for version in versions if version["data"] in hashes]


def _seen_by(held: Sequence[Held], versions: Sequence[dict[str, str]], tombstones: Tombstones) -> list[dict[str, str]]:
    return seen_by(held, versions, Snapshots(tombstones.place))


def described(held: Sequence[Held]) -> list[dict[str, Any]]:
    """Return what holds rows as JSON."""
    return [vars(each) for each in held]
