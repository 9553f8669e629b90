"""Fitting one model on some rows, and what it is worth on others: what training and every trial of a search do."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlplat.errors import RefusedError
from mlplat.runtime import bundles, metrics, preprocessing
from mlplat.runtime.folds import Fold
from mlplat.runtime.preprocessing import Dropped
from mlplat.runtime.split import Positions
from mlplat.spec.project import ProjectSpec, TrainingSpec

Make = Callable[[TrainingSpec, str, Sequence[str], Sequence[str]], Any]
"""From settings, task, text columns and number columns to an estimator that is not fitted yet."""
Measured = dict[str, float]
"""Measures of one fold by name, without intervals."""
DIRECTIONS: dict[str, tuple[str, Literal["maximize", "minimize"]]] = {
    "binary": ("auc", "maximize"),
    "regression": ("rmse", "minimize"),
}
"""By which measure settings are chosen: the one that the gate compares models by. Probabilities are calibrated
afterwards, on rows of their own, which leaves the order that this one is of."""


@dataclass(frozen=True)
class Rows:
    """What models are fitted on."""

    features: pd.DataFrame
    """Rows × columns, as a model server hands them over, so that a null is learned from as it is asked with."""
    labels: NDArray[np.float64]
    """One a row: 1 for the positive class, or the value."""
    texts: tuple[str, ...]
    numbers: tuple[str, ...]
    task: str


@dataclass(frozen=True)
class Fitted:
    """A fitted estimator, and the columns that it does without."""

    estimator: Any
    dropped: tuple[Dropped, ...]


def rows_of(spec: ProjectSpec, features: pd.DataFrame, labels: NDArray[np.float64]) -> Rows:
    """Return features (n × columns) and labels (n) as models are fitted on them."""
    from mlplat.serving.columns import Schema

    columns = bundles.columns_of(features)
    schema = Schema(columns)
    texts = tuple(column.name for column in columns if column.type == "string")
    numbers = tuple(column.name for column in columns if column.type != "string")
    return Rows(schema.to_frame(schema.from_frame(features)), labels, texts, numbers, spec.task)


def fit(rows: Rows, at: Positions, settings: TrainingSpec, make: Make, *, threads: int | None = None) -> Fitted:
    """Fit a model with some settings on the rows `at`; what is selected and prepared is learned from them alone.

    Raises `RefusedError` when no column is left.
    """
    features = rows.features.iloc[at]
    dropped = preprocessing.select(features, settings.preprocessing.select)
    gone = {each.column for each in dropped}
    texts, numbers = ([name for name in names if name not in gone] for names in (rows.texts, rows.numbers))
    if not texts and not numbers:
        raise RefusedError(
            "`training.preprocessing.select` leaves no column", hint=f"`{dropped[-1].column}` {dropped[-1].reason}"
        )
    estimator = make(settings, rows.task, texts, numbers)
    if threads:
        set_threads(estimator, threads)
    targets = rows.labels[at]
    estimator.fit(features, targets.astype(np.int64) if rows.task == "binary" else targets)
    return Fitted(estimator, dropped)


def set_threads(estimator: Any, count: int) -> None:
    """Give every part of an estimator that asks for threads of its own this many."""
    for name, asked in estimator.get_params().items():
        if name.endswith("n_jobs") and asked is not None:
            estimator.set_params(**{name: count})


def measure(rows: Rows, fold: Fold, settings: TrainingSpec, make: Make, *, threads: int | None = None) -> Measured:
    """Return the measures of a fold: a model is fitted on its training rows and judged by its others."""
    estimator = fit(rows, fold.train, settings, make, threads=threads).estimator
    features, labels = rows.features.iloc[fold.test], rows.labels[fold.test]
    binary = rows.task == "binary"
    scores = np.asarray(estimator.predict_proba(features)[:, 1] if binary else estimator.predict(features))
    even = np.ones(len(labels))
    return {name: found(even) for name, found in metrics.measures(rows.task, labels, scores.astype(float)).items()}


def mean(task: str, folds: Sequence[Measured]) -> float:
    """Return the mean over folds of the measure that settings are chosen by."""
    return statistics.fmean(fold[DIRECTIONS[task][0]] for fold in folds)


def seed_spread(rows: Rows, folds: Sequence[Fold], settings: TrainingSpec, make: Make, seeds: int) -> float:
    """Return what chance does to one fitted model: the standard deviation over seeds of its measure on one fold.

    Of area under the ROC curve, or, of root mean squared error, as a share of its mean. Variances within folds are
    averaged, so that folds which are harder than others add nothing.
    """
    name = DIRECTIONS[rows.task][0]
    variances = []
    for fold in folds:
        tried = [settings.changed({"seed": settings.seed + number}) for number in range(seeds)]
        found = [measure(rows, fold, each, make)[name] for each in tried]
        unit = statistics.fmean(found) if rows.task == "regression" else 1.0
        variances.append(statistics.variance(found) / (unit**2 or 1.0))
    return float(np.sqrt(statistics.fmean(variances)))
