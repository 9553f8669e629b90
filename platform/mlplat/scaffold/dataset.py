"""A first look at a person's own data file, before anything is made for it.

It needs no data library: CSV is read with Python's own reader, a bounded number of rows. Of a Parquet file only
the footer is searched, which holds the columns' names as they are; the rest is checked by the first `mlplat run train`.
"""

from __future__ import annotations

import csv
import itertools
import math
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

from mlplat.errors import UsageError

ROWS = 50_000  # about 0.2 s of a table with twenty columns
PARQUET = b"PAR1"
MISSING = frozenset({"", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "n/a", "<NA>", "#N/A"})
"""Texts that pandas reads as no value, among those that people write."""

Rows = Iterator[tuple[int, list[str]]]


def check(path: Path, *, task: str, target: str, time: str) -> str | None:
    """Check that a file can be learned from: its form, its columns, and the kind of the target's first values.

    `task` is `binary` or `regression`, `time` a column's name or empty. Returns what could not be checked yet, if
    anything. Raises `UsageError` for what is not supported.
    """
    if not path.is_file():
        raise UsageError(f"there is no data file {path}", hint="give a CSV or Parquet file with `--set data=PATH`")
    if time and time == target:
        raise UsageError(
            f"`{target}` cannot be both the target and the time column", hint="set `time` to another column"
        )
    checks: dict[str, Callable[[Path, str, str, str], str | None]] = {".csv": _check_csv, ".parquet": _check_parquet}
    if path.suffix.lower() not in checks:
        raise UsageError(f"{path}: `{path.suffix}` files are not supported", hint="convert it to CSV or Parquet")
    try:
        return checks[path.suffix.lower()](path, task, target, time)
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: is not UTF-8 (byte {error.start})", hint="save it as UTF-8") from error
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    except csv.Error as error:
        raise UsageError(f"{path}: is no CSV: {error}") from error


def _check_parquet(path: Path, _task: str, target: str, time: str) -> str | None:
    with path.open("rb") as file:
        head, size = file.read(4), file.seek(0, 2)
        file.seek(max(0, size - 8))
        tail = file.read(8)
        if size < 12 or head != PARQUET or tail[4:] != PARQUET:  # noqa: PLR2004 - the two marks and the footer's length
            raise UsageError(f"{path}: is no Parquet file", hint="it may be cut off, or encrypted")
        file.seek(max(4, size - 8 - int.from_bytes(tail[:4], "little")))
        footer = file.read()
    for column in filter(None, [target, time]):
        # The footer is not compressed: a name whose bytes are not in it is not a column's.
        if column.encode() not in footer:
            raise UsageError(f"{path}: has no column `{column}`")
    return f"{path}: types and values of a Parquet file are checked by the first `mlplat run train`"


def _check_csv(path: Path, task: str, target: str, time: str) -> str | None:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        header = next(reader, [])
        _check_header(path, header, [target, time])
        rows = ((reader.line_num, row) for row in reader if row)
        read = list(itertools.islice(_same_width(path, header, rows), ROWS))
    if not read:
        raise UsageError(f"{path}: has a header and no rows")
    _check_target(path, task, target, _column(read, header.index(target)), whole=len(read) < ROWS)
    if time:
        _check_times(path, time, _column(read, header.index(time)))
    return None


def _check_header(path: Path, header: list[str], wanted: list[str]) -> None:
    if len(header) == 1 and (other := next((mark for mark in ";\t|" if mark in header[0]), None)):
        raise UsageError(f"{path}: its columns are separated by {other!r}", hint="save it with `,` between columns")
    if twice := next((name for name in header if header.count(name) > 1), None):
        raise UsageError(f"{path}: has the column `{twice}` twice", hint="rename one of them")
    for column in filter(None, wanted):
        if column not in header:
            shown = ", ".join(header[:12]) + (" …" if len(header) > 12 else "")  # noqa: PLR2004 - two lines of a terminal
            raise UsageError(f"{path}: has no column `{column}`", hint=f"its columns are {shown}")


def _same_width(path: Path, header: list[str], rows: Rows) -> Rows:
    for line, row in rows:
        if len(row) != len(header):
            raise UsageError(f"{path}:{line}: has {len(row)} fields, its header {len(header)}")
        yield line, row


def _column(rows: list[tuple[int, list[str]]], index: int) -> list[tuple[int, str]]:
    return [(line, row[index].strip()) for line, row in rows if row[index].strip() not in MISSING]


def _check_target(path: Path, task: str, target: str, values: list[tuple[int, str]], *, whole: bool) -> None:
    if not values:
        raise UsageError(f"{path}: the target `{target}` has no values")
    kinds = sorted({text for _, text in values})
    if whole and len(kinds) == 1:
        raise UsageError(f"{path}: the target `{target}` is always `{kinds[0]}`, so there is nothing to learn")
    if task == "regression":
        if bad := next(((line, text) for line, text in values if not _is_number(text)), None):
            raise UsageError(f"{path}:{bad[0]}: the target `{target}` is `{bad[1]}`, which is no number")
    elif len(kinds) > 2:  # noqa: PLR2004 - binary
        hint = "a number is predicted with `--set task=regression`" if all(map(_is_number, kinds)) else None
        shown = ", ".join(kinds[:3])
        raise UsageError(
            f"{path}: the target `{target}` has more than two values ({shown} …); binary classification takes two",
            hint=hint or "classification into more than two classes is not supported",
        )


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _check_times(path: Path, time: str, values: list[tuple[int, str]]) -> None:
    if not values:
        raise UsageError(f"{path}: the time column `{time}` has no values")
    for line, text in values[:1000]:
        try:
            datetime.fromisoformat(text)
        except ValueError as error:
            raise UsageError(
                f"{path}:{line}: `{time}` is `{text}`, which is no time",
                hint="write times as 2013-07-01T12:00:00 (ISO 8601)",
            ) from error
