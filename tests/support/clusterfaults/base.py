"""A fault seeded into a captured layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from capture import Graph
from faults.base import GONE, Fault


@dataclass(frozen=True, eq=False)
class ClusterFault(Fault):
    """One mistake, in one object of one captured layer: `<Kind>/<name>` or `chart/<name>`."""

    without: tuple[str, ...] = ()
    """Names of what the object does not wait for."""

    def seeded(self, graph: Graph) -> Graph:
        """Return a graph with the fault in it. Raises `AssertionError` where the object waits for none of `without`."""
        if not self.without:
            return super().seeded(graph)
        key = self.key(graph)
        waits = graph.at(key).depends_on
        kept = tuple(each for each in waits if each.rpartition("::")[2] not in self.without)
        assert len(kept) == len(waits) - len(self.without), f"{key} does not wait for all of {self.without}"
        return graph.changed(key, lambda _: None, depends_on=kept)


def fault(
    by: str,
    name: str,
    at: str,
    values: dict[str, Any] | None = None,
    *,
    stack: str = "staging",
    twice: bool = False,
    without: tuple[str, ...] = (),
    **options: Any,
) -> ClusterFault:
    """Return a fault that one rule finds, and no other."""
    return ClusterFault(name, f"rule:{by}", values or {}, at, options, twice=twice, stack=stack, without=without)


__all__ = ["GONE", "ClusterFault", "fault"]
