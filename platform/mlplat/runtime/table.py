"""A person's own table: reading it, and making its columns what a model takes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from mlplat.errors import UsageError
from mlplat.runtime import record
from mlplat.spec.project import ProjectSpec

TWO = 2
REVIEWED = "mlplat_reviewed"
"""Column that says which rows people labelled (`reviewed.py`); there only where some are."""
ENCODING = "utf-8-sig"
SEEN = 100
"""Rows looked at for lists and maps, which a Parquet column holds in all of its rows or in none."""
_OFFSET = r"(?:Z|[+-]\d\d(?::?\d\d)?)$"


def read(path: Path, texts: Collection[str] = ()) -> pd.DataFrame:
    """Read a CSV or Parquet file; of a CSV file, some columns as texts whatever they look like.

    Raises `UsageError` naming it when it cannot be read.
    """
    readers: dict[str, Callable[[Path, Collection[str]], pd.DataFrame]] = {".csv": _csv, ".parquet": _parquet}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise UsageError(f"{path}: `{path.suffix}` files are not supported", hint="convert it to CSV or Parquet")
    try:
        frame = reader(path, texts)
    except FileNotFoundError as error:
        raise UsageError(f"there is no data file {path}", hint="`data.source` of mlplat.yaml names it") from error
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot be read: {error}") from error
    if frame.empty:
        raise UsageError(f"{path}: holds no rows")
    return frame


def _csv(path: Path, texts: Collection[str]) -> pd.DataFrame:
    # Read as a whole: in parts, a column of numbers and texts would hold both, by where the parts were cut.
    return pd.read_csv(path, encoding=ENCODING, low_memory=False, dtype=dict.fromkeys(texts, "str"))


def _parquet(path: Path, _texts: Collection[str]) -> pd.DataFrame:
    return pd.read_parquet(path)


def kinds(frame: pd.DataFrame) -> dict[str, str]:
    """Return what each column of a part of a CSV file looks like: a type, `flags` with nulls, or `nothing`."""
    return {str(name): _kind(frame[name]) for name in frame.columns}


def _kind(values: pd.Series) -> str:
    if values.isna().all():
        return "nothing"
    if values.dtype == object and pd.api.types.infer_dtype(values, skipna=True) == "boolean":
        return "flags"
    return str(values.dtype)


def whole_types(parts: Sequence[dict[str, str]]) -> dict[str, str]:
    """Return the type that each column has when all parts are read as one, from what it looks like in each."""
    return {name: _whole_type({part[name] for part in parts}) for name in parts[0]}


def _whole_type(seen: set[str]) -> str:
    real = seen - {"nothing"}
    if real == {"bool"} == seen:
        return "bool"
    if real and real <= {"bool", "flags"}:
        return "boolean"
    if real == {"int64"} == seen:
        return "int64"
    return "float64" if real <= {"int64", "float64"} else "str"


def texts_of(parts: Sequence[dict[str, str]]) -> list[str]:
    """Return the columns that are texts in one part and something else in another."""
    return [
        name
        for name, kind in (whole_types(parts) if len(parts) > 1 else {}).items()
        if kind == "str" and len({part[name] for part in parts} - {"nothing"}) > 1
    ]


def prepare(frame: pd.DataFrame, spec: ProjectSpec) -> pd.DataFrame:
    """Return a table (rows × columns) with its times as times in UTC, its texts as texts, and its target as a number.

    Rows without a target are left out. Raises `UsageError` for a column that is missing or holds what it cannot.
    """
    data = spec.data
    _refuse_missing(frame, spec)
    made = frame.dropna(subset=[data.target]).copy()
    if made.empty:
        raise UsageError(f"{data.origin}: the target `{data.target}` is missing in every row")
    for name in times(spec):
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


def times(spec: ProjectSpec) -> list[str]:
    """Return the columns that hold times, sorted."""
    data = spec.data
    named = [data.time, data.label_time, *(group.known for group in data.features.values())]
    return sorted({name for name in named if name})


def _refuse_missing(frame: pd.DataFrame, spec: ProjectSpec) -> None:
    data = spec.data
    named = [data.target, *times(spec), *([data.group] if data.group else []), *data.keys]
    named += [column for group in data.features.values() for column in group.columns]
    if absent := [name for name in named if name not in frame.columns]:
        shown = ", ".join(map(str, frame.columns[:12]))
        raise UsageError(f"{data.origin}: has no column `{absent[0]}`", hint=f"its columns are {shown}")


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
    classes = _seen(values)
    if not record.current().partial:
        _refuse_other_than_two(values, classes)
    if len({type(one) for one in classes}) > 1 or not all(_is_class(one) for one in classes):
        raise UsageError(
            f"the target `{values.name}` is one of {_shown(classes)}, which cannot be classes",
            hint="write both as whole numbers, texts or truth values",
        )
    return values


def refuse_other_than_two(values: pd.Series) -> None:
    """Raise `UsageError` unless a binary target has two values."""
    _refuse_other_than_two(values, _seen(values))


def _refuse_other_than_two(values: pd.Series, classes: list[object]) -> None:
    if len(classes) != TWO:
        said = f"{len(classes)} values ({_shown(classes)})"
        raise UsageError(f"the target `{values.name}` has {said}, and a binary task has two")


def _seen(values: pd.Series) -> list[object]:
    return sorted(values.unique().tolist(), key=str)


def _shown(classes: list[object]) -> str:
    return ", ".join(map(str, classes[:3]))


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
    taken = {data.target, data.group, *times(spec), *data.refused, *data.keys, REVIEWED}
    return [str(name) for name in frame.columns if name not in taken]


def named_columns(frame: pd.DataFrame, spec: ProjectSpec) -> pd.DataFrame:
    """Return the columns that the project's gate names, features or not. Raises `UsageError` for one that is absent."""
    if absent := [name for name in spec.gate.named if name not in frame.columns]:
        shown = ", ".join(map(str, frame.columns[:12]))
        raise UsageError(f"gate: the rows have no column `{absent[0]}`", hint=f"their columns are {shown}")
    return frame[list(spec.gate.named)]
