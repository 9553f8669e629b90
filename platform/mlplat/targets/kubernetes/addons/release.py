"""A chart with its values, as a value: what is installed, where, and what it asks the cluster for.

Values say only what differs from a chart's own defaults. What each container asks for stands apart, as `Part`, so that
the sum that `mlplat cost` prints and the values that a chart gets are one and the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field
from typing import Any

from mlplat.versions import Chart


@dataclass(frozen=True)
class Part:
    """Pods of one kind, and what a container in each of them asks for."""

    name: str
    path: str
    """Where the chart's values hold its resources, such as `controller.resources`."""
    cpu_m: int
    """Thousandths of a processor that are kept for it. None has a limit: one that is idle may as well be used."""
    memory_mib: int
    """Memory that is kept for it, in MiB."""
    limit_mib: int
    """Memory above which it is ended, in MiB."""
    replicas: int = 1
    everywhere: bool = False
    """Whether there is one on every node."""

    @property
    def resources(self) -> dict[str, dict[str, str]]:
        """Return it as Kubernetes writes it."""
        return {
            "requests": {"cpu": f"{self.cpu_m}m", "memory": f"{self.memory_mib}Mi"},
            "limits": {"memory": f"{self.limit_mib}Mi"},
        }


@dataclass(frozen=True)
class Release:
    """One chart in one namespace."""

    chart: Chart
    namespace: str
    parts: tuple[Part, ...] = ()
    base: Mapping[str, Any] = field(default_factory=dict)
    """Values without what its parts ask for."""
    skip_crds: bool = False
    """Whether its `crds` folder is left out, because its definitions come as files."""

    @property
    def values(self) -> dict[str, Any]:
        """Return all values."""
        made: dict[str, Any] = dict(self.base)
        for part in self.parts:
            made = _with(made, part.path.split("."), part.resources)
        return made


def _with(values: dict[str, Any], path: list[str], new: Any) -> dict[str, Any]:
    made = copy(values)
    made[path[0]] = _with(dict(made.get(path[0], {})), path[1:], new) if path[1:] else new
    return made
