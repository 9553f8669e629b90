"""Ratios are of rounds, and a target holds or does not by what was measured."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.load import Load
from bench.results import Drifted, Duel, Footprint, Growth, Reference, Results, Timed, ratio
from bench.servers import MLFLOW, MLSERVER_SKLEARN, ONNX, SKOPS
from bench.targets import GATEWAY, MODEL, beside, judge, through


def duel(server: str, route: str, *speeds: float, p99: float = 1.0, connections: int = 8) -> Duel:
    rounds = tuple(Load(speed, p99 / 2, p99, p99, int(speed)) for speed in speeds)
    return Duel(MODEL, server, route, 1, connections, rounds)


def footprint(server: str, size: int) -> Footprint:
    return Footprint(MODEL, server, 1.0, 1, size, size, None)


def growth(endpoints: int, size: int) -> Growth:
    return Growth(endpoints, size, 3.0, 1.0, 0.01, 0.5)


@pytest.fixture
def results() -> Results:
    return Results(
        duels=[
            duel(ONNX, "/predict", 7000, p99=2),
            duel(ONNX, "OIP", 6000, p99=2),
            duel(SKOPS, "/predict", 1800, p99=5),
            duel(MLSERVER_SKLEARN, "OIP", 1000, p99=10),
            duel(MLFLOW, "/invocations", 140, p99=90),
        ],
        footprints=[footprint(ONNX, 90), footprint(SKOPS, 180), footprint(MLSERVER_SKLEARN, 200)],
        timed=[Timed("help", (0.1,)), Timed("up", (6.0,))],
        growth=[growth(1, 500_000_000), growth(20, 3_000_000_000)],
    )


def failing(results: Results) -> list[str]:
    return [verdict.name for verdict in judge(results) if not verdict.holds]


def test_each_target_holds_at_its_limit(results: Results) -> None:
    assert failing(results) == []
    assert len(judge(results)) == 12


@pytest.mark.parametrize(
    ("server", "route", "slower", "broken"),
    [
        (ONNX, "/predict", duel(ONNX, "/predict", 6999, p99=2), 2),  # beside both of the others
        (ONNX, "OIP", duel(ONNX, "OIP", 5999, p99=2), 1),
        (SKOPS, "/predict", duel(SKOPS, "/predict", 1799, p99=5), 1),
        (SKOPS, "/predict", duel(SKOPS, "/predict", 1800, p99=10), 1),
    ],
)
def test_a_target_just_missed_does_not_hold(
    results: Results, server: str, route: str, slower: Duel, broken: int
) -> None:
    results.duels = [slower if (d.server, d.route) == (server, route) else d for d in results.duels]
    assert len(failing(results)) == broken


@pytest.mark.parametrize(("server", "size"), [(ONNX, 100), (SKOPS, 200)])
def test_memory_has_to_stay_below(results: Results, server: str, size: int) -> None:
    results.footprints = [
        replace(each, loaded_bytes=size) if each.server == server else each for each in results.footprints
    ]
    assert len(failing(results)) == 1


def test_the_platform_is_weighed_with_one_endpoint(results: Results) -> None:
    results.growth[0] = growth(1, 1_200_000_000)
    results.timed = [Timed("help", (0.1, 0.3, 0.3)), Timed("up", (6.0, 7.0, 30.0))]
    assert failing(results) == ["`mlplat --help`", "memory of the platform with one endpoint"]


def test_what_was_not_measured_does_not_hold(results: Results) -> None:
    results.duels = [each for each in results.duels if each.server != MLSERVER_SKLEARN]
    assert {verdict.holds for verdict in judge(results) if verdict.measured == "not measured"} == {None}
    assert len(failing(results)) == 6


def test_a_part_that_was_not_run_has_no_targets(results: Results) -> None:
    only = Results(timed=results.timed, growth=results.growth)
    assert len(judge(only)) == 3


def test_a_ratio_is_the_median_of_each_rounds_own() -> None:
    """A computer that is ten times slower in one round changes no ratio."""
    assert ratio(duel("a", "r", 1000, 100, 1200), duel("b", "r", 500, 50, 400)) == 2


def test_a_server_is_compared_under_the_same_load_only() -> None:
    ours, theirs = duel(ONNX, "OIP", 100, connections=1), duel(MLSERVER_SKLEARN, "OIP", 50, connections=8)
    assert set(beside([ours, theirs])[0][1].values()) == {None}
    ((_, ratios),) = beside([ours, replace(theirs, connections=1)])
    assert ratios[MLSERVER_SKLEARN] == 2


def test_the_gateway_is_compared_with_the_same_server_past_it() -> None:
    past, behind = duel(ONNX, "OIP", 100), duel(ONNX + GATEWAY, "OIP", 80)
    assert through([past, behind, duel(SKOPS, "OIP", 9)]) == [(past, behind)]


@pytest.mark.parametrize(("last", "noisy"), [(100, False), (86, False), (84, True), (114, False), (120, True)])
def test_a_run_whose_ends_differ_is_noisy(last: float, noisy: bool) -> None:
    first = Load(100, 1, 1, 1, 100)
    assert Reference(first, replace(first, requests_per_second=last)).is_noisy is noisy


@pytest.mark.parametrize(("psi", "both", "expected"), [(0.1, 0.2, [True, True]), (0.25, 0.7, [False, False])])
def test_drift_is_judged_by_the_medians_of_its_ways(psi: float, both: float, expected: list[bool]) -> None:
    found = Drifted(100_000, 30, (9.0, psi, psi), (9.0, both, both), (1.0,), (4.0, 4.0, 90.0))
    assert [verdict.holds for verdict in judge(Results(drift=found))] == expected
