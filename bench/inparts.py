"""Features of as many flights with little memory: a part of time after the other, and the same rows to the last bit.

What is measured runs as a process of its own (`python -m bench.inparts`, in the folder of a project with live features,
its package on PYTHONPATH) on the tables that `keep` has left there, as on a computer with `FREE` bytes of memory free.
"""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.step import timed

if TYPE_CHECKING:
    import pandas as pd

    from mlplat.spec.project import ProjectSpec

NAME = "features, in parts"
FREE = 2**29
SAMPLE = 100_000
LOOKBACK_HOURS = 33 * 24
"""Rates are of thirty days, of flights whose outcome is known a while after them, as of hours before departure."""
FLIGHTS, WEATHER, AIRPORTS, WHOLE = "flights.parquet", "weather.parquet", "airports.parquet", "whole.sha256"


def keep(raw: Any, schedule: pd.DataFrame) -> None:
    """Write the project's tables, flights as a source has them: with the time that each is about, and the label."""
    flights = raw.flights.assign(**{name: schedule[name] for name in ("scheduled_departure", "late")})
    flights.to_parquet(FLIGHTS, index=False)
    raw.weather.to_parquet(WEATHER, index=False)
    raw.airports.to_parquet(AIRPORTS, index=False)


def keep_hash(rows: pd.DataFrame, spec: ProjectSpec) -> None:
    """Write down what a sample of all rows (n × columns) is known by."""
    Path(WHOLE).write_text(_hash(rows, spec))


def _hash(rows: pd.DataFrame, spec: ProjectSpec) -> str:
    from mlplat.runtime.evenly import evenly
    from mlplat.runtime.hashing import hash_rows
    from mlplat.runtime.table import feature_names

    # Not when the newest of all that a feature is made of was known: that may lie before what a part looks at.
    names = [*feature_names(rows, spec), spec.data.target, *([spec.data.time] if spec.data.time else [])]
    ordered = rows.sort_values(spec.data.time or "", kind="stable")
    return hash_rows(ordered[names].iloc[evenly(len(rows), SAMPLE)].reset_index(drop=True))


def main(package: str) -> list[dict[str, Any]]:
    """Build a sample's features; return what it took. Raises `RuntimeError` where they are not those of the whole."""
    import pandas as pd
    import pandera.pandas as pa

    from mlplat.runtime import sources
    from mlplat.runtime.sources import memory
    from mlplat.runtime.steps import building
    from mlplat.spec.project import override

    data, features, pipeline = (
        importlib.import_module(f"{package}.{name}") for name in ("data", "features", "pipeline")
    )
    spec = pipeline.specification(pipeline.options({}))
    spec = override(spec, {"data.source": FLIGHTS, "data.lookback_hours": LOOKBACK_HOURS})
    others = pd.read_parquet(WEATHER), pd.read_parquet(AIRPORTS)
    memory.available = lambda: FREE

    def load(spec: ProjectSpec, project: Path) -> Any:
        return data.Raw(sources.load(spec, project, pa.DataFrameSchema({})), *others)

    steps: list[dict[str, Any]] = []
    with timed(steps, NAME, pd.read_parquet(FLIGHTS, columns=["late"]).shape[0]):
        rows, _ = building.rows(spec, SAMPLE, load, features.build, project=Path.cwd())
    if _hash(rows, spec) != Path(WHOLE).read_text():
        raise RuntimeError("a sample's features in parts are not those of the whole table")
    return steps


if __name__ == "__main__":
    from bench.growth import PACKAGE

    print(json.dumps(main(PACKAGE)))  # noqa: T201 - to its parent
