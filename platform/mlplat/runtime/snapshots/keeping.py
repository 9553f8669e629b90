"""What a training run keeps of its rows: the snapshot with its facts, and what was set aside."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

import mlplat
from mlplat.clock import Clock
from mlplat.runtime import quality, registry
from mlplat.runtime.record import Record
from mlplat.runtime.snapshots.holders import QUARANTINE
from mlplat.runtime.snapshots.place import Place
from mlplat.runtime.snapshots.store import Snapshot, Snapshots, pack
from mlplat.runtime.snapshots.tombstones import Tombstones
from mlplat.spec.project import DataSpec

RULE = ("time", "timezone", "lead_hours", "label_time", "label_horizon_hours", "features", "refused")


def set_aside(place: Place, noted: Record) -> None:
    """Keep the rows that did not hold to a schema, in the stead of those that the same table had before."""
    for table, rows in noted.quarantine:
        packed = pack(_as_texts(Tombstones(place).without(rows)))
        folder = f"{QUARANTINE}/{hashlib.sha256(table.encode()).hexdigest()[:12]}"
        name = f"{folder}/{hashlib.sha256(packed).hexdigest()[:32]}.parquet"
        if not place.has(name):
            place.write(name, packed)
        for old in place.names(folder):
            if old != name:
                place.remove(old)
        next(each for each in noted.tables if each["name"] == table)["quarantine"] = name


def _as_texts(rows: pd.DataFrame) -> pd.DataFrame:
    # What makes a row bad may be a text among numbers, and a column of Parquet has one type.
    mixed = [name for name in rows.columns if rows[name].dtype == object]
    return rows.assign(**{name: rows[name].astype("str").where(rows[name].notna(), None) for name in mixed})


def keep(
    rows: pd.DataFrame, packed: bytes, found: str, data: DataSpec, noted: Record, *, project: Path, present: datetime
) -> dict[str, Any]:
    """Keep a training set (rows × columns, and the same packed) of the hash `found`; return its record.

    Its age is measured against the run's `present`; it is dated by the platform's clock.
    """
    time = Clock.from_environment().now().isoformat(timespec="seconds")
    written = data.model_dump(mode="json")
    facts = {
        "sources": noted.sources,
        "quality": quality.report(rows, data, noted, pd.Timestamp(present)),
        "availability": {name: written[name] for name in RULE},
        "commit": registry.commit(project),
        "lock": registry.lock(project),
        "mlplat": mlplat.__version__,
    }
    columns = {str(name): str(kind) for name, kind in rows.dtypes.items()}
    made = Snapshot(found, time, time, len(rows), columns, list(data.keys), facts)
    return asdict(Snapshots(Place.of(project)).keep(made, packed, data.keep_snapshots))


def write_down(snapshot: dict[str, Any], features: Sequence[str], folder: Path) -> dict[str, float]:
    """Write a training set's record and quality into a run's folder of files; return the metrics of the latter."""
    if not snapshot:
        return {}
    (folder / "data").mkdir(parents=True, exist_ok=True)
    facts = dict(snapshot["facts"])
    found = facts.pop("quality")
    for name, content in {"quality": found, "snapshot": {**snapshot, "facts": facts}}.items():
        (folder / "data" / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n")
    return quality.metrics(found, features) if found else {}
