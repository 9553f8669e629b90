"""How features, training and drift checks grow with the data: a tenth of the flights, all, and ten years like theirs.

Every size is a process of its own (`python -m bench.growth SIZE`, in the folder of a project with live features, its
package on PYTHONPATH), and does what a run of that project does. Later years are this one again, moved by whole weeks
with their weather, so that every join finds what was known before it and nothing twice.
"""

from __future__ import annotations

import importlib
import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import inparts
from bench.results import Grown, Results
from bench.step import timed

if TYPE_CHECKING:
    import pandas as pd

    from bench.speed import Say

SIZES = (0.1, 1.0, 10.0)
QUICK = (0.05, 0.1)
WEEKS = 52
"""Of the year by which copies are moved: weekdays stay what they were."""
SECONDS = 3600
PACKAGE = "flights"


def look(folder: Path, results: Results, say: Say, *, quick: bool = False) -> None:
    """Measure every size into the results. Raises `MlplatError` where the project's own code does."""
    from bench.models import in_project
    from mlplat.scaffold import project, template

    folder.mkdir(parents=True)
    answers = {"data": "flights", "features": "live"}
    made = project.create(PACKAGE, template.find("tabular"), answers, into=folder, ask=None).folder
    for size in QUICK if quick else SIZES:
        told = json.loads(in_project(made, "bench.growth", str(size), seconds=SECONDS).splitlines()[-1])
        told += json.loads(in_project(made, "bench.inparts", seconds=SECONDS).splitlines()[-1])
        results.sizes.extend(Grown(size=size, **step) for step in told)
        say(f"{size:g} times the flights: {'; '.join(said(each) for each in results.sizes if each.size == size)}")


def said(grown: Grown) -> str:
    """Return a step's figures in a few words."""
    return f"{grown.step} {grown.seconds:.1f} s, {grown.bytes / 2**20:,.0f} MiB"


def resized(raw: Any, size: float) -> Any:
    """Return the project's tables with so many times the flights: evenly fewer, or this year again and again."""
    import pandas as pd

    if size < 1:
        return type(raw)(raw.flights.iloc[:: round(1 / size)].reset_index(drop=True), raw.weather, raw.airports)

    def again(table: pd.DataFrame) -> pd.DataFrame:
        years = [
            table.assign(time_hour=table["time_hour"] + pd.Timedelta(weeks=WEEKS * year)) for year in range(round(size))
        ]
        # The last day of a year and the first of the next are one: an hour of weather is told once.
        made = pd.concat(years, ignore_index=True)
        return made if table is raw.flights else made.drop_duplicates(["origin", "time_hour"], ignore_index=True)

    return type(raw)(again(raw.flights), again(raw.weather), raw.airports)


def main(size: float) -> list[dict[str, Any]]:
    """Build features, train, and check as many rows for drift; return what each step took."""
    from mlplat.runtime import split
    from mlplat.runtime.monitoring import profile
    from mlplat.runtime.split import Window
    from mlplat.runtime.steps import preparation, training

    data, features, model, pipeline = (
        importlib.import_module(f"{PACKAGE}.{name}") for name in ("data", "features", "model", "pipeline")
    )
    spec = pipeline.specification(pipeline.options({}))
    raw = resized(data.load(spec, pipeline.PROJECT), size)
    inparts.keep(raw, features.schedule(raw))
    steps: list[dict[str, Any]] = []
    with timed(steps, "features", len(raw.flights)):
        rows = features.build(raw, spec)
    del raw
    inparts.keep_hash(rows, spec)
    ripe = split.known_at(rows, spec.data).max()
    asked = preparation.Options(Window(until=ripe.isoformat()))
    with timed(steps, "training", len(rows)):
        prepared = preparation.prepare(spec, asked, rows)
        trained = training.train(spec, prepared, model.make)
    del rows
    from mlplat.runtime import bundles

    with tempfile.TemporaryDirectory(prefix="mlplat-bench-") as folder:
        bundle = bundles.unpack(trained.packed, Path(folder, "model"))
        with timed(steps, "profile", len(prepared.split.train) + len(prepared.split.calibration)):
            profile.keep(spec, prepared, bundle, Path(folder, "profile"))
        found = profile.Profile.load(Path(folder, "profile"))
    with timed(steps, "drift check", len(prepared.features)):
        windows = _checked(spec, found, prepared.features)
    if not all(window.columns for window in windows):
        raise RuntimeError("what is timed judges no window")
    return steps


def _checked(spec: Any, found: Any, rows: pd.DataFrame) -> list[Any]:
    """Hold all rows against a profile, as if the most windows that a report looks at had been asked for them."""
    import numpy as np
    import pandas as pd

    from mlplat.runtime.monitoring import checks

    calendar = found.calendar
    begin = calendar.start(0)
    until = calendar.start(checks.HISTORY)
    # Spread evenly: so many rows are looked at, however many years they were.
    seconds = np.linspace(1, (until - begin).total_seconds() - 1, len(rows))
    asked = pd.Series(begin + pd.to_timedelta(seconds, unit="s"), index=rows.index)
    names = [column.name for column in found.columns]
    scores = np.full(len(rows), 0.5)
    return checks.look(found, spec.monitoring, rows[names], scores, asked, begin=begin, until=until)


if __name__ == "__main__":
    print(json.dumps(main(float(sys.argv[1]))))  # noqa: T201 - to its parent
