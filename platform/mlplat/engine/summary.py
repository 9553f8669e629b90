"""What an engine's stack consists of, by component: for whoever wants to know what is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlplat.engine.events import SILENT


@dataclass(frozen=True)
class Part:
    """One component of a stack."""

    component: str
    resources: int
    """How many real things it holds."""
    protected: int
    """How many of them the engine refuses to delete."""
    pending: int = 0
    """How many of them an interrupted `up` left half-made or half-deleted."""


def parts(resources: Sequence[Mapping[str, Any]]) -> list[Part]:
    """Return a stack's components in the order in which they were made; what belongs to none is `others`."""
    named = {each["urn"]: _component(each) for each in resources}
    found: dict[str, list[Mapping[str, Any]]] = {}
    for each in resources:
        if each.get("custom") and not each["type"].startswith(SILENT):
            found.setdefault(_owner(each, named), []).append(each)
    return [
        Part(
            component,
            len(held),
            sum(bool(each.get("protect")) for each in held),
            sum(bool(each.get("delete") or each.get("pendingReplacement")) for each in held),
        )
        for component, held in found.items()
    ]


def _component(resource: Mapping[str, Any]) -> str | None:
    kind = str(resource["type"])
    is_ours = kind.startswith("mlplat:") and not resource.get("custom")
    return kind.rpartition(":")[2].lower() if is_ours else None


def _owner(resource: Mapping[str, Any], named: Mapping[str, str | None]) -> str:
    return named.get(str(resource.get("parent"))) or "others"
