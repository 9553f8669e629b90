"""What a training set looks like, measured: kept with it, and as metrics of its run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from mlplat.runtime.record import Record
from mlplat.spec.project import DataSpec


def report(rows: pd.DataFrame, data: DataSpec, noted: Record, now: pd.Timestamp) -> dict[str, Any]:
    """Return completeness, distinct values and range a column, duplicates, age and quarantine of rows (n × columns).

    Ranges are of numbers and times only, and never of keys: a report is kept for longer than rows are. Age is the hours
    from the newest `data.time` that is not after `now` to it: a replay's rows go on behind its clock.
    """
    hashes = pd.util.hash_pandas_object(rows, index=False)
    past = rows.loc[rows[data.time] <= now, data.time] if data.time else None
    newest = None if past is None or past.empty else past.max()
    return {
        "rows": len(rows),
        "duplicates": int(hashes.duplicated().sum()),
        "quarantined": sum(table["quarantined"] for table in noted.tables),
        "freshness_hours": None if newest is None else round((now - newest).total_seconds() / 3600, 2),
        "tables": noted.tables,
        "columns": {str(name): _column(rows[name], ranged=name not in data.keys) for name in rows.columns},
    }


def _column(values: pd.Series, *, ranged: bool) -> dict[str, Any]:
    there = values.dropna()
    found: dict[str, Any] = {
        "type": str(values.dtype),
        "completeness": round(len(there) / len(values), 6) if len(values) else 0.0,
        "distinct": int(there.nunique()),
    }
    if not ranged or there.empty or pd.api.types.is_bool_dtype(there):
        return found
    if pd.api.types.is_numeric_dtype(there):
        return {**found, "min": float(there.min()), "max": float(there.max()), "mean": float(there.mean())}
    if pd.api.types.is_datetime64_any_dtype(there):
        return {**found, "min": there.min().isoformat(), "max": there.max().isoformat()}
    return found


def metrics(quality: dict[str, Any], features: Sequence[str]) -> dict[str, float]:
    """Return the figures of a report that a run is compared with others by."""
    columns = quality["columns"]
    named = {name: quality[name] for name in ("rows", "duplicates", "quarantined", "freshness_hours")}
    named["completeness"] = min((columns[name]["completeness"] for name in features), default=1.0)
    return {f"quality.{name}": float(value) for name, value in named.items() if value is not None}
