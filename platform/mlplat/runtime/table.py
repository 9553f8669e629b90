"""A person's own table: reading it, and making its columns what a model takes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from mlplat.errors import UsageError
from mlplat.spec.project import ProjectSpec

TWO = 2
SEEN = 100
"""Rows looked at for lists and maps, which a Parquet column holds in all of its rows or in none."""
_OFFSET = r"(?:Z|[+-]\d\d(?::?\d\d)?)$"


def read(path: Path) -> pd.DataFrame:
    """Read a CSV or Parquet file. Raises `UsageError` naming it when it cannot be read."""
    readers: dict[str, Callable[[Path], pd.DataFrame]] = {".csv": _csv, ".parquet": _parquet}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise UsageError(f"{path}: `{path.suffix}` files are not supported", hint="convert it to CSV or Parquet")
    try:
        frame = reader(path)
    except FileNotFoundError as error:
        raise UsageError(f"there is no data file {path}", hint="`data.source` of mlplat.yaml names it") from error
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot be read: {error}") from error
    if frame.empty:
        raise UsageError(f"{path}: holds no rows")
    return frame


def _csv(path: Path) -> pd.DataFrame:
    # Read as a whole: in parts, a column of numbers and texts would hold both, by where the parts were cut.
    return pd.read_csv(path, encoding="utf-8-sig", low_memory=False)


def _parquet(path: Path) -> pd.DataFrame:
    return pd.read_parquet(path)


def prepare(frame: pd.DataFrame, spec: ProjectSpec) -> pd.DataFrame:
    """Return a table (rows × columns) with its times as times in UTC, its texts as texts, and its target as a number.

    Rows without a target are left out. Raises `UsageError` for a column that is missing or holds what it cannot.
    """
    data = spec.data
    _refuse_missing(frame, spec)
    made = frame.dropna(subset=[data.target]).copy()
    if made.empty:
        raise UsageError(f"{data.source}: the target `{data.target}` is missing in every row")
    for name in _times(spec):
        # Of an hour that comes twice, a prediction counts as asked in the first, a value as known in the second.
        made[name] = _as_time(made[name], data.timezone, first=name == data.time)
    for name in filter(None, [data.time, data.label_time, data.group]):
        _refuse_nulls(made[name])
    for name in feature_names(made, spec):
        made[name] = _as_feature(made[name])
    made[data.target] = _target(made[data.target], spec)
    return made.reset_index(drop=True)


def _refuse_nulls(values: pd.Series) -> None:
    if values.isna().any():
        row = values.index[int(values.isna().to_numpy().argmax())]
        raise UsageError(f"`{values.name}` is missing in row {row}", hint="give every row one, or leave the row out")


def _as_feature(values: pd.Series) -> pd.Series:
    """Return a column as numbers, truth values or texts."""
    kind = pd.api.types.infer_dtype(values, skipna=True)
    if kind == "boolean":
        return values.astype("boolean" if values.isna().any() else "bool")
    if kind == "decimal":
        return values.astype("float64")
    if pd.api.types.is_numeric_dtype(values) and kind != "complex":
        if np.isinf(numbers := values.to_numpy(dtype="float64", na_value=np.nan)).any():
            row = values.index[int(np.isinf(numbers).argmax())]
            raise UsageError(
                f"`{values.name}` is infinite in row {row}", hint="leave the cell empty, or the column out"
            )
        return values
    if kind.startswith(("date", "time", "period", "interval", "bytes", "complex")) or _holds_groups(values):
        raise UsageError(
            f"`{values.name}` holds {kind} values, which a model cannot be asked with",
            hint="make it a number, a text or a truth value, or list it under `data.refused`",
        )
    return values.astype("str").where(values.notna(), None)


def _holds_groups(values: pd.Series) -> bool:
    return any(isinstance(value, list | dict | set | np.ndarray) for value in values.head(SEEN))


def _times(spec: ProjectSpec) -> list[str]:
    data = spec.data
    named = [data.time, data.label_time, *(group.known for group in data.features.values())]
    return sorted({name for name in named if name})


def _refuse_missing(frame: pd.DataFrame, spec: ProjectSpec) -> None:
    data = spec.data
    named = [data.target, *_times(spec), *([data.group] if data.group else [])]
    named += [column for group in data.features.values() for column in group.columns]
    if absent := [name for name in named if name not in frame.columns]:
        shown = ", ".join(map(str, frame.columns[:12]))
        raise UsageError(f"{data.source}: has no column `{absent[0]}`", hint=f"its columns are {shown}")


def _as_time(values: pd.Series, zone: str, *, first: bool) -> pd.Series:
    if pd.api.types.is_numeric_dtype(values):
        raise UsageError(f"`{values.name}` holds numbers and no times", hint="write times in ISO 8601")
    try:
        read = values if _is_time(values) else _parsed(values)
    except (ValueError, TypeError) as error:
        why = str(error).partition(". You might")[0].partition(". Pass")[0]
        raise UsageError(f"`{values.name}` holds what is no time: {why}", hint="write times in ISO 8601") from error
    if read.dt.tz is None:
        read = read.dt.tz_localize(zone, ambiguous=np.full(len(read), first), nonexistent="shift_forward")
    made: pd.Series = read.dt.tz_convert("UTC")
    return made


def _parsed(values: pd.Series) -> pd.Series:
    # With offsets that differ, as local times have in summer and winter, there is no one zone to read them in but UTC.
    offsets = bool(values.dropna().astype("str").str.contains(_OFFSET).all())
    return pd.to_datetime(values, format="ISO8601", utc=offsets)


def _is_time(values: pd.Series) -> bool:
    return pd.api.types.is_datetime64_any_dtype(values)


def _target(values: pd.Series, spec: ProjectSpec) -> pd.Series:
    if spec.task == "regression":
        numbers = pd.to_numeric(values, errors="coerce").astype("float64")
        if not np.isfinite(numbers).all():
            bad = values[~np.isfinite(numbers)].iloc[0]
            raise UsageError(f"the target `{values.name}` is `{bad}` in a row, which is no number")
        return numbers
    classes = sorted(values.unique().tolist(), key=str)
    shown = ", ".join(map(str, classes[:3]))
    if len(classes) != TWO:
        raise UsageError(f"the target `{values.name}` has {len(classes)} values ({shown}), and a binary task has two")
    if len({type(one) for one in classes}) > 1 or not all(_is_class(one) for one in classes):
        raise UsageError(
            f"the target `{values.name}` is one of {shown}, which cannot be classes",
            hint="write both as whole numbers, texts or truth values",
        )
    return values


def _is_class(value: object) -> bool:
    return isinstance(value, str | bool | int) or (isinstance(value, float) and value.is_integer())


def classes_of(values: pd.Series) -> tuple[int | str | bool, ...]:
    """Return the two classes of a binary target, the positive one last: the greater number, True, or the later text."""
    found = sorted(values.unique().tolist())
    return tuple(int(one) if isinstance(one, float) and one.is_integer() else one for one in found)


def feature_names(frame: pd.DataFrame, spec: ProjectSpec) -> list[str]:
    """Return the features' columns: those of the groups, or every column that has no other part."""
    data = spec.data
    if data.features:
        return [column for group in data.features.values() for column in group.columns]
    taken = {data.target, data.group, *_times(spec), *data.refused}
    return [str(name) for name in frame.columns if name not in taken]
