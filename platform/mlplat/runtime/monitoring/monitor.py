"""One look at an endpoint: what its live version was asked and answered, held against what it learned from."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlplat.clock import Clock
from mlplat.errors import MlplatError, RefusedError, UsageError
from mlplat.files import write_atomic
from mlplat.labels import Name
from mlplat.runtime import registry, result, split
from mlplat.runtime.fitting import Make
from mlplat.runtime.monitoring import checks, evidently, performance, profile, report, source, tracked
from mlplat.runtime.monitoring.checks import Alarm
from mlplat.runtime.monitoring.performance import Performance
from mlplat.runtime.monitoring.profile import Profile
from mlplat.runtime.monitoring.shadow import regret
from mlplat.runtime.monitoring.source import Observed
from mlplat.runtime.result import Result
from mlplat.runtime.split import read_time
from mlplat.serving.model import Model, load, withheld
from mlplat.spec.project import ProjectSpec

VERSION = 1
REPORT, PAGE = "drift.json", "drift.html"
"""The report's files: beside the run's result, and below `monitoring` among its artifacts."""

Build = Callable[[], pd.DataFrame]
"""Gives the project's rows with features, labels and times."""


@dataclass(frozen=True)
class Asked:
    """What a monitor was asked for."""

    until: str | None = None
    """The present; None for the clock's."""
    rows: str | None = None
    """Two times with `/` between them: the project's own rows of that time instead of the prediction log."""
    version: str | None = None
    """Number of a version to look at instead of the one that serves."""


@dataclass(frozen=True)
class Live:
    """The version that serves, and what is kept of how it came about."""

    name: Name
    version: str
    model: Model
    profile: Profile


def monitor(spec: ProjectSpec, asked: Asked, build: Build, make: Make) -> Result:
    """Look at the project's endpoint, write the report down, and return what it came to: `quiet` or `alarm`.

    Raises `RefusedError` when there is no version to look at, or nothing that it was asked.
    """
    if spec.data.time is None:
        raise UsageError("rows without a time cannot be monitored", hint="name the column with it: `data.time`")
    if spec.monitoring.evidently:
        evidently.check()
    with tempfile.TemporaryDirectory(prefix="mlplat-monitor-") as folder:
        live = _live(Name(spec.project, spec.model), Path(folder), asked.version)
        return _look(spec, live, asked, cache(build), make)


def _look(spec: ProjectSpec, live: Live, asked: Asked, rows: Build, make: Make) -> Result:
    until = _until(spec, asked)
    seen = _observed(spec, asked, live, rows, until)
    found = checks.look(
        live.profile, spec.monitoring, seen.features, seen.scores, seen.asked, begin=seen.begin, until=until
    )
    performed = _performed(spec, live, seen, rows, make, until)
    alarms = _alarms(spec, live, seen, found, performed, until)
    document = {
        "version": VERSION,
        "endpoint": str(live.name),
        "model_version": live.version,
        "time": until.isoformat(),
        "source": seen.source,
        "rows": len(seen.scores),
        "learned": {"rows": live.profile.rows, "blocks": len(live.profile.blocks), "base": live.profile.base},
        "rule": {"violations": spec.monitoring.violations, "windows": spec.monitoring.windows},
        "windows": [{**window.described(), **_abstained(live, seen, window)} for window in found],
        "alarms": [alarm.described() for alarm in alarms],
        "performance": performed.described() if performed else None,
        "uncalibrated": [column.name for column in live.profile.columns if not column.thresholds],
        "unwatched": list(seen.unwatched),
    }
    page = report.html(document, live.profile, _latest(live.profile, seen, found))
    return _written(spec, live, document, {PAGE: page, **_evidently(spec, live, seen, found, rows)})


def _until(spec: ProjectSpec, asked: Asked) -> pd.Timestamp:
    if asked.until:
        return read_time(asked.until, spec.data.timezone)
    return pd.Timestamp(Clock.from_environment().now())


def _live(name: Name, folder: Path, number: str | None) -> Live:
    if not registry.is_connected():
        raise RefusedError("there is no registry to ask what serves", hint="`mlplat run monitor` gives its address")
    place = folder / "bundle"
    champion = registry.numbered(name, number, place) if number else registry.champion(name, place)
    if champion is None:
        raise RefusedError(f"no version of {name} serves yet", hint="`mlplat deploy` puts one behind the endpoint")
    learned = tracked.folder_of(name, champion.version, profile.FOLDER, folder)
    if learned is None:
        raise RefusedError(
            f"version {champion.version} of {name} has no profile of what it learned from",
            hint="it is older than monitoring: `mlplat run train` makes a version that has one",
        )
    return Live(name, champion.version, load(champion.folder, digest=champion.digest), Profile.load(learned))


def _observed(spec: ProjectSpec, asked: Asked, live: Live, build: Build, until: pd.Timestamp) -> Observed:
    if asked.rows:
        begin, end = times(asked.rows, spec.data.timezone)
        return source.from_rows(
            spec, build(), live.model.contract, live.model.score, begin=begin, end=min(end, until), until=until
        )
    return source.from_log(
        spec, source.place_of(spec, live.name), live.model.contract, live.version, build, until=until
    )


def times(text: str, zone: str) -> tuple[pd.Timestamp, pd.Timestamp]:
    """Read two times with `/` between them. Raises `UsageError`."""
    first, _, last = text.partition("/")
    if not last:
        raise UsageError(f"`{text}` is not two times", hint="write them as 2013-06-01/2013-08-01 (ISO 8601)")
    begin, end = read_time(first, zone), read_time(last, zone)
    if begin >= end:
        raise UsageError(f"`{text}` ends before it begins", hint="write the earlier time first")
    return begin, end


def _performed(
    spec: ProjectSpec, live: Live, seen: Observed, build: Build, make: Make, until: pd.Timestamp
) -> Performance | None:
    if seen.outcomes is None:
        return None
    performed = performance.measure(live.profile, spec.monitoring, seen.outcomes, until)
    if not spec.monitoring.shadow or performed.unjudged or performed.start is None or performed.end is None:
        return performed
    measured, why = regret(spec, live.model, build(), make, start=performed.start, end=performed.end, until=until)
    if measured is None:
        return replace(performed, unjudged=f"the shadow: {why}")
    return replace(performed, measures={**performed.measures, "regret": measured})


def _alarms(
    spec: ProjectSpec,
    live: Live,
    seen: Observed,
    windows: list[checks.Window],
    performed: Performance | None,
    until: pd.Timestamp,
) -> list[Alarm]:
    found = checks.alarms(windows, spec.monitoring)
    if performed:
        found += performance.alarms(performed, spec.monitoring, live.profile.base)
    if seen.is_live:
        found += checks.freshness(seen.asked.max(), until, spec.monitoring)
    return found


def _asked_in(seen: Observed, window: checks.Window) -> np.ndarray:
    """Return which rows (n) were asked for in a window."""
    return ((seen.asked >= window.start) & (seen.asked < window.end)).to_numpy(dtype=np.bool_)


def _abstained(live: Live, seen: Observed, window: checks.Window) -> dict[str, float | None]:
    """Return the share of a window's answers without a label, of a model that may give none: a report, no alarm."""
    if live.model.contract.abstain is None:
        return {}
    inside = _asked_in(seen, window) & np.isfinite(seen.scores)
    left = withheld(live.model.contract, seen.scores[inside])
    return {"abstained": round(float(left.mean()), 6) if len(left) else None}


def _latest(learned: Profile, seen: Observed, windows: list[checks.Window]) -> dict[str, np.ndarray]:
    """Return the counts of the latest judged window's columns, for a picture beside the profile's."""
    judged = [window for window in windows if window.columns]
    if not judged:
        return {}
    part = seen.features[_asked_in(seen, judged[-1])]
    return {column.name: column.cells.count(part[column.name]) for column in learned.columns if column.name in part}


def _evidently(
    spec: ProjectSpec, live: Live, seen: Observed, windows: list[checks.Window], build: Build
) -> dict[str, str]:
    """Return Evidently's page of each judged window of the latest, against the learned rows; a verdict needs none."""
    judged = [window for window in windows if window.columns][-spec.monitoring.windows :]
    if not spec.monitoring.evidently or not judged:
        return {}
    rows = build()
    learned = np.isin(live.profile.calendar.numbers(split.asked_at(rows, spec.data)), live.profile.blocks)
    parts = {
        f"{window.start.tz_convert(live.profile.calendar.zone):%Y-%m-%d}": seen.features[_asked_in(seen, window)]
        for window in judged
    }
    try:
        return evidently.pages(rows.loc[learned, list(seen.features.columns)], parts)
    except MlplatError as error:
        print(f"warning: {error.message}", file=sys.stderr)  # noqa: T201 - the run's log
        return {}


def verdict(document: dict[str, Any]) -> dict[str, Any]:
    """Return the part of a report that a controller acts on: small enough for a tag."""
    short = ("start", "end", "rows", "violated", "columns")
    latest = document["windows"][-document["rule"]["windows"] :]
    return {
        **{name: document[name] for name in ("version", "endpoint", "model_version", "time")},
        "windows": [{name: window[name] for name in short} for window in latest],
        "alarms": document["alarms"],
        "ripe_until": _ripe_until(document["performance"]),
    }


def _ripe_until(performed: dict[str, Any] | None) -> str | None:
    """Return until when the labels of everything are known; None where too few were found to judge by."""
    return performed["end"] if performed and performed["measures"] else None


def _written(spec: ProjectSpec, live: Live, document: dict[str, Any], pages: dict[str, str]) -> Result:
    """Write the report beside the run's result and into the registry's server."""
    files = {REPORT: json.dumps(document, indent=1) + "\n", **pages}
    if path := os.environ.get(result.VARIABLE):
        for name, text in files.items():
            write_atomic(Path(path).parent / name, text)
    measures = (document["performance"] or {}).get("measures", {})
    alarms = document["alarms"]
    tags = {
        "mlplat.kind": "monitor",
        "mlplat.project": spec.project,
        "mlplat.endpoint": str(live.name),
        "mlplat.monitored_version": live.version,
        "mlplat.verdict": json.dumps(verdict(document)),
    }
    figures = {f"{name}{end}": values[key] for name, values in measures.items() for key, end in _ENDS}
    run = tracked.note(live.name, tags, {"alarms": float(len(alarms)), **figures}, files, profile.FOLDER)
    message = "; ".join(f"{alarm['kind']}: {alarm['message']}" for alarm in alarms)
    judged = sum(window["judged"] for window in document["windows"])
    return Result(
        status="alarm" if alarms else "quiet",
        step="start",
        message=message or f"nothing is over its threshold in {judged} windows of {document['source']}",
        model=str(live.name),
        version=live.version,
        digest=live.model.digest,
        run_id=run,
        metrics=measures,
    )


_ENDS = (("value", ""), ("low", "_low"), ("high", "_high"))
