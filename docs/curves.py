"""How often the gate errs: simulated by `make curves` into `gate.json`; `make docs` writes table and picture from it.

The simulation itself is `tests/support/gatecurve.py`; a test runs a small one against the numbers that stand here.
"""

from __future__ import annotations

import itertools
import json
import os
import platform
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from chart import TOP, Chart, Line

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests" / "support"))

import gatecurve  # noqa: E402 - found by the line above

PAGE, DATA, PICTURE = (f"docs/concepts/gate.{ending}" for ending in ("md", "json", "svg"))
BEGIN, END = "<!-- curve: written by `make docs` from gate.json -->", "<!-- end of the curve -->"
DAYS = (28, 56, 91)
WORSE = (-0.01, 0.0, 0.005, 0.01, 0.015, 0.02, 0.03)
SEQUENCES = (0.0, 0.01)
"""For these, ten challengers are judged one after the other."""
LOOKS = (1, 3, 10)
MARGINS = (0.01, 0.02)
RUNS = 400
WORKERS = int(os.environ.get("WORKERS", os.cpu_count() or 1))
COLOURS = {28: "#b23c3c", 56: "#c9701a", 91: "#2f6db5"}


def simulate() -> dict[str, Any]:
    """Return how often challengers pass, by days, by how much worse they are, and by look."""
    begun = time.time()
    skills = gatecurve.Skills()
    noises = {worse: skills.noise(worse) for worse in sorted(WORSE, key=lambda one: one not in SEQUENCES)}
    cases = list(itertools.product(reversed(DAYS), noises.items()))
    with ProcessPoolExecutor(WORKERS) as pool:
        found = [entry for entries in pool.map(_simulated, cases) for entry in entries]
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{platform.machine()}, Python {platform.python_version()}, numpy {np.__version__}",
        "seconds": round(time.time() - begun),
        "runs": RUNS,
        "found": sorted(found, key=lambda entry: (entry["margin"], entry["days"], entry["worse"])),
    }


def _simulated(case: tuple[int, tuple[float, float]]) -> list[dict[str, Any]]:
    days, (worse, noise) = case
    looks = LOOKS[-1] if worse in SEQUENCES else 1
    lows = gatecurve.Judge(gatecurve.World(days)).lows(noise, looks=looks, runs=RUNS, seed=1)
    print(f"{days} days, worse by {worse:g}", file=sys.stderr)  # noqa: T201 - somebody waits for minutes
    return [_entry(days, worse, margin, lows > -margin) for margin in MARGINS]


def _entry(days: int, worse: float, margin: float, passed: Any) -> dict[str, Any]:
    """Describe which challengers passed (runs × looks × 2: as their look needs it, and as a first one would)."""
    looks = [look for look in LOOKS if look <= passed.shape[1]]
    return {
        "days": days,
        "worse": worse,
        "margin": margin,
        "passes_at": {look: round(float(passed[:, look - 1, 0].mean()), 4) for look in looks},
        "any_passes": {look: round(float(passed[:, :look, 0].any(axis=1).mean()), 4) for look in looks},
        "any_passes_uncorrected": {look: round(float(passed[:, :look, 1].any(axis=1).mean()), 4) for look in looks},
    }


def pages() -> dict[str, str]:
    """Return the page with its table, and the picture, from what was simulated last."""
    data = json.loads((ROOT / DATA).read_text())
    before, _, rest = (ROOT / PAGE).read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    return {
        PAGE: before + BEGIN + "\n\n" + "\n".join(_tables(data)) + "\n\n" + END + after,
        PICTURE: "\n".join(_picture(data)) + "\n",
    }


def _of(data: dict[str, Any], days: int, worse: float, margin: float) -> dict[str, Any]:
    (entry,) = (
        each for each in data["found"] if (each["days"], each["worse"], each["margin"]) == (days, worse, margin)
    )
    return dict(entry)


def _tables(data: dict[str, Any]) -> Iterator[str]:
    runs, widest = data["runs"], 1.96 * (0.25 / data["runs"]) ** 0.5
    yield (
        f"How often a challenger passes at the first look, of {runs} simulated ones ({data['date']}); a share of one"
        f" half is known to {100 * widest:.0f} points:\n"
    )
    yield "| days, margin | " + " | ".join(_worse(worse) for worse in WORSE) + " |"
    yield "|---" * (1 + len(WORSE)) + "|"
    for margin in MARGINS:
        for days in DAYS:
            found = [_share(_of(data, days, worse, margin)["passes_at"]["1"]) for worse in WORSE]
            yield f"| {days} days, {margin:g} | " + " | ".join(found) + " |"
    yield f"\nTen challengers one after the other on the same hold-out, margin {MARGINS[0]:g}:\n"
    yield "| days | equal: passes at look 1, 3, 10 | worse by the margin: any of 1, 3, 10 passes | without correction |"
    yield "|---|---|---|---|"
    for days in DAYS:
        equal, worse = (_of(data, days, each, MARGINS[0]) for each in SEQUENCES)
        cells = (equal["passes_at"], worse["any_passes"], worse["any_passes_uncorrected"])
        yield f"| {days} | " + " | ".join(", ".join(_share(cell[str(look)]) for look in LOOKS) for cell in cells) + " |"


def _worse(worse: float) -> str:
    return "equal" if worse == 0 else f"worse by {worse:g}" if worse > 0 else f"better by {-worse:g}"


def _share(share: float) -> str:
    return f"{100 * share:.1f} %" if share < 0.1 else f"{100 * share:.0f} %"  # noqa: PLR2004 - small ones need a digit


def _picture(data: dict[str, Any]) -> Iterator[str]:
    lines = [
        Line(
            [(worse, _of(data, days, worse, margin)["passes_at"]["1"]) for worse in WORSE],
            COLOURS[days],
            broken=margin != MARGINS[0],
        )
        for days in DAYS
        for margin in MARGINS
    ]
    drawn = Chart(
        told="How often a challenger passes the gate, by how much worse it is and by days of the hold-out",
        title="Share of challengers that pass, at the first look",
        below="worse than the champion by, in area under the ROC curve (whole line: margin 0.01, broken: 0.02)",
        x_ticks=WORSE,
        y_ticks=(0, 0.25, 0.5, 0.75, 1),
        y_text=lambda share: f"{100 * share:.0f} %",
    )
    yield from drawn.drawn(lines, {f"{days} days": COLOURS[days] for days in DAYS}, TOP + 16)


if __name__ == "__main__":
    (ROOT / DATA).write_text(json.dumps(simulate(), indent=1) + "\n")
