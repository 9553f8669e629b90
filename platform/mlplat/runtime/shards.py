"""The parts of a search, each of which goes on by itself: light to import, since every step of a flow reads them."""

from __future__ import annotations

from dataclasses import dataclass

from mlplat.spec.project import ProjectSpec
from mlplat.spec.search import Family


@dataclass(frozen=True)
class Shard:
    """A part of a search that goes on by itself."""

    family: Family
    part: int
    """Of its family, from 0; the first part begins with the settings of `training`."""
    trials: int

    @property
    def name(self) -> str:
        """Return what it is called: `linear-0`."""
        return f"{self.family}-{self.part}"


def plan(spec: ProjectSpec) -> tuple[Shard, ...]:
    """Return the parts of a project's search; none where it asks for none."""
    wanted = spec.search
    families = wanted.families or (spec.training.family,)
    parts = min(wanted.shards, wanted.trials)
    return tuple(
        Shard(family, part, len(range(part, wanted.trials, parts))) for family in families for part in range(parts)
    )
