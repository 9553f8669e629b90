"""The page says what was measured, and what was not."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from bench import report
from bench.load import Load
from bench.machine import Machine
from bench.results import Cell, Duel, Footprint, Grown, Growth, Reference, Results, Timed
from bench.servers import MLSERVER_SKLEARN, ONNX
from bench.targets import GATEWAY, MODEL

FAST, SLOW = Load(8000, 0.8, 2.5, 9, 24000), Load(1000, 6, 12, 40, 3000)
ABOUT = report.Circumstances(
    begun="2026-11-21T12:00:00+00:00",
    seconds=600,
    commit="0123456789ab",
    machine=Machine("A processor", 2, 23.5, "Linux x86_64", "6.1", "3.11.7"),
    packages={"serving": {"numpy": "2.4.6"}},
    quick=False,
)


def duel(server: str, load: Load, connections: int = 8) -> Duel:
    return Duel(MODEL, server, "OIP", 1, connections, (load,))


@pytest.fixture
def results() -> Results:
    return Results(
        reference=Reference(FAST, FAST),
        cells=[
            Cell(MODEL, ONNX, "OIP", 1, 8, FAST),
            Cell(MODEL, ONNX, "OIP", 10_000, 1, None, "3 of 3 requests failed"),
        ],
        footprints=[Footprint(MODEL, ONNX, 0.4, 1, 60 * 2**20, 70 * 2**20, 90 * 2**20)],
        duels=[duel(ONNX, FAST), duel(MLSERVER_SKLEARN, SLOW)],
        gateway=[duel(ONNX, FAST, 1), duel(ONNX + GATEWAY, SLOW, 1), duel(MLSERVER_SKLEARN, SLOW, 1)],
        timed=[Timed("help", (0.1, 0.09, 0.11))],
        growth=[Growth(1, 600 * 2**20, 2.5, 4.0, 0.02, 0.6)],
        sizes=[Grown(0.1, "training", 100, 2.0, 2**28), Grown(1, "training", 1000, 9.0, 2**29)],
    )


def test_every_table_has_as_many_cells_as_heads(results: Results) -> None:
    lines = [line for line in report.page(results, ABOUT).splitlines() if line.startswith("|")]
    blocks = re.findall(r"(?:^\|.*\n)+", report.page(results, ABOUT), re.MULTILINE)
    assert sum(block.count("\n") for block in blocks) == len(lines)
    assert all(len({line.count(" | ") for line in block.splitlines()}) == 1 for block in blocks)
    assert len(blocks) == 9


def test_a_ratio_stands_beside_the_server_that_it_is_of(results: Results) -> None:
    page = report.page(results, ABOUT)
    assert "| cancer | mlplat ONNX OIP | 8,000 | 0.80 | 2.50 | 8.0 × |" in page
    assert "mlplat ONNX OIP +5.20 ms" in page


def test_a_larger_size_stands_beside_the_one_before_it(results: Results) -> None:
    page = report.page(results, ABOUT)
    assert "| training | 0.1 | 100 | 2.00 |  | 256 |  |\n| training | 1 | 1,000 | 9.00 | 4.5 × | 512 | 2.0 × |" in page


def test_what_failed_is_said_and_has_no_figure(results: Results) -> None:
    page = report.page(results, ABOUT)
    assert "| failed |" in page
    assert "rows 10,000, connections 1: 3 of 3 requests failed" in page


def test_a_noisy_run_says_so(results: Results) -> None:
    assert "busy" not in report.page(results, ABOUT)
    results.reference = Reference(FAST, SLOW)
    assert "(-88%). **The computer was busy" in report.page(results, ABOUT)


def test_nothing_is_needed_to_write_a_page() -> None:
    assert report.page(Results(), ABOUT).startswith("# Benchmarks")


def test_all_figures_are_in_the_document(tmp_path: Path, results: Results) -> None:
    report.write(tmp_path, results, ABOUT)
    found = json.loads((tmp_path / "benchmarks.json").read_text())
    assert found["duels"][0]["rounds"][0]["requests_per_second"] == 8000
    assert found["machine"]["kernel"] == "6.1"
    assert found["packages"]["serving"]["numpy"] == "2.4.6"
    assert found["reference"]["difference"] == 0
    assert len(found["targets"]) == 12
    assert (tmp_path / "benchmarks.md").read_text() == report.page(results, ABOUT)
