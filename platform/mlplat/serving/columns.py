"""What a request holds, checked against the model's contract and turned into typed columns.

Columns are the one form in which rows reach a model, whoever asks: the row route, the inference protocol, the gate's
DataFrame. One numpy array a column: `boolean` is bool, `long` int64, `double` float64, `string` object (str). Null is
NaN; a nullable `long` or `boolean` is float64 therefore, as pandas has it. So a null, a category or a whole number
cannot mean one thing when a model is judged and another when it serves.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mlplat.bundle import Column
from mlplat.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[Any]
Columns = Mapping[str, Array]

LISTED = 20
"""Problems named in one answer: enough to see a pattern, few enough to read."""

SHOWN = 60
"""Characters of a client's own text in a message."""

_INT64 = range(-(2**63), 2**63)
_PLAIN: dict[str, frozenset[type]] = {
    "boolean": frozenset({bool}),
    "long": frozenset({int}),
    "double": frozenset({int, float}),
    "string": frozenset({str}),
}
_WORDS = {"boolean": "true or false", "long": "a whole number", "double": "a number", "string": "a string"}
_DTYPES: dict[str, type] = {"boolean": np.bool_, "long": np.int64, "double": np.float64, "string": np.object_}


class InputError(UsageError):
    """Rows do not hold what the model's contract asks for; `details` names each place, the first `LISTED` of them."""

    def __init__(self, details: Sequence[str]) -> None:
        self.details = tuple(details[:LISTED])
        super().__init__(self.details[0])


class Stacked(Mapping[str, Array]):
    """Columns of float64 that lie side by side in one array, as a model of numbers takes them: one copy, not thirty."""

    __slots__ = ("matrix", "places")

    def __init__(self, matrix: NDArray[np.float64], places: Mapping[str, int]) -> None:
        self.matrix = matrix
        """Rows by columns, in the order of the contract."""
        self.places = places
        """Column of the array by name."""

    def __getitem__(self, name: str) -> Array:
        """Return one column."""
        return self.matrix[:, self.places[name]]

    def __iter__(self) -> Iterator[str]:
        """Go through the columns' names."""
        return iter(self.places)

    def __len__(self) -> int:
        """Return the number of columns."""
        return len(self.places)


def joined(parts: Sequence[Columns]) -> Columns:
    """Put the rows of several requests to one model behind each other."""
    first = parts[0]
    if isinstance(first, Stacked) and all(isinstance(part, Stacked) for part in parts):
        return Stacked(np.concatenate([part.matrix for part in parts if isinstance(part, Stacked)]), first.places)
    return {name: np.concatenate([part[name] for part in parts]) for name in first}


class Schema:
    """The columns of a contract, and the ways into them."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self.columns = tuple(columns)
        self.names = tuple(column.name for column in columns)
        self._known = frozenset(self.names)
        self._allowed = tuple(
            _PLAIN[column.type] | {type(None)} if column.nullable else _PLAIN[column.type] for column in columns
        )
        self._places = {name: place for place, name in enumerate(self.names)}
        # All of one type, and all or none nullable: then one check and one conversion do for all columns at once.
        doubles = bool(columns) and all(column.type == "double" for column in columns)
        self.stacks = doubles and len(set(self._allowed)) == 1
        self._pick = itemgetter(*self.names) if len(self.names) > 1 else None

    def from_rows(self, rows: object) -> Columns:
        """Turn JSON rows, a list of objects, into columns. Raises `InputError` naming row and column."""
        if not isinstance(rows, list):
            raise InputError([f"rows: must be a list of objects, not {shown(rows)}"])
        if not rows:
            raise InputError(["rows: holds no rows"])
        width = len(self.names)
        try:
            if all(len(row) == width for row in rows):
                if self.stacks and self._pick and (stacked := self._stacked(list(map(self._pick, rows)))):
                    return stacked
                return self.from_values({name: [row[name] for row in rows] for name in self.names}, row_place)
        except (TypeError, KeyError, IndexError):
            pass  # an object of another shape: found and named below
        raise InputError(list(_first(self._row_problems(rows))))

    def from_values(self, values: Mapping[str, list[Any]], place: Callable[[str, int], str]) -> Columns:
        """Turn one list of JSON values a column into columns; all lists are of one length.

        `place` writes where a value stands, for messages. Raises `InputError`.
        """
        if self.stacks and (stacked := self._stacked([values[name] for name in self.names], upright=False)):
            return stacked
        columns: dict[str, Array] = {}
        for column, allowed in zip(self.columns, self._allowed, strict=True):
            found = values[column.name]
            if not allowed.issuperset(map(type, found)) or (array := _array(column, found)) is None:
                return self._converted(values, place)
            columns[column.name] = array
        return columns

    def from_flat(self, values: list[Any], rows: int) -> Columns | None:
        """Turn JSON numbers in row-major order into columns; None where one of them needs a closer look."""
        if not self.stacks or (stacked := self._stacked([values])) is None:
            return None
        return Stacked(stacked.matrix.reshape(rows, len(self.names)), self._places)

    def _stacked(self, lists: list[Any], *, upright: bool = True) -> Stacked | None:
        """Stack lists of numbers, one a row or (not upright) one a column; None where one needs a closer look."""
        allowed = self._allowed[0]
        if not all(allowed.issuperset(map(type, values)) for values in lists):
            return None
        try:
            matrix = np.array(lists, dtype=np.float64)
        except (OverflowError, ValueError):
            return None
        if not np.isfinite(matrix).all():
            odd = int(np.count_nonzero(~np.isfinite(matrix)))
            if odd != sum(values.count(None) for values in lists):
                return None
        return Stacked(matrix if upright else np.ascontiguousarray(matrix.T), self._places)

    def from_frame(self, frame: pd.DataFrame) -> Columns:
        """Turn a DataFrame into columns; columns that the contract does not name are left out. Raises `InputError`."""
        if missing := [name for name in self.names if name not in frame.columns]:
            raise InputError([f"{name}: is missing" for name in missing])
        values: dict[str, list[Any]] = {}
        columns: dict[str, Array] = {}
        for column in self.columns:
            if (array := _held(column, frame[column.name])) is None:
                values[column.name] = _listed(frame[column.name])
            else:
                columns[column.name] = array
        rest = Schema([column for column in self.columns if column.name in values])
        columns |= rest.from_values(values, lambda name, row: f"{name}, row {row}")
        return {name: columns[name] for name in self.names}

    def to_frame(self, columns: Columns) -> pd.DataFrame:
        """Make the DataFrame that a pipeline with column transformers takes; strings stay plain objects."""
        import pandas as pd  # a model that takes an array is served without pandas

        # Without a stated dtype pandas guesses one, and a column of strings that holds only nulls becomes numeric.
        return pd.DataFrame({name: pd.Series(array, dtype=array.dtype, copy=False) for name, array in columns.items()})

    def to_matrix(self, columns: Columns) -> NDArray[np.float64]:
        """Make the rows by columns array of float64 that a model without column names takes."""
        if isinstance(columns, Stacked):
            return columns.matrix.copy()  # a model may compute in place, and the log keeps what was asked
        rows = len(next(iter(columns.values())))
        matrix = np.empty((rows, len(columns)), dtype=np.float64)
        for index, array in enumerate(columns.values()):
            matrix[:, index] = array
        return matrix

    def _row_problems(self, rows: list[Any]) -> Iterator[str]:
        for index, row in enumerate(rows):
            if not isinstance(row, dict):
                yield f"rows[{index}]: must be an object of column and value, not {shown(row)}"
                continue
            for column in self.columns:
                if why := "is missing" if column.name not in row else _reason(column, row[column.name]):
                    yield f"rows[{index}].{column.name}: {why}"
            odd = (name for name in row if name not in self._known)
            yield from (f"rows[{index}].{cut(str(name))}: the model has no such column" for name in odd)

    def _converted(self, values: Mapping[str, list[Any]], place: Callable[[str, int], str]) -> Columns:
        converted: dict[str, list[Any]] = {column.name: list(values[column.name]) for column in self.columns}
        if problems := list(_first(self._problems(converted, place))):
            raise InputError(problems)
        return {column.name: _must(_array(column, converted[column.name])) for column in self.columns}

    def _problems(self, values: dict[str, list[Any]], place: Callable[[str, int], str]) -> Iterator[str]:
        """Name what is wrong, row by row, and put a converted value in the place of one that only needs that."""
        for row in range(len(values[self.names[0]])):
            for column in self.columns:
                try:
                    values[column.name][row] = checked(column, values[column.name][row])
                except ValueError as error:
                    yield f"{place(column.name, row)}: {error}"


def row_place(name: str, row: int) -> str:
    """Write where a value stands in a list of rows."""
    return f"rows[{row}].{name}"


def shown(value: object) -> str:
    """Write a value for a message, as JSON would and short."""
    words = {None: "null", True: "true", False: "false"}
    if value is None or isinstance(value, bool):
        return words[value]
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    return cut(repr(value) if not isinstance(value, str) else f'"{value}"')


def cut(text: str) -> str:
    """Shorten what a client wrote, so that the place and the reason beside it fit on one line."""
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


def _first(problems: Iterator[str]) -> Iterator[str]:
    return (problem for _, problem in zip(range(LISTED), problems, strict=False))


def _reason(column: Column, value: Any) -> str | None:
    try:
        checked(column, value)
    except ValueError as error:
        return str(error)
    return None


def checked(column: Column, value: Any) -> Any:
    """Return one JSON value as its column holds it. Raises `ValueError` with the reason."""
    if value is None:
        if column.nullable:
            return None
        raise ValueError("must not be null")
    if type(value) is float and not math.isfinite(value):
        raise ValueError("must be a finite number")
    if type(value) not in _PLAIN[column.type]:
        if column.type == "long" and type(value) is float and value.is_integer():
            value = int(value)
        else:
            raise ValueError(f"must be {_WORDS[column.type]}, not {shown(value)}")
    if column.type == "long" and value not in _INT64:
        raise ValueError("must be a whole number of 64 bits")
    if column.type == "double" and type(value) is int:
        return _double(value)
    return value


def _double(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        raise ValueError("must be a finite number") from None


def _array(column: Column, values: list[Any]) -> Array | None:
    """Return a column of values of the right types; None where one of them needs a closer look."""
    nulls = column.nullable and None in values
    if column.type == "string":
        array: Array = np.empty(len(values), dtype=np.object_)
        array[:] = [np.nan if value is None else value for value in values] if nulls else values
        return array
    try:
        array = np.array(values, dtype=np.float64 if column.nullable else _DTYPES[column.type])
    except OverflowError:
        return None
    if array.dtype == np.float64 and not np.isfinite(array).all() and _odd(array, values):
        return None
    if column.type == "long" and column.nullable and any(v is not None and v not in _INT64 for v in values):
        return None
    return array


def _odd(array: Array, values: list[Any]) -> bool:
    return int((~np.isfinite(array)).sum()) != values.count(None)


def _must(array: Array | None) -> Array:
    if array is None:
        raise AssertionError("a checked column must convert")
    return array


def _held(column: Column, series: pd.Series[Any]) -> Array | None:
    """Return a pandas column whose type is its column's; None where single values need a closer look.

    Millions of rows as lists of Python's own values would take several times the room of the table.
    """
    if column.type == "double" and series.dtype == np.float64:
        return _finite_or_null(column, series.to_numpy())
    if column.type in ("long", "boolean") and series.dtype == _DTYPES[column.type]:
        return series.to_numpy(dtype=np.float64) if column.nullable else series.to_numpy()
    if column.type == "string" and series.dtype == "str" and (column.nullable or not series.hasnans):
        return _shared(series)
    return None


def _shared(series: pd.Series[Any]) -> Array:
    """Return strings as objects, one for all rows that hold the same."""
    import pandas as pd

    codes, known = pd.factorize(series)
    # The place of a null is the last one, -1.
    return np.array([*known, np.nan], dtype=np.object_)[codes]


def _finite_or_null(column: Column, array: Array) -> Array:
    if np.isinf(array).any() or (not column.nullable and np.isnan(array).any()):
        row = int(np.flatnonzero(~np.isfinite(array))[0])
        why = "must be a finite number" if column.nullable or np.isinf(array[row]) else "must not be null"
        raise InputError([f"{column.name}, row {row}: {why}"])
    return array


def _listed(series: pd.Series[Any]) -> list[Any]:
    """Return a pandas column as the JSON values it stands for: every null as None, numpy scalars as Python's own."""
    pairs = zip(series.astype(object).tolist(), series.isna().tolist(), strict=True)
    return [None if null else value.item() if isinstance(value, np.generic) else value for value, null in pairs]
