"""Model servers beside each other: each alone under every load, then all in turn under the one that ratios are of."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from bench import servers
from bench.forms import Form
from bench.load import Load, LoadError, measure, warm
from bench.models import Sample
from bench.process import Running, free_ports, memory, running
from bench.results import Cell, Duel, Footprint, Reference, Results
from bench.servers import Pythons, Server
from mlplat.errors import MlplatError

LOADS = ((1, 1), (1, 8), (1, 32), (100, 1), (100, 8))
"""Rows of a request, and connections."""
GROWTH = (10, 1_000, 10_000)
"""Further numbers of rows, over one connection, for mlplat's own route."""
GROWTH_SECONDS = 2
TOLERANCE = 1e-5
"""Largest difference of two servers' probabilities for the same row."""
ASK_SECONDS = 30

Say = Callable[[str], None]


@dataclass(frozen=True)
class Pace:
    """How long each figure is looked at."""

    seconds: int = 3
    rounds: int = 5
    round_seconds: int = 2
    gateway_rounds: int = 3
    """There are many ways through the gateway, and no target hangs on them."""
    commands: int = 3
    """How often a command is timed."""


QUICK = Pace(seconds=1, rounds=1, round_seconds=1, gateway_rounds=1, commands=1)


@dataclass(frozen=True)
class Target:
    """A way to ask a server that runs, with the body that is sent."""

    model: str
    server: str
    form: Form
    rows: int
    url: str
    body: bytes


def reference(pythons: Pythons, folder: Path, seconds: int) -> Load:
    """Measure the server that does nothing. Raises `LoadError` and `NotReadyError`."""
    with stand(servers.ECHO, servers.echo(pythons), folder) as (url, _):
        warm(url, b"{}")
        return measure(url, b"{}", connections=8, seconds=seconds)


def compare(samples: Sequence[Sample], pythons: Pythons, folder: Path, pace: Pace, results: Results, say: Say) -> None:
    """Measure every server of every model into the results."""
    first = reference(pythons, folder, pace.seconds)
    for sample in samples:
        found = servers.of(sample, pythons)
        for server in found:
            with noted(results, f"{sample.name}: {server.name}", say):
                _alone(server, folder, pace, results, say)
        with noted(results, f"{sample.name}: in turn", say):
            results.duels += _in_turn(found, folder, pace, say)
    results.reference = Reference(first, reference(pythons, folder, pace.seconds))


@contextlib.contextmanager
def noted(results: Results, what: str, say: Say) -> Iterator[None]:
    """Go on when something cannot be measured, and say so on the page."""
    try:
        yield
    except MlplatError as error:
        results.notes.append(f"{what}: {error.message}")
        say(f"{what}: {error.message}")


@contextlib.contextmanager
def stand(name: str, start: servers.Start, folder: Path) -> Iterator[tuple[str, Running]]:
    """Run a server in a new folder of its own; give its address."""
    ports = free_ports(3)
    own = folder / f"{ports[0]}"
    own.mkdir(parents=True)
    with running(name, start(own, ports), own / "server.log") as process:
        yield f"http://127.0.0.1:{ports[0]}", process


def _alone(server: Server, folder: Path, pace: Pace, results: Results, say: Say) -> None:
    with stand(server.name, server.start, folder) as (address, process):
        idle = memory(process.tree())
        for form in server.forms:
            _loads(server, form, LOADS, address, pace.seconds, results, say)
        loaded, count = memory(process.tree()), len(process.tree())
        large = None
        if server.is_ours:
            _loads(server, server.forms[0], tuple((rows, 1) for rows in GROWTH), address, GROWTH_SECONDS, results, say)
            large = memory(process.tree())
    results.footprints.append(
        Footprint(server.sample.name, server.name, process.ready_seconds, count, idle, loaded, large)
    )


def _loads(
    server: Server,
    form: Form,
    loads: Sequence[tuple[int, int]],
    address: str,
    seconds: int,
    results: Results,
    say: Say,
) -> None:
    for rows, each in itertools.groupby(loads, key=lambda load: load[0]):
        target = aim(server.name, server.sample, form, rows, address)
        counts = [connections for _, connections in each]
        refused = _prepare(target, server.sample, min(8, max(counts)))
        for connections in counts:
            load, error = (None, refused) if refused else _try(target, connections, seconds)
            results.cells.append(Cell(target.model, target.server, form.name, rows, connections, load, error))
            say(_line(results.cells[-1]))


def _prepare(target: Target, sample: Sample, connections: int) -> str | None:
    """Check that a server answers rightly, and warm it; return why it cannot be measured.

    With more connections than will be used, a server of large requests would rightly refuse some of them.
    """
    try:
        check(target, sample)
        warm(target.url, target.body, connections)
    except LoadError as failure:
        return failure.message
    return None


def _try(target: Target, connections: int, seconds: int) -> tuple[Load | None, str | None]:
    try:
        return measure(target.url, target.body, connections=connections, seconds=seconds), None
    except LoadError as failure:
        return None, failure.message


def aim(server: str, sample: Sample, form: Form, rows: int, address: str) -> Target:
    """Return what is sent, and where to."""
    return Target(sample.name, server, form, rows, address + form.path, form.encode(sample.first(rows)))


def check(target: Target, sample: Sample) -> None:
    """Ask once and compare with what the gate's own copy of the model answers.

    Raises `LoadError` for a server that does not answer, or answers otherwise.
    """
    from mlplat.serving.model import load

    rows = sample.first(target.rows)
    wanted = [float(each["probability"]) for each in load(sample.bundles["skops"].folder).predict(rows)]
    headers = {"content-type": "application/json"}
    try:
        answer = httpx.post(target.url, content=target.body, headers=headers, timeout=ASK_SECONDS, trust_env=False)
    except httpx.HTTPError as error:
        raise LoadError(f"{target.server} does not answer: {error}") from error
    if answer.is_error:
        raise LoadError(f"{target.server} answers with {answer.status_code}: {answer.text[:200]}")
    found = target.form.decode(answer.json())
    same = (math.isclose(one, other, abs_tol=TOLERANCE) for one, other in zip(found, wanted, strict=False))
    if len(found) != len(wanted) or not all(same):
        raise LoadError(f"{target.server} answers otherwise than the model it was given")


def _in_turn(found: Sequence[Server], folder: Path, pace: Pace, say: Say) -> list[Duel]:
    """Let all servers stand at once and measure one row over eight connections, each in its turn of every round."""
    with contextlib.ExitStack() as standing:
        targets = []
        for server in found:
            address, _ = standing.enter_context(stand(server.name, server.start, folder))
            targets += [aim(server.name, server.sample, form, 1, address) for form in server.forms]
        return duel(targets, [8], pace.rounds, pace.round_seconds, say)


def duel(targets: Sequence[Target], connections: Sequence[int], times: int, seconds: int, say: Say) -> list[Duel]:
    """Measure targets in turn, in several rounds, every second one backwards. Raises `LoadError`."""
    for target in targets:
        warm(target.url, target.body)
    pairs = [(target, count) for target in targets for count in connections]
    rounds: list[list[Load]] = [[] for _ in pairs]
    for turn in range(times):
        order = range(len(pairs)) if turn % 2 == 0 else reversed(range(len(pairs)))
        for place in order:
            target, count = pairs[place]
            rounds[place].append(measure(target.url, target.body, connections=count, seconds=seconds))
    made = [
        Duel(target.model, target.server, target.form.name, target.rows, count, tuple(loads))
        for (target, count), loads in zip(pairs, rounds, strict=True)
    ]
    for each in made:
        say(f"in turn: {each.model}  {each.server} {each.route} c{each.connections}: {each.requests_per_second:,.0f}/s")
    return made


def _line(cell: Cell) -> str:
    if cell.load is None:
        return f"{cell.name}: {cell.error}"
    load = cell.load
    return f"{cell.name}: {load.requests_per_second:,.0f}/s, p50 {load.p50_ms:.2f}, p99 {load.p99_ms:.2f} ms"
