"""Checking many columns for drift, beside Evidently's preset in an environment of its own.

The same two sets of rows for all, one column of which is shifted: `python drift.py FILE FILE` is the child that runs
Evidently, and imports nothing of ours.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from bench.results import Drifted, Results
    from bench.speed import Say
    from mlplat.runtime.monitoring.cells import Cells

    Kept = dict[str, tuple[Cells, NDArray[np.int64], NDArray[np.int64]]]

ROWS, COLUMNS, SHIFT, SEED = 100_000, 30, 0.5, 0
ROUNDS = 5


def look(results: Results, say: Say) -> None:
    """Measure all ways on the same rows into the results. Raises `MlplatError` when there is no Evidently."""
    import numpy as np
    import pandas as pd

    from bench.results import Drifted
    from mlplat import environment
    from mlplat.errors import MlplatError

    source = np.random.default_rng(SEED)
    names = [f"c{number}" for number in range(COLUMNS)]
    reference = pd.DataFrame(source.normal(size=(ROWS, COLUMNS)), columns=names)
    current = pd.DataFrame(source.normal(size=(ROWS, COLUMNS)), columns=names)
    current["c0"] += SHIFT
    with tempfile.TemporaryDirectory(prefix="mlplat-bench-") as folder:
        files = [Path(folder, f"{name}.parquet") for name in ("reference", "current")]
        for file, frame in zip(files, (reference, current), strict=True):
            frame.to_parquet(file)
        python = environment.service("drift", progress=say)
        done = subprocess.run(
            [str(python), __file__, *map(str, files)], capture_output=True, text=True, check=False, timeout=600
        )
    if done.returncode:
        raise MlplatError(f"Evidently failed: {done.stderr.strip().splitlines()[-1:]}")
    theirs = json.loads(done.stdout.splitlines()[-1])
    kept = learned(reference)
    if max(shifted := measure(kept, current, with_ks=False), key=lambda name: shifted[name]) != "c0":
        raise MlplatError("what is timed does not find the shifted column")
    results.drift = Drifted(
        ROWS,
        COLUMNS,
        psi=tuple(_timed(lambda: measure(kept, current, with_ks=False))),
        both=tuple(_timed(lambda: measure(kept, current, with_ks=True))),
        profile=tuple(_timed(lambda: learned(reference))),
        evidently=tuple(theirs),
    )
    say(f"drift: {told(results.drift)}")


def told(drift: Drifted) -> str:
    """Return the medians in one line."""
    psi, both, theirs = (statistics.median(each) for each in (drift.psi, drift.both, drift.evidently))
    return f"PSI {psi:.3f} s, PSI and KS {both:.3f} s, Evidently's preset {theirs:.2f} s"


def learned(reference: pd.DataFrame) -> Kept:
    """Return cells, bins and counts of each column: what a training keeps with its version, once."""
    from mlplat.runtime.monitoring import cells

    kept = {}
    for name in reference.columns:
        cut = cells.cut(reference[name], numbers=True)
        counts = cut.count(reference[name])
        kept[name] = (cut, cells.bins(cut, counts), counts)
    return kept


def measure(kept: Kept, current: pd.DataFrame, *, with_ks: bool) -> dict[str, float]:
    """Hold a window's rows against what was kept, as a monitor does; return each column's PSI."""
    from mlplat.runtime.monitoring import distance

    found = {}
    for name, (cut, bins, counts) in kept.items():
        window = cut.count(current[name])
        found[name] = float(distance.psi(distance.grouped(counts, bins), distance.grouped(window, bins)))
        if with_ks:
            distance.ks(counts, window)
    return found


def _timed(work: Callable[[], object]) -> list[float]:
    seconds = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begun)
    return seconds


def _evidently(reference: str, current: str) -> None:
    import pandas as pd
    from evidently import Report
    from evidently.presets import DataDriftPreset

    first, second = pd.read_parquet(reference), pd.read_parquet(current)
    print(json.dumps(_timed(lambda: Report([DataDriftPreset(method="psi")]).run(second, first).dict())))  # noqa: T201 - to its parent


if __name__ == "__main__":
    _evidently(*sys.argv[1:])
