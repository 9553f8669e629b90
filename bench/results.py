"""What a run measured, as values that become JSON."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.load import Load

NOISY = 0.15
"""Difference of the first and the last row from which a run's figures are not to be trusted."""


@dataclass(frozen=True)
class Cell:
    """One server under one load: a figure, or why there is none."""

    model: str
    server: str
    route: str
    rows: int
    connections: int
    load: Load | None
    error: str | None = None

    @property
    def name(self) -> str:
        """Name it for people."""
        return f"{self.model}, {self.server} {self.route}, rows {self.rows:,}, connections {self.connections}"


@dataclass(frozen=True)
class Footprint:
    """What a server needs, alone on the computer."""

    model: str
    server: str
    ready_seconds: float
    processes: int
    idle_bytes: int
    """Proportional set size before any load."""
    loaded_bytes: int
    """The same after one and a hundred rows a request, over up to 32 connections."""
    large_bytes: int | None
    """The same after requests of up to 10,000 rows, where those were sent."""


@dataclass(frozen=True)
class Duel:
    """One way to ask a server, measured in turn with others over several rounds."""

    model: str
    server: str
    route: str
    rows: int
    connections: int
    rounds: tuple[Load, ...]

    @property
    def requests_per_second(self) -> float:
        """Return the median of the rounds."""
        return statistics.median(load.requests_per_second for load in self.rounds)

    @property
    def p50_ms(self) -> float:
        """Return the median of the rounds' medians."""
        return statistics.median(load.p50_ms for load in self.rounds)

    @property
    def p99_ms(self) -> float:
        """Return the median of the rounds' 99th percentiles."""
        return statistics.median(load.p99_ms for load in self.rounds)


@dataclass(frozen=True)
class Reference:
    """The same row at the beginning and at the end of a run."""

    first: Load
    last: Load

    @property
    def difference(self) -> float:
        """Return how much slower the last one was, as a share of the first; negative when it was faster."""
        return 1 - self.last.requests_per_second / self.first.requests_per_second

    @property
    def is_noisy(self) -> bool:
        """Tell whether the two differ too much for the rows between to be compared."""
        return abs(self.difference) > NOISY


@dataclass(frozen=True)
class Timed:
    """A command's wall-clock times in seconds."""

    what: str
    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """Return the middle one."""
        return statistics.median(self.seconds)


@dataclass(frozen=True)
class Growth:
    """A platform with some endpoints."""

    endpoints: int
    bytes: int
    """Proportional set size of every process, the model servers' included."""
    deploy_seconds: float
    """Time of the last `mlplat deploy` of them, to serving."""
    pass_ms: float
    """Mean duration of one pass of the controller while nothing changes."""
    controller_cpu: float
    """Share of one processor that the controller uses meanwhile."""
    gateway_p50_ms: float
    """Median latency of one row over one connection through the gateway."""


@dataclass(frozen=True)
class Drifted:
    """A check of many columns for drift: seconds of each round, a way; reading the rows is in none of them."""

    rows: int
    columns: int
    psi: tuple[float, ...]
    both: tuple[float, ...]
    """PSI and KS."""
    profile: tuple[float, ...]
    """Making the profile of the reference, which is done once, at training."""
    evidently: tuple[float, ...]
    """Its preset, by PSI; it keeps no profile and looks at both sets each time."""


@dataclass(frozen=True)
class Grown:
    """One step of a project's run, with so many times the flights of 2013."""

    size: float
    step: str
    rows: int
    seconds: float
    bytes: int
    """Most that its process had during it, resident."""


@dataclass(frozen=True)
class Previewed:
    """A preview of the whole AWS platform with some teams."""

    teams: int
    resources: int
    """Of every kind, components included."""
    program_seconds: float
    """The program alone, from the start of its process to its end."""
    program_bytes: int
    """Most that this process had, resident."""
    engine_seconds: float
    """`pulumi preview`, with stand-ins for the providers."""
    engine_bytes: int
    """Most that the engine, its host, the program and the stand-ins had at once, proportional set size."""


@dataclass
class Results:
    """Everything of one run."""

    reference: Reference | None = None
    cells: list[Cell] = field(default_factory=list)
    footprints: list[Footprint] = field(default_factory=list)
    duels: list[Duel] = field(default_factory=list)
    gateway: list[Duel] = field(default_factory=list)
    timed: list[Timed] = field(default_factory=list)
    growth: list[Growth] = field(default_factory=list)
    previews: list[Previewed] = field(default_factory=list)
    drift: Drifted | None = None
    sizes: list[Grown] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What could not be measured, and why."""


def ratio(one: Duel, other: Duel) -> float:
    """Return how many times the requests of another one was served: the median of the rounds' own ratios.

    A round is measured within seconds, so a computer that changes its speed changes both sides of it.
    """
    pairs = zip(one.rounds, other.rounds, strict=True)
    return statistics.median(a.requests_per_second / b.requests_per_second for a, b in pairs)


def find(duels: Sequence[Duel], model: str, server: str, route: str, connections: int = 8) -> Duel | None:
    """Return what was measured of a server, one row at a time."""
    wanted: tuple[Any, ...] = (model, server, route, 1, connections)
    return next((d for d in duels if (d.model, d.server, d.route, d.rows, d.connections) == wanted), None)
