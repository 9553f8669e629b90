"""Whether a model is served as an ONNX graph or as scikit-learn's own file, and why.

A graph answers many times faster and needs no scikit-learn. It is taken only when it answers as the trained model does:
on real rows, on the same rows with every null and unseen category there can be, and on numbers far from all of them.
Everything else is served as scikit-learn's file, with the reason said.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlplat.bundle import UNKNOWN_TEXT, Column, Contract
from mlplat.errors import MlplatError
from mlplat.runtime import bundles, onnx_graph
from mlplat.runtime.evenly import evenly
from mlplat.serving.columns import Columns, Schema
from mlplat.serving.engines import brief
from mlplat.serving.model import Model
from mlplat.serving.tabulated import Unsupported

Wish = Literal["auto", "skops", "onnx"]
Scores = NDArray[np.float64]

TOLERANCE = 1e-9
"""Largest difference of two answers that are the same, absolute, and relative above 1: what is left by the order in
which float64 adds a few thousand terms, and far below what any rounding to float32 leaves."""
FEWEST, ROWS = 5_000, 20_000
"""Real rows that are compared: rows that the model has not learned from, up to the second number; where there are fewer
than the first, those that it has learned from as well."""
CHANGED = 50
"""Of them, rows that each change is tried on."""
EXTREMES = (0.0, -1.0, 2.0**24 + 1, 2.0**40 + 1, -1e15, 1e30)
"""Numbers tried in each column: what float32 would round, and magnitudes that no row has."""


@dataclass(frozen=True)
class Parity:
    """How far a graph's answers are from the trained model's."""

    rows: int
    """Rows compared, real and changed ones."""
    real_rows: int
    difference: float
    """The largest one, absolute up to 1 and relative above."""
    tolerance: float
    flips: int
    """Rows that get another label; none of a regression."""

    def problem(self) -> str | None:
        """Return why the graph is not taken; None when it answers as the model does."""
        if self.flips:
            return f"{self.flips} of {self.rows} rows get another label"
        if not self.difference <= self.tolerance:
            return f"an answer differs by {self.difference:.2g}, and {self.tolerance:.0e} is allowed"
        return None


@dataclass(frozen=True)
class Choice:
    """How a model is served, and why."""

    format: Literal["skops", "onnx"] = "skops"
    reason: str = ""
    parity: Parity | None = None
    seconds: float = 0.0
    """What writing and comparing took."""

    def described(self) -> dict[str, Any]:
        """Return it as JSON."""
        return asdict(self) | {"seconds": round(self.seconds, 2)}


def choose(wish: Wish, written: Model, estimator: Any, rows: pd.DataFrame, folder: Path) -> tuple[Model, Choice]:
    """Return the bundle that is served, and why it is that one.

    `written` is the bundle as skops, `estimator` what it was written from, `rows` (n × columns) real ones. The bundle
    with a graph, if it is that one, is written at `folder`.
    """
    if wish == "skops":
        return written, Choice("skops", "mlplat.yaml asks for skops")
    started = time.perf_counter()
    try:
        graph = onnx_graph.export(estimator, written.contract.columns, binary=written.contract.task == "binary")
        model = bundles.with_graph(folder, written, graph)
        parity = compare(model, estimator, rows, frame=written.contract.frame)
    except Exception as error:  # noqa: BLE001 - whatever keeps a graph from being made, skops serves every model
        return written, Choice("skops", _reason(error), None, time.perf_counter() - started)
    spent = time.perf_counter() - started
    if problem := parity.problem():
        return written, Choice("skops", problem, parity, spent)
    reason = f"answers as the trained model does, to {parity.difference:.1e}, on {parity.rows:,} rows"
    return model, Choice("onnx", reason, parity, spent)


def _reason(error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError | PackageNotFoundError):
        return f"`{error.name}` is not installed where the model is trained"
    return brief(error) if isinstance(error, MlplatError | Unsupported) else f"{type(error).__name__}: {brief(error)}"


def compare(model: Model, estimator: Any, rows: pd.DataFrame, *, frame: bool) -> Parity:
    """Compare a loaded bundle with the estimator on real rows (n × columns) and on changed ones.

    With `frame` the estimator takes a DataFrame, otherwise an array.
    """
    real = model.schema.from_frame(spread(rows, ROWS))
    tried = trial(model.schema, real)
    table = model.schema.to_frame(tried) if frame else model.schema.to_matrix(tried)
    wanted = _answers(estimator, model.contract, table)
    found = model.score_columns(tried)
    flips = 0
    if model.contract.task == "binary":
        flips = sum(one != other for one, other in zip(model.labels(found), model.labels(wanted), strict=True))
    difference = float((np.abs(found - wanted) / np.maximum(1.0, np.abs(wanted))).max())
    return Parity(len(wanted), _count(real), difference, TOLERANCE, flips)


def spread(rows: pd.DataFrame, most: int) -> pd.DataFrame:
    """Return at most `most` rows, spread evenly over all."""
    return rows.iloc[evenly(len(rows), most)]


def trial(schema: Schema, real: Columns) -> Columns:
    """Return real rows, and a few of them changed in every way that a contract allows."""
    some = {name: array[:: max(1, len(array) // CHANGED)][:CHANGED] for name, array in real.items()}
    made = [{**some, **changes} for changes in _changes(schema.columns, _count(some))]
    return {name: np.concatenate([real[name], *(each[name] for each in made)]) for name in real}


def _changes(columns: Sequence[Column], count: int) -> Iterator[Columns]:
    nulls = {column.name: _null(column, count) for column in columns if column.nullable}
    unseen = {column.name: _text(UNSEEN, count) for column in columns if column.type == "string"}
    for changes in (nulls, unseen):
        yield from ({name: array} for name, array in changes.items())
        yield changes
    for column in columns:
        if column.type == "string":
            yield from ({column.name: _text(text, count)} for text in ODD_TEXTS)
        elif column.type == "double":
            yield from ({column.name: np.full(count, value)} for value in EXTREMES)
        elif column.type == "long":
            dtype = np.float64 if column.nullable else np.int64
            yield from ({column.name: np.full(count, int(value), dtype=dtype)} for value in EXTREMES[:-1])


UNSEEN = bundles.UNSEEN
ODD_TEXTS = ("", " ", "nan", "None", UNKNOWN_TEXT)
"""Texts that something on the way might take for a null."""


def _null(column: Column, count: int) -> NDArray[Any]:
    return np.full(count, np.nan, dtype=np.object_ if column.type == "string" else np.float64)


def _text(text: str, count: int) -> NDArray[Any]:
    return np.full(count, text, dtype=np.object_)


def _count(columns: Columns) -> int:
    return len(next(iter(columns.values())))


def _answers(estimator: Any, contract: Contract, table: Any) -> Scores:
    if contract.task == "regression":
        return np.asarray(estimator.predict(table), dtype=np.float64).reshape(-1)
    positive = list(estimator.classes_).index(contract.classes[-1])
    return np.asarray(estimator.predict_proba(table)[:, positive], dtype=np.float64)
