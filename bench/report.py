"""The page and the figures of a run."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.machine import Machine
from bench.results import Cell, Drifted, Duel, Grown, Growth, Previewed, Results
from bench.speed import GROWTH, LOADS
from bench.targets import PEERS, Verdict, beside, judge, through
from mlplat.files import write_atomic

VERSION = 1
WORDS = {True: "holds", False: "**does not hold**", None: "not measured"}
FIGURES = ("requests/s ", "p50 ms ", "p99 ms ")
AGAINST = tuple(f"against {peer} " for peer in PEERS)
COMMANDS = {
    "help": "`mlplat --help`",
    "new": "`mlplat new NAME --defaults`",
    "up": "`mlplat up`, environments of services there, to the last ready service",
    "second up": "`mlplat up` with nothing to do",
    "down": "`mlplat down --delete-data`",
    "demo": "`make demo`, environments of services there",
}


@dataclass(frozen=True)
class Circumstances:
    """Under which a run was made."""

    begun: str
    seconds: float
    commit: str
    machine: Machine
    packages: dict[str, dict[str, str]]
    """By environment, version by package."""
    quick: bool


def document(results: Results, about: Circumstances) -> dict[str, Any]:
    """Return everything as JSON."""
    reference = results.reference
    return {
        "version": VERSION,
        **asdict(about),
        "reference": {**asdict(reference), "difference": reference.difference} if reference else None,
        "targets": [asdict(verdict) for verdict in judge(results)],
        **{name: value for name, value in asdict(results).items() if name != "reference"},
    }


def page(results: Results, about: Circumstances) -> str:
    """Return the Markdown page."""
    parts = [_head(results, about), _targets(judge(results))]
    if results.duels:
        parts.append(_beside(results))
    if results.cells:
        parts += [_loads(results.cells), _growth_of_rows(results.cells), _footprints(results)]
    if results.gateway:
        parts.append(_gateway(results.gateway))
    if results.timed:
        parts.append(_times(results))
    if results.growth:
        parts.append(_growth(results.growth))
    if results.drift:
        parts.append(_drift(results.drift))
    if results.sizes:
        parts.append(_sizes(results.sizes))
    if results.previews:
        parts.append(_previews(results.previews))
    if missing := [*results.notes, *(f"{cell.name}: {cell.error}" for cell in results.cells if cell.error)]:
        parts.append("## Not measured\n\n" + "\n".join(f"- {_one_line(note)}" for note in missing))
    return "\n\n".join(parts) + "\n"


def write(folder: Path, results: Results, about: Circumstances) -> None:
    """Write `benchmarks.md` and `benchmarks.json` into a folder."""
    write_atomic(folder / "benchmarks.json", json.dumps(document(results, about), indent=1) + "\n")
    write_atomic(folder / "benchmarks.md", page(results, about))


def table(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table; numbers' columns are those whose header ends with a space."""
    rule = ["---:" if header.endswith(" ") else "---" for header in headers]
    lines = [[header.strip() for header in headers], rule, *([str(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _head(results: Results, about: Circumstances) -> str:
    machine, reference = about.machine, results.reference
    parts = [
        "# Benchmarks",
        (
            f"Written by `make bench` on {about.begun[:10]} at commit `{about.commit}`, in {about.seconds / 60:.0f} "
            f"minutes: {machine.processor}, {machine.cores} processors, {machine.memory_gib:g} GiB, {machine.system}, "
            f"kernel {machine.kernel}, Python {machine.python}. [benchmarks.json](benchmarks.json) holds every figure "
            "and the version of every package."
        ),
        (
            "One `wrk` thread makes the load, on the processors of what it loads: read ratios, not absolutes. A row "
            "with a single failed request is none, and every server is checked to answer with the model's own "
            "probabilities before it is measured. mlplat runs as it is shipped, with every check, the prediction log "
            "and metrics; MLServer without parallel workers and access log, where it is faster."
        ),
    ]
    if reference:
        noisy = " **The computer was busy with something else: take the figures again.**" if reference.is_noisy else ""
        parts.append(
            "A server that only reads the body and answers did "
            f"{reference.first.requests_per_second:,.0f} requests a second at the beginning and "
            f"{reference.last.requests_per_second:,.0f} at the end ({-reference.difference:+.0%}).{noisy}"
        )
    if about.quick:
        parts.append("**A quick run, for trying only.**")
    return "\n\n".join(parts)


def _targets(verdicts: Sequence[Verdict]) -> str:
    rows = [(v.name, v.required, v.measured, WORDS[v.holds]) for v in verdicts]
    return "## Targets\n\n" + table(["what", "required ", "measured ", ""], rows)


def _beside(results: Results) -> str:
    ratios = {id(one): found for one, found in beside(results.duels)}
    rows = [(one.model, _name(one), *_figures(one), *_ratios(ratios.get(id(one), {}))) for one in results.duels]
    headers = ["model", "server", *FIGURES, *AGAINST]
    told = (
        "One row a request over eight connections. All servers of a model stand at once and are asked in turn, in "
        "several rounds; a ratio is the median of the rounds' ratios.\n\n"
        "`cancer`: standardised features and a logistic regression, 30 numbers. `flights`: the reference project's "
        "pipeline, strings and numbers with nulls, gradient boosting, calibrated."
    )
    return f"## Beside other model servers\n\n{told}\n\n{table(headers, rows)}"


def _figures(one: Duel) -> tuple[str, str, str]:
    return f"{one.requests_per_second:,.0f}", f"{one.p50_ms:.2f}", f"{one.p99_ms:.2f}"


def _ratios(times: dict[str, float | None]) -> list[str]:
    return [f"{value:.1f} ×" if (value := times.get(peer)) is not None else "" for peer in PEERS]


def _name(one: Duel) -> str:
    return f"{one.server} {one.route}"


def _loads(cells: Sequence[Cell]) -> str:
    headers = ["model", "server", *(f"{rows} row{'s' * (rows > 1)}, c{count} " for rows, count in LOADS)]
    rows = []
    for model, server, route in dict.fromkeys((c.model, c.server, c.route) for c in cells):
        found = {(c.rows, c.connections): c for c in cells if (c.model, c.server, c.route) == (model, server, route)}
        rows.append([model, f"{server} {route}", *(_cell(found.get(load)) for load in LOADS)])
    told = "Each server alone. Requests a second / p50 / p99 in milliseconds; c is the number of connections."
    return f"## Under other loads\n\n{told}\n\n{table(headers, rows)}"


def _cell(cell: Cell | None) -> str:
    if cell is None:
        return ""
    if cell.load is None:
        return "failed"
    load = cell.load
    return f"{load.requests_per_second:,.0f} / {load.p50_ms:.2f} / {load.p99_ms:.2f}"


def _growth_of_rows(cells: Sequence[Cell]) -> str:
    sizes = sorted({1, 100, *GROWTH})
    rows = []
    for model, server, route in dict.fromkeys((c.model, c.server, c.route) for c in cells if c.rows in GROWTH):
        found = {c.rows: c for c in cells if (c.model, c.server, c.route, c.connections) == (model, server, route, 1)}
        rows.append([model, f"{server} {route}", *(_rows_a_second(found.get(size)) for size in sizes)])
    headers = ["model", "server", *(f"{size:,} row{'s' * (size > 1)} " for size in sizes)]
    return f"Rows a second by rows in a request, over one connection:\n\n{table(headers, rows)}"


def _rows_a_second(cell: Cell | None) -> str:
    if cell is None:
        return ""
    return f"{cell.load.requests_per_second * cell.rows:,.0f}" if cell.load else "failed"


def _footprints(results: Results) -> str:
    headers = ["model", "server", "ready s ", "processes ", "MiB idle ", "MiB after load ", "MiB after 10,000 rows "]
    rows = [
        (
            *(f.model, f.server, f"{f.ready_seconds:.2f}", f.processes),
            *(_mib(f.idle_bytes), _mib(f.loaded_bytes), _mib(f.large_bytes) if f.large_bytes else ""),
        )
        for f in results.footprints
    ]
    told = (
        "Start, and memory (proportional set size of all processes), each server alone: before any request, after the "
        "loads of the first table, and after a few requests of 10,000 rows."
    )
    return f"{told}\n\n{table(headers, rows)}"


def _gateway(duels: Sequence[Duel]) -> str:
    ratios = {id(one): found for one, found in beside(duels)}
    ordered = sorted(duels, key=lambda one: one.connections)
    rows = [(_name(one), one.connections, *_figures(one), *_ratios(ratios.get(id(one), {}))) for one in ordered]
    added = [
        f"{one.server} {one.route} {other.p50_ms - one.p50_ms:+.2f} ms"
        for one, other in through(duels)
        if one.connections == 1
    ]
    told = (
        "`cancer`, one row a request, on a platform that stands: past the gateway, through it (Envoy, one thread), and "
        "the others asked directly, in the same rounds. Envoy shares the processors with the load and the server. "
        f"Over one connection the gateway adds to the median: {'; '.join(added)}."
    )
    return f"## Through the gateway\n\n{told}\n\n{table(['server', 'connections ', *FIGURES, *AGAINST], rows)}"


def _times(results: Results) -> str:
    rows = [(COMMANDS[t.what], f"{t.median:.2f}", len(t.seconds)) for t in results.timed]
    return "## The platform\n\n" + table(["command", "seconds, median ", "runs "], rows)


def _drift(found: Drifted) -> str:
    ways = {
        "PSI against a kept profile": found.psi,
        "PSI and KS": found.both,
        "making the profile, once at training": found.profile,
        "Evidently's preset by PSI, which keeps none": found.evidently,
    }
    rows = [(way, f"{statistics.median(each):.3f}", len(each)) for way, each in ways.items()]
    lead = f"Two sets of {found.rows:,} rows and {found.columns} columns:"
    return f"## Drift\n\n{lead}\n\n{table(['way', 'seconds, median ', 'runs '], rows)}"


def _sizes(grown: Sequence[Grown]) -> str:
    rows = []
    for step in dict.fromkeys(each.step for each in grown):
        sizes = [each for each in grown if each.step == step]
        for former, each in zip([None, *sizes], sizes, strict=False):
            longer, larger = (each.seconds / former.seconds, each.bytes / former.bytes) if former else (None, None)
            row = (step, f"{each.size:g}", f"{each.rows:,}", f"{each.seconds:.2f}", _more(longer))
            rows.append((*row, _mib(each.bytes), _more(larger)))
    lead = (
        "The reference project with live features, by the number of flights as a share of those of 2013, each size in "
        "a process of its own: building the features; dividing, and training with cross-validation and export; "
        "profiling what was learned; and holding as many rows against that profile in half a year of windows. Memory "
        "is the most that the process had during the step, its data included."
    )
    headers = ["step", "flights ", "rows ", "seconds ", "against fewer ", "MiB ", "against fewer "]
    return f"## Growth with the data\n\n{lead}\n\n{table(headers, rows)}"


def _more(times: float | None) -> str:
    return "" if times is None else f"{times:.1f} ×"


def _growth(growth: Sequence[Growth]) -> str:
    headers = [
        *("endpoints ", "MiB, all processes ", "`mlplat deploy` s ", "controller's pass ms "),
        *("its share of a processor ", "p50 through the gateway ms "),
    ]
    rows = [
        (
            *(g.endpoints, _mib(g.bytes), f"{g.deploy_seconds:.1f}", f"{g.pass_ms:.1f}"),
            *(f"{g.controller_cpu:.1%}", f"{g.gateway_p50_ms:.2f}"),
        )
        for g in growth
    ]
    return f"By the number of endpoints, each the flights' model in a process of its own:\n\n{table(headers, rows)}"


def _previews(previews: Sequence[Previewed]) -> str:
    headers = ["teams ", "resources ", "program s ", "program MB ", "`pulumi preview` s ", "all processes MB "]
    rows = [
        (
            *(p.teams, p.resources, f"{p.program_seconds:.1f}", f"{p.program_bytes / 1e6:.0f}"),
            *(f"{p.engine_seconds:.1f}", f"{p.engine_bytes / 1e6:.0f}"),
        )
        for p in previews
    ]
    told = (
        "A preview of everything that the stack `prod` makes in an account that is empty, by the number of teams: the "
        "program alone, and under a real engine. AWS and the cluster are stand-ins here, so what their providers need "
        "is not in the figures."
    )
    return f"## The AWS platform\n\n{told}\n\n{table(headers, rows)}"


def _mib(size: float) -> str:
    return f"{size / 2**20:.0f}"


def _one_line(text: str) -> str:
    return " ".join(text.split())
