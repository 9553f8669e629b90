"""EC2's machine types: processors, memory, GPUs and list price, from a table that ships with mlplat.

The table is dated and of one region (its first line says which); types do not differ between regions, prices do.
"""

from __future__ import annotations

import csv
import difflib
import functools
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files

from mlplat.errors import UsageError

TABLE = "ec2-us-east-1.tsv"
GUESSES = 3

EFA_CARDS = {
    "g4dn.8xlarge": 1,
    "g4dn.12xlarge": 1,
    "g4dn.16xlarge": 1,
    "g5.8xlarge": 1,
    "g5.12xlarge": 1,
    "g5.16xlarge": 1,
    "g5.24xlarge": 1,
    "g5.48xlarge": 1,
    "g6.8xlarge": 1,
    "g6.12xlarge": 1,
    "g6.16xlarge": 1,
    "g6.24xlarge": 1,
    "g6.48xlarge": 1,
    "gr6.8xlarge": 1,
    "g6e.8xlarge": 1,
    "g6e.12xlarge": 1,
    "g6e.16xlarge": 1,
    "g6e.24xlarge": 2,
    "g6e.48xlarge": 4,
    "p3dn.24xlarge": 1,
    "p4d.24xlarge": 4,
    "p4de.24xlarge": 4,
    "p5.4xlarge": 1,
    "p5.48xlarge": 32,
    "p5en.48xlarge": 16,
    "p6-b200.48xlarge": 8,
}
"""Network cards that carry EFA, of types with GPUs; from DescribeInstanceTypes (`EfaInfo`).

`p6-b300.48xlarge` is left out: its first card carries none, and which devices its others want is not known here."""


@dataclass(frozen=True)
class Machine:
    """One machine type."""

    name: str
    vcpus: int
    memory_gib: float
    architecture: str
    """`x86_64` or `arm64`."""
    gpu: str | None
    """Model of its GPUs, such as `L4`."""
    gpu_count: int
    """Whole GPUs; 0 for a type that has part of one."""
    gpu_memory_mib: int
    """Memory of each GPU."""
    usd_per_hour: float
    """On-demand list price for Linux."""

    @property
    def family(self) -> str:
        """Return what comes before the dot, such as `g6e`."""
        return self.name.partition(".")[0]

    @property
    def efa_cards(self) -> int:
        """Return how many network cards carry EFA; 0 for none."""
        return EFA_CARDS.get(self.name, 0)


@functools.cache
def table() -> dict[str, Machine]:
    """Return every known type by name."""
    text = files("mlplat.targets.aws").joinpath("data", TABLE).read_text(encoding="utf-8")
    rows = csv.DictReader((line for line in text.splitlines() if not line.startswith("#")), delimiter="\t")
    return {row["instance_type"]: _machine(row) for row in rows}


def find(name: str) -> Machine:
    """Return a type. Raises `UsageError` naming the nearest ones for a type that is not in the table."""
    if found := table().get(name):
        return found
    nearest = difflib.get_close_matches(name, table(), n=GUESSES, cutoff=0.5)
    raise UsageError(
        f"`{name}` is no instance type that this mlplat knows",
        hint=f"did you mean {' or '.join(f'`{each}`' for each in nearest)}?" if nearest else None,
    )


def largest(names: Iterable[str]) -> Machine:
    """Return the type with most processors and, among those, most GPUs. Raises `UsageError` for an unknown one."""
    return max((find(each) for each in names), key=lambda each: (each.vcpus, each.gpu_count))


def dearest(names: Iterable[str]) -> Machine:
    """Return the type whose list price is highest. Raises `UsageError` for an unknown one."""
    return max((find(each) for each in names), key=lambda each: each.usd_per_hour)


def _machine(row: dict[str, str]) -> Machine:
    return Machine(
        name=row["instance_type"],
        vcpus=int(row["vcpus"]),
        memory_gib=float(row["memory_gib"]),
        architecture=row["architectures"],
        gpu=row["gpu"] or None,
        gpu_count=int(row["gpu_count"] or 0),
        gpu_memory_mib=int(row["gpu_memory_mib_each"] or 0),
        usd_per_hour=float(row["usd_per_hour"]),
    )
