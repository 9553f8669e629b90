"""What a model version learned from, as it is kept with it: enough to know later windows as near or far.

Per column the counts of each block (a window's days) of the learned rows, in cells, and the thresholds that follow from
them; likewise of the predictions. No row can be read from it, but a category's name can, and stays until the version
goes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlplat.bundle import Column
from mlplat.errors import StateError
from mlplat.runtime.evenly import evenly
from mlplat.runtime.monitoring import cells, thresholds
from mlplat.runtime.monitoring.cells import Cells, Integers
from mlplat.runtime.monitoring.windows import Calendar
from mlplat.runtime.steps.preparation import Prepared
from mlplat.spec.project import ProjectSpec

VERSION = 1
FOLDER = "monitoring"
"""Where it lies among a run's artifacts."""
DOCUMENT, ARRAYS = "profile.json", "profile.npz"
SCORED = 20_000
"""Most predictions that are profiled."""


@dataclass(frozen=True)
class ColumnProfile:
    """One column of the learned rows."""

    name: str
    cells: Cells
    counts: Integers
    """Blocks × cells."""
    nulls: Integers
    """One a block."""
    thresholds: dict[str, float]
    """How far, by each measure, the farthest whole block lies from all others; empty where there are too few."""

    @cached_property
    def total(self) -> Integers:
        """Counts of all blocks (cells)."""
        return np.asarray(self.counts.sum(axis=0))

    @cached_property
    def bins(self) -> Integers:
        """Bin of each cell."""
        return cells.bins(self.cells, self.total)

    @cached_property
    def usual_rows(self) -> float:
        """Rows of a usual block that are not null, by which the thresholds were found; 0 without thresholds."""
        return float(np.median(self.counts.sum(axis=1))) if self.thresholds else 0.0

    @property
    def null_share(self) -> float:
        """Share of nulls."""
        return float(thresholds.share(self.nulls.sum(), self.total))


@dataclass(frozen=True)
class Profile:
    """All columns, and what an outcome is without any model."""

    task: str
    base: float
    """Mean of the learned labels: what climatology predicts."""
    spread: float
    """Their standard deviation."""
    calendar: Calendar
    blocks: tuple[int, ...]
    """Windows that the learned rows lie in."""
    columns: tuple[ColumnProfile, ...]
    scores: ColumnProfile
    """Predictions for rows that were not fitted on: for a report, since a better model predicts otherwise."""

    @property
    def rows(self) -> int:
        """Number of learned rows."""
        return int(self.columns[0].counts.sum() + self.columns[0].nulls.sum())

    def save(self, folder: Path) -> None:
        """Write it into a folder."""
        arrays: dict[str, NDArray[Any]] = {}
        described = [_described(column, f"column{place}", arrays) for place, column in enumerate(self.columns)]
        document = {
            "version": VERSION,
            "task": self.task,
            "base": self.base,
            "spread": self.spread,
            "window_days": self.calendar.days,
            "timezone": self.calendar.zone,
            "blocks": list(self.blocks),
            "columns": described,
            "scores": _described(self.scores, "scores", arrays),
        }
        folder.mkdir(parents=True, exist_ok=True)
        (folder / DOCUMENT).write_text(json.dumps(document, indent=1) + "\n")
        with (folder / ARRAYS).open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)

    @classmethod
    def load(cls, folder: Path) -> Profile:
        """Read it from a folder. Raises `StateError` for what is no profile, or a newer one."""
        try:
            document = json.loads((folder / DOCUMENT).read_bytes())
            if document["version"] != VERSION:
                raise StateError(
                    f"the profile is of version {document['version']}, and this mlplat reads {VERSION}",
                    hint="train the model again with this mlplat, or monitor it with the one that made it",
                )
            with np.load(folder / ARRAYS, allow_pickle=False) as arrays:
                columns = tuple(_read(each, arrays) for each in document["columns"])
                scores = _read(document["scores"], arrays)
            calendar = Calendar(document["window_days"], document["timezone"])
            blocks = tuple(document["blocks"])
            return cls(document["task"], document["base"], document["spread"], calendar, blocks, columns, scores)
        except (OSError, ValueError, KeyError, TypeError) as error:
            if isinstance(error, StateError):
                raise
            raise StateError(
                f"{folder}: holds no profile of a training set: {error}", hint="`mlplat run train` makes one"
            ) from error


def make(
    features: pd.DataFrame,
    columns: Iterable[Column],
    labels: NDArray[np.float64],
    scores: NDArray[np.float64],
    *,
    task: str,
    asked: pd.Series | None,
    calendar: Calendar,
) -> Profile:
    """Profile learned rows (n × features) of the contract's columns, their labels (n), and some predictions (any).

    `asked` (n) is when each row's prediction was asked for; None, where rows have no time, leaves it uncalibrated.
    """
    windows = calendar.numbers(asked) if asked is not None else np.zeros(len(features), dtype=np.int64)
    blocks, place = np.unique(windows, return_inverse=True)
    rows = np.split(np.argsort(place, kind="stable"), np.cumsum(np.bincount(place))[:-1])
    made = tuple(_column(features[column.name], column, rows) for column in columns)
    everything = pd.Series(scores, name="prediction")
    told = _profiled(everything, "prediction", cells.cut(everything, numbers=True), [np.arange(len(scores))])
    known = tuple(int(block) for block in blocks) if asked is not None else ()
    base, spread = float(labels.mean()), float(labels.std())
    return Profile(task, base, spread, calendar, known, made, replace(told, thresholds={}))


def _column(values: pd.Series, column: Column, rows: Sequence[NDArray[np.intp]]) -> ColumnProfile:
    return _profiled(values, column.name, cells.cut(values, numbers=is_number(column)), rows)


def _profiled(values: pd.Series, name: str, cut: Cells, rows: Sequence[NDArray[np.intp]]) -> ColumnProfile:
    parts = [values.iloc[each] for each in rows]
    counts = np.stack([cut.count(part) for part in parts])
    nulls = np.array([int(part.isna().sum()) for part in parts], dtype=np.int64)
    whole = thresholds.whole(counts.sum(axis=1) + nulls)
    return ColumnProfile(name, cut, counts, nulls, thresholds.left_out(cut, counts[whole], nulls[whole]))


def is_number(column: Column) -> bool:
    """Tell whether a column's values are compared as numbers; truth values are two categories."""
    return column.type in ("long", "double")


def _described(column: ColumnProfile, key: str, arrays: dict[str, NDArray[Any]]) -> dict[str, Any]:
    arrays |= {f"{key}_counts": column.counts.astype(np.int32), f"{key}_nulls": column.nulls.astype(np.int32)}
    cut: dict[str, Any] = {"kind": "text", "categories": column.cells.cuts, "whole": column.cells.whole}
    if isinstance(column.cells.cuts, np.ndarray):
        arrays[f"{key}_cuts"] = column.cells.cuts
        cut = {"kind": "number"}
    rounded = {name: round(value, 6) for name, value in column.thresholds.items()}
    return {"name": column.name, "key": key, **cut, "nulls": round(column.null_share, 6), "thresholds": rounded}


def _read(described: dict[str, Any], arrays: Any) -> ColumnProfile:
    key = described["key"]
    cut = Cells(
        arrays[f"{key}_cuts"] if described["kind"] == "number" else tuple(described["categories"]),
        described.get("whole", True),
    )
    counts = arrays[f"{key}_counts"].astype(np.int64)
    if counts.ndim != 2 or counts.shape[1] != cut.size:  # noqa: PLR2004 - blocks × cells
        raise ValueError(f"`{described['name']}` has counts of another form than its cells")
    nulls = arrays[f"{key}_nulls"].astype(np.int64)
    return ColumnProfile(described["name"], cut, counts, nulls, described["thresholds"])


def keep(spec: ProjectSpec, prepared: Prepared, bundle: Path, folder: Path) -> None:
    """Write the profile of what a bundle has learned from into a folder.

    Predictions are those for the calibration block, which the model itself was not fitted on.
    """
    from mlplat.serving.model import load

    model, made = load(bundle), prepared.split
    learned = np.sort(np.concatenate([made.train, made.calibration]))
    later = made.calibration[evenly(len(made.calibration), SCORED)]
    make(
        prepared.features.iloc[learned],
        model.contract.columns,
        prepared.labels[learned],
        model.score(prepared.features.iloc[later]),
        task=spec.task,
        asked=prepared.asked.iloc[learned] if prepared.asked is not None else None,
        calendar=Calendar(spec.monitoring.window_days, spec.data.timezone),
    ).save(folder)
