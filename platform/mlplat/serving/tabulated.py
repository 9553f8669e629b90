"""A pipeline's column transformers, worked out once instead of at every request.

A scikit-learn pipeline over a DataFrame spends most of a request on finding out again what it knew after fitting:
names, types, categories. What an encoder does to a column is a function of that column's value alone, and it has seen a
finite number of them: each encoder is asked once, when the model is loaded, for every category it knows, for null, and
for one that it does not know. A request looks the answers up. Imputers and scalers are the arithmetic they are.

Only pieces named here are replaced; what stands behind the column transformer stays scikit-learn's own. The result is
compared with the pipeline before it is used: one that differs, or holds another piece, is served as it is.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlplat.bundle import Column
from mlplat.serving.columns import Array, Columns, Schema

Matrix = NDArray[np.float64]

LARGEST_TABLE = 2_000_000
"""Cells of one encoder's tables (16 MB); above it the encoder's own sparse arithmetic is the better way."""
PROBES = 200
"""Rows on which both ways are compared, besides the contract's examples."""
UNSEEN = "\N{REPLACEMENT CHARACTER}unseen"
_EXACT = 1e-12


class Unsupported(Exception):  # noqa: N818 - an answer, not a failure
    """The model holds a piece that is not replaced."""


Block = Callable[[Columns], Matrix]
"""Some columns in, their part of the matrix out."""


@dataclass(frozen=True)
class Lookup:
    """What an encoder makes of one column: a row of a table for each value it knows."""

    name: str
    rows: dict[Any, int]
    """Row of each known value; null is None."""
    table: Matrix
    """Row 0 is for values that are not known."""

    def __call__(self, columns: Columns) -> Matrix:
        """Return the encoder's output for this column, rows by outputs."""
        known = self.rows.get
        # A NaN equals nothing, itself included; every null of a column is found under None.
        return self.table[[known(value if value == value else None, 0) for value in columns[self.name].tolist()]]  # noqa: PLR0124


class Table(dict[str, Array]):
    """Columns that know how many rows they hold, which what stands around a pipeline may ask."""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return len(next(iter(self.values()))), len(self)


class Tabulated:
    """Stands in a pipeline where its column transformer stood, and takes columns instead of a DataFrame."""

    def __init__(self, blocks: Sequence[Block]) -> None:
        self._blocks = tuple(blocks)

    def transform(self, columns: Columns) -> Matrix:
        """Return the matrix that the column transformer would make of these rows."""
        return np.concatenate([block(columns) for block in self._blocks], axis=1)


def tabulate(estimator: Any, schema: Schema) -> Any:
    """Return a copy of a fitted estimator that takes a `Table` instead of a DataFrame.

    Raises `Unsupported` when it holds a piece that is not replaced here.
    """
    kind = kind_of(estimator)
    if kind == "sklearn.pipeline.Pipeline":
        (name, first), *rest = estimator.steps
        replaced = copy.copy(estimator)
        replaced.steps = [(name, tabulate(first, schema)), *rest]
        return replaced
    if kind == "sklearn.compose._column_transformer.ColumnTransformer":
        return Tabulated(list(_blocks(estimator, schema)))
    if kind == "sklearn.frozen._frozen.FrozenEstimator":
        return _with(estimator, estimator=tabulate(estimator.estimator, schema))
    if kind == "sklearn.calibration.CalibratedClassifierCV":
        inner = [_with(part, estimator=tabulate(part.estimator, schema)) for part in estimator.calibrated_classifiers_]
        return _with(estimator, calibrated_classifiers_=inner)
    raise Unsupported(kind)


def probes(schema: Schema, estimator: Any, examples: Sequence[dict[str, Any]]) -> Table:
    """Return rows on which both ways are compared: examples, mixed with nulls, known and unknown values."""
    source = np.random.default_rng(0)
    values: dict[str, list[Any]] = {}
    known = _vocabulary(estimator)
    for column in schema.columns:
        given = [row[column.name] for row in examples]
        pool = [*given, *known.get(column.name, [])[:PROBES], *_odd(column)]
        mixed = [pool[place] for place in source.integers(len(pool), size=PROBES).tolist()]
        values[column.name] = given + mixed
    return Table(schema.from_values(values, lambda name, row: f"{name}, row {row}"))


def agree(first: Matrix, second: Matrix) -> bool:
    """Tell whether two ways give the same scores, up to the order of a sum's terms."""
    return bool(np.allclose(first, second, rtol=1e-9, atol=_EXACT))


def _odd(column: Column) -> list[Any]:
    usual: dict[str, list[Any]] = {
        "boolean": [False, True],
        "long": [0, 1, -7, 100_003],
        "double": [0.0, 1.0, -2.5, 1e6],
        "string": ["", UNSEEN],
    }
    return [*usual[column.type], *([None] if column.nullable else [])]


def _with(part: Any, **attributes: Any) -> Any:
    replaced = copy.copy(part)
    for name, value in attributes.items():
        setattr(replaced, name, value)
    return replaced


def kind_of(part: Any) -> str:
    """Return the full name of a part's type: a subclass may compute something else."""
    return f"{type(part).__module__}.{type(part).__qualname__}"


def _blocks(transformer: Any, schema: Schema) -> Iterable[Block]:
    if getattr(transformer, "_sklearn_output_config", {}) or transformer.transformer_weights:
        raise Unsupported("a column transformer with weights or named outputs")
    for _, part, wanted in transformer.transformers_:
        names = names_of(transformer, wanted)
        if not names or (isinstance(part, str) and part == "drop"):
            continue
        steps = steps_of(part)
        if any(kind_of(step) in ENCODERS for step in steps):
            yield from lookups(part, steps, names, schema)
        else:
            yield _Numbers(names, [_number_step(step) for step in steps], schema)


def names_of(transformer: Any, wanted: Any) -> list[str]:
    """Return the columns that a part of a column transformer takes. Raises `Unsupported` for a slice or a mask."""
    listed = [wanted] if isinstance(wanted, str) else list(wanted) if not isinstance(wanted, slice) else None
    if listed is None or any(isinstance(item, bool | np.bool_) for item in listed):
        raise Unsupported("columns given by slice or mask")
    every = list(transformer.feature_names_in_)
    return [item if isinstance(item, str) else str(every[int(item)]) for item in listed]


def steps_of(part: Any) -> list[Any]:
    """Return the transformers of a part of a column transformer, in order; none where columns are passed through."""
    if isinstance(part, str):
        return []  # passthrough
    if kind_of(part) == "sklearn.pipeline.Pipeline":
        return [inner for _, step in part.steps for inner in steps_of(step)]
    return [part]


ENCODERS = {
    "sklearn.preprocessing._encoders.OrdinalEncoder",
    "sklearn.preprocessing._encoders.OneHotEncoder",
    "sklearn.preprocessing._target_encoder.TargetEncoder",
}
IMPUTER = "sklearn.impute._base.SimpleImputer"
RANGE = "sklearn.preprocessing._data.MinMaxScaler"


def lookups(part: Any, steps: list[Any], names: list[str], schema: Schema) -> Iterable[Lookup]:
    """Ask an encoder for each value of each of its columns, the others held still; yield a look-up for each column.

    Side by side they are the encoder's output. Raises `Unsupported` where its columns are not apart from each other.
    """
    *before, encoder = steps
    if kind_of(encoder) not in ENCODERS or any(kind_of(s) != IMPUTER or s.add_indicator for s in before):
        raise Unsupported("an encoder among other transformers")
    kinds = {column.name: column for column in schema.columns}
    found = [_values(encoder.categories_[place], kinds[name]) for place, name in enumerate(names)]
    still = [values[0] for values in found]
    base = _encode(part, [kinds[name] for name in names], [still])
    if base.shape[1] * sum(map(len, found)) > LARGEST_TABLE:
        raise Unsupported("an encoder with very many categories")
    taken = np.zeros(base.shape[1], dtype=np.bool_)
    order: list[int] = []
    for place, values in enumerate(found):
        tried = [[*still[:place], value, *still[place + 1 :]] for value in values]
        table = _encode(part, [kinds[name] for name in names], tried)
        own = np.flatnonzero(~(_same(table, base)).all(axis=0))
        if taken[own].any():
            raise Unsupported("an encoder whose columns depend on each other")
        taken[own] = True
        order.extend(own.tolist())
        yield Lookup(names[place], {value: row for row, value in enumerate(values) if row}, table[:, own])
    if order != list(range(base.shape[1])):
        raise Unsupported("an encoder with constant outputs")


def _values(categories: Array, column: Column) -> list[Any]:
    """Return an unknown value, every known one, and null where rows may hold it."""
    known = [value for value in categories.tolist() if value is not None and value == value]  # noqa: PLR0124 - not NaN
    if column.type == "string":
        unseen: Any = UNSEEN
    elif column.type == "boolean":
        unseen = known[0] if known else False
    else:
        unseen = max(known, default=0) + 1
    return [unseen, *known, *([None] if column.nullable else [])]


def _same(table: Matrix, base: Matrix) -> NDArray[np.bool_]:
    equal: NDArray[np.bool_] = (table == base) | (np.isnan(table) & np.isnan(base))
    return equal


def _encode(part: Any, columns: list[Column], rows: list[list[Any]]) -> Matrix:
    schema = Schema(columns)
    values = {column.name: [row[place] for row in rows] for place, column in enumerate(columns)}
    out = part.transform(schema.to_frame(schema.from_values(values, lambda name, row: f"{name}, row {row}")))
    return np.asarray(out.toarray() if hasattr(out, "toarray") else out, dtype=np.float64)


class _Numbers:
    """Columns of numbers, side by side, through imputers and scalers."""

    def __init__(self, names: list[str], steps: list[Callable[[Matrix], Matrix]], schema: Schema) -> None:
        if any(column.type == "string" for column in schema.columns if column.name in names):
            raise Unsupported("strings that no encoder takes")
        self._names, self._steps = names, steps

    def __call__(self, columns: Columns) -> Matrix:
        matrix = np.empty((len(columns[self._names[0]]), len(self._names)), dtype=np.float64)
        for place, name in enumerate(self._names):
            matrix[:, place] = columns[name]
        for step in self._steps:
            matrix = step(matrix)
        return matrix


def _number_step(step: Any) -> Callable[[Matrix], Matrix]:
    kind = kind_of(step)
    if kind == "sklearn.preprocessing._function_transformer.FunctionTransformer" and step.func is None:
        return _unchanged
    if kind == IMPUTER and not step.add_indicator and is_nan(step.missing_values):
        statistics = np.asarray(step.statistics_, dtype=np.float64)
        if not np.isnan(statistics).any():
            return lambda matrix: np.where(np.isnan(matrix), statistics, matrix)
    if kind == "sklearn.preprocessing._data.StandardScaler":
        mean, scale = step.mean_ if step.with_mean else 0.0, step.scale_ if step.with_std else 1.0
        return lambda matrix: np.asarray((matrix - mean) / scale, dtype=np.float64)
    if kind == RANGE:
        factor, offset, ends = step.scale_, step.min_, step.feature_range if step.clip else (-np.inf, np.inf)
        return lambda matrix: np.clip(matrix * factor + offset, *ends)
    raise Unsupported(kind)


def _unchanged(matrix: Matrix) -> Matrix:
    return matrix


def is_nan(value: object) -> bool:
    """Tell whether a value is NaN."""
    return isinstance(value, float) and value != value  # noqa: PLR0124 - NaN is the one number that is not itself


def _vocabulary(estimator: Any) -> dict[str, list[Any]]:
    """Return the values that the encoders of an estimator know, by column."""
    found: dict[str, list[Any]] = {}
    for transformer in _transformers(estimator):
        for _, part, wanted in transformer.transformers_:
            for step in steps_of(part):
                if kind_of(step) in ENCODERS:
                    for name, categories in zip(names_of(transformer, wanted), step.categories_, strict=True):
                        found[name] = [value for value in categories.tolist() if value is not None and value == value]  # noqa: PLR0124
    return found


def _transformers(estimator: Any) -> Iterable[Any]:
    kind = kind_of(estimator)
    if kind == "sklearn.pipeline.Pipeline":
        yield from _transformers(estimator.steps[0][1])
    elif kind == "sklearn.frozen._frozen.FrozenEstimator":
        yield from _transformers(estimator.estimator)
    elif kind == "sklearn.calibration.CalibratedClassifierCV":
        yield from _transformers(estimator.calibrated_classifiers_[0].estimator)
    elif hasattr(estimator, "transformers_"):
        yield estimator
