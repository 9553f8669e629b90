"""What the figures are meant to be, and whether they are."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.results import Drifted, Duel, Footprint, Results, find, ratio
from bench.servers import MLFLOW, MLSERVER_MLFLOW, MLSERVER_SKLEARN, ONNX, SKOPS

MODEL = "cancer"
"""The model that targets are stated for."""
PREDICT, OIP, INVOCATIONS = "/predict", "OIP", "/invocations"
GATEWAY = " through the gateway"


@dataclass(frozen=True)
class Verdict:
    """One target: what is required, what was measured, and whether that is it."""

    name: str
    required: str
    measured: str
    holds: bool | None
    """None when it was not measured."""


def judge(results: Results) -> list[Verdict]:
    """Return what became of every target that the run was about."""
    verdicts = [*_servers(results)] if results.duels or results.footprints else []
    verdicts += [*_platform(results)] if results.timed or results.growth else []
    verdicts += [*_drift(results.drift)] if results.drift else []
    return verdicts + ([*_previews(results)] if results.previews else [])


def _drift(found: Drifted) -> list[Verdict]:
    theirs = statistics.median(found.evidently)
    name = f"drift of {found.rows:,} × {found.columns} against Evidently's preset"
    ways = (("PSI", found.psi, 20), ("PSI and KS", found.both, 8))
    return [
        Verdict(f"{name}, {way}", f"≥ {least} ×", f"{measured:.0f} ×", measured >= least)
        for way, ours, least in ways
        for measured in (theirs / statistics.median(ours),)
    ]


def _servers(results: Results) -> list[Verdict]:
    duels = results.duels
    theirs = find(duels, MODEL, MLSERVER_SKLEARN, OIP)
    mlflow = find(duels, MODEL, MLFLOW, INVOCATIONS)
    ours = [(ONNX, PREDICT), (ONNX, OIP), (SKOPS, PREDICT)]
    return [
        _times(find(duels, MODEL, ONNX, PREDICT), theirs, 7),
        _times(find(duels, MODEL, ONNX, PREDICT), mlflow, 50),
        _times(find(duels, MODEL, ONNX, OIP), theirs, 6),
        _times(find(duels, MODEL, SKOPS, PREDICT), theirs, 1.8),
        *(_sooner(find(duels, MODEL, server, route), theirs) for server, route in ours),
        _lighter(results.footprints, ONNX, 0.5),
        _lighter(results.footprints, SKOPS, 1.0),
    ]


def _times(one: Duel | None, other: Duel | None, least: float) -> Verdict:
    if one is None or other is None:
        return _unmeasured(f"requests/s, at least {least:g} ×")
    measured = ratio(one, other)
    name = f"{one.server} {one.route}, requests/s against {other.server}"
    return Verdict(name, f"≥ {least:g} ×", f"{measured:.1f} ×", measured >= least)


def _sooner(one: Duel | None, other: Duel | None) -> Verdict:
    if one is None or other is None:
        return _unmeasured("p99")
    name = f"{one.server} {one.route}, 99th percentile against {other.server}"
    return Verdict(name, f"< {other.p99_ms:.1f} ms", f"{one.p99_ms:.1f} ms", one.p99_ms < other.p99_ms)


def _lighter(footprints: list[Footprint], server: str, share: float) -> Verdict:
    weights = {each.server: each.loaded_bytes for each in footprints if each.model == MODEL}
    if server not in weights or MLSERVER_SKLEARN not in weights:
        return _unmeasured(f"{server}, memory")
    limit, found = weights[MLSERVER_SKLEARN] * share, weights[server]
    name = f"{server}, memory after load against {MLSERVER_SKLEARN}"
    return Verdict(name, f"< {share:g} × ({_mib(limit)})", _mib(found), found < limit)


def _platform(results: Results) -> list[Verdict]:
    seconds = {each.what: each.median for each in results.timed}
    alone = next((each for each in results.growth if each.endpoints == 1), None)
    return [
        _under("`mlplat --help`", seconds.get("help"), 0.2, lambda value: f"{value:.2f} s"),
        _under("`mlplat up`, environments there", seconds.get("up"), 20, lambda value: f"{value:.1f} s"),
        _under("memory of the platform with one endpoint", alone.bytes if alone else None, 1.2e9, _mib),
    ]


def _previews(results: Results) -> list[Verdict]:
    own = next((each for each in results.previews if each.teams == 1), None)
    seconds, size = (own.engine_seconds, own.engine_bytes) if own else (None, None)
    return [
        _under("`pulumi preview` of the AWS stack `prod`", seconds, 10, lambda value: f"{value:.1f} s"),
        _under("its memory, all processes", size, 600e6, lambda value: f"{value / 1e6:.0f} MB"),
    ]


def _under(name: str, measured: float | None, limit: float, written: Callable[[float], str]) -> Verdict:
    if measured is None:
        return _unmeasured(name)
    return Verdict(name, f"< {written(limit)}", written(measured), measured < limit)


def _unmeasured(name: str) -> Verdict:
    return Verdict(name, "", "not measured", None)


def _mib(size: float) -> str:
    return f"{size / 2**20:.0f} MiB"


PEERS = (MLSERVER_SKLEARN, MLSERVER_MLFLOW, MLFLOW)


def beside(duels: Sequence[Duel]) -> list[tuple[Duel, dict[str, float | None]]]:
    """Return each of mlplat's ways to be asked, with its ratio to every other server asked in the same rounds."""
    ours = [one for one in duels if one.server.startswith("mlplat")]
    return [(one, {name: _against(duels, one, name) for name in PEERS}) for one in ours]


def through(duels: Sequence[Duel]) -> list[tuple[Duel, Duel]]:
    """Return pairs of the same way to be asked, past the gateway and through it."""
    found = {(one.server, one.route, one.connections): one for one in duels}
    return [(one, found[key]) for one in duels if (key := (one.server + GATEWAY, one.route, one.connections)) in found]


def _against(duels: Sequence[Duel], one: Duel, peer: str) -> float | None:
    for other in duels:
        if (other.model, other.server, other.rows, other.connections) == (one.model, peer, one.rows, one.connections):
            return ratio(one, other)
    return None
