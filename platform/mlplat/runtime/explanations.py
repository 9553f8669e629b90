"""What a model's answers rest on, measured on the hold-out with the bundle as it is served.

By permutation: a column is shuffled over the rows, and what the model then loses is what the column was worth to it
(Breiman, Random Forests, 2001, section 10). Columns that say the same cover for each other, so those of a group that
becomes known together are shuffled together as well. By SHAP: each score is shared out among the columns against a
background of other rows (Lundberg and Lee, A Unified Approach to Interpreting Model Predictions, 2017). Either says
what the model uses, never what causes the outcome.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlplat.errors import UsageError
from mlplat.runtime import metrics
from mlplat.runtime.evenly import evenly
from mlplat.runtime.metrics import MIN_BLOCKS, MIN_CLASS, Floats, Integers, Resamples
from mlplat.serving.columns import Columns
from mlplat.serving.model import Model
from mlplat.spec.project import ProjectSpec

VERSION = 1
SEED = 20130701
"""Fixed, so that the same bundle and rows are always explained alike."""
RESAMPLES = 200
"""Bootstrap samples of an interval: enough to see which columns matter, in seconds."""
VALUES = 5
"""Most values of a column that are slices of their own: the common ones."""
BACKGROUND = 50
"""Rows that SHAP takes for ordinary ones."""
SHAP_SHARE = 10
"""SHAP asks the model some thousands of times a row, so it is given this many times fewer."""

UNITS = {
    ("permutation", "binary"): "loss of area under the ROC curve",
    ("permutation", "regression"): "rise of the root mean squared error",
    ("shap", "binary"): "mean absolute part of the probability",
    ("shap", "regression"): "mean absolute part of the value",
}


@dataclass(frozen=True)
class Rows:
    """Rows that a model was judged on."""

    features: pd.DataFrame
    """Rows × columns."""
    labels: Floats
    blocks: Integers
    """What each row is resampled with, in any numbering."""

    def evenly(self, count: int) -> Rows:
        """Return at most `count` of them, evenly over their order."""
        return self.where(evenly(len(self.labels), count))

    def where(self, chosen: NDArray[Any]) -> Rows:
        """Return those at positions or under a mask."""
        return Rows(self.features.iloc[chosen], self.labels[chosen], self.blocks[chosen])

    def resamples(self) -> Resamples:
        """Return bootstrap samples of them by whole blocks."""
        return Resamples(np.unique(self.blocks, return_inverse=True)[1].astype(np.int64), RESAMPLES, SEED)

    def too_few(self, task: str) -> str:
        """Return why nothing can be said of them; nothing where it can."""
        if (blocks := len(np.unique(self.blocks))) < MIN_BLOCKS:
            return f"{blocks} days or groups, and {MIN_BLOCKS} are needed"
        rarer = min(int(self.labels.sum()), int(len(self.labels) - self.labels.sum()))
        if task == "binary" and rarer < MIN_CLASS:
            return f"{rarer} rows of the rarer class, and {MIN_CLASS} are needed"
        return ""


Losses = Callable[[NDArray[np.intp]], metrics.Measure]
"""From the positions of rows to the measure of what a column is worth on them."""


def check(spec: ProjectSpec, columns: list[str]) -> None:
    """Raise `UsageError` before a run has begun for what it could not explain at its end."""
    if unknown := spec.explanations.unknown(columns):
        raise UsageError(
            f"explanations.slices: the model has no column `{unknown[0]}`", hint=f"it has {', '.join(columns)}"
        )
    if spec.explanations.method == "shap":
        _shap()


def explain(spec: ProjectSpec, model: Model, judged: Rows) -> dict[str, Any]:
    """Return how much each column and group of columns matters to a model, most first, over all rows and by slice.

    Every figure has an interval from resampling whole days (see `metrics`).
    """
    settings = spec.explanations
    shares = settings.method == "shap"
    rows = judged.evenly(max(100, settings.rows // SHAP_SHARE) if shares else settings.rows)
    head = {
        "version": VERSION,
        "digest": model.digest,
        "method": settings.method,
        "unit": UNITS.get((settings.method, spec.task), ""),
        "rows": len(rows.labels),
        "of": len(judged.labels),
        "repeats": 1 if shares else settings.repeats,
        "confidence": spec.gate.confidence,
    }
    why = "the project asks for none" if settings.method == "none" else rows.too_few(spec.task)
    if why:
        return {**head, "left_out": why, "columns": [], "groups": [], "slices": []}
    parts = _parts(spec, model)
    worth = dict(_shares(model, rows, parts) if shares else _losses(spec, model, rows, parts))
    everywhere = _ranked(spec, rows, parts, worth, np.arange(len(rows.labels)))
    return {**head, **everywhere, "slices": list(_slices(spec, rows, parts, worth))}


def _parts(spec: ProjectSpec, model: Model) -> dict[str, tuple[str, ...]]:
    """Return what is looked at by name: each column, and each group of the project that holds several of them."""
    names = [column.name for column in model.contract.columns]
    held = {name: tuple(each for each in group.columns if each in names) for name, group in spec.data.features.items()}
    groups = {f"{name}.*": columns for name, columns in held.items() if len(columns) > 1}
    return {name: (name,) for name in names} | groups


def _losses(
    spec: ProjectSpec, model: Model, rows: Rows, parts: dict[str, tuple[str, ...]]
) -> Iterator[tuple[str, Losses]]:
    columns = model.schema.from_frame(rows.features)
    base = model.score_columns(columns)
    count = len(rows.labels)
    # The same orders for every column: what differs between two columns is then not the luck of the draw.
    orders = [np.random.default_rng([SEED, turn]).permutation(count) for turn in range(spec.explanations.repeats)]
    for name, part in parts.items():
        shuffled = [model.score_columns(_shuffled(columns, part, order)) for order in orders]
        yield name, _loss(spec.task, rows.labels, base, shuffled)


def _shuffled(columns: Columns, part: tuple[str, ...], order: NDArray[np.intp]) -> Columns:
    return {name: values[order] if name in part else values for name, values in columns.items()}


def _loss(task: str, labels: Floats, base: Floats, shuffled: list[Floats]) -> Losses:
    measure = metrics.auc if task == "binary" else metrics.rmse
    sign = 1 if task == "binary" else -1

    def on(chosen: NDArray[np.intp]) -> metrics.Measure:
        before = measure(labels[chosen], base[chosen])
        after = [measure(labels[chosen], scores[chosen]) for scores in shuffled]
        return metrics.Combined(lambda first, *rest: sign * (first - sum(rest) / len(rest)), (before, *after))

    return on


def _shares(model: Model, rows: Rows, parts: dict[str, tuple[str, ...]]) -> Iterator[tuple[str, Losses]]:
    shap = _shap()
    columns = model.schema.from_frame(rows.features)
    names = list(columns)
    coded, texts = _coded(columns)

    def score(matrix: Floats) -> Floats:
        return model.score_columns(
            {
                name: texts[name][matrix[:, place].astype(np.intp)]
                if name in texts
                else matrix[:, place].astype(columns[name].dtype)
                for place, name in enumerate(names)
            }
        )

    ordinary = coded[evenly(len(coded), BACKGROUND)]
    explainer = shap.explainers.Permutation(score, shap.maskers.Independent(ordinary, len(ordinary)), seed=SEED)
    values = explainer(coded, max_evals=2 * len(names) + 1, silent=True).values
    for name, part in parts.items():
        yield name, _share(np.abs(values[:, [names.index(each) for each in part]].sum(axis=1)))


def _share(parts: Floats) -> Losses:
    return lambda chosen: metrics.mean_of(parts[chosen])


def _coded(columns: Columns) -> tuple[Floats, dict[str, NDArray[Any]]]:
    """Return columns as one array of numbers, and of each column of texts what its numbers stand for."""
    texts: dict[str, NDArray[Any]] = {}
    coded = []
    for name, values in columns.items():
        if values.dtype == object:
            numbers, found = pd.factorize(values, use_na_sentinel=False)
            texts[name] = np.asarray(found, dtype=object)
            coded.append(numbers.astype(np.float64))
        else:
            coded.append(values.astype(np.float64))
    return np.column_stack(coded), texts


def _shap() -> Any:
    try:
        import shap
    except ImportError as error:
        raise UsageError(
            "explanations.method is `shap`, and the package `shap` is not installed in the project's environment",
            hint="add `shap` to requirements.in, then `make lock` and `make setup`",
        ) from error
    return shap


def _ranked(
    spec: ProjectSpec,
    rows: Rows,
    parts: dict[str, tuple[str, ...]],
    worth: dict[str, Losses],
    chosen: NDArray[np.intp],
) -> dict[str, Any]:
    """Return columns and groups by what they are worth on `rows`, which are the `chosen` ones of all."""
    resamples = rows.resamples()
    found = [
        (name, metrics.interval(losses(chosen), resamples, spec.gate.confidence)) for name, losses in worth.items()
    ]
    found.sort(key=lambda each: (-each[1].value, each[0]))
    told = [{"name": name, "columns": list(parts[name]), **measured.described()} for name, measured in found]
    return {
        "columns": [each for each in told if each["columns"] == [each["name"]]],
        "groups": [each for each in told if each["columns"] != [each["name"]]],
    }


def _slices(
    spec: ProjectSpec, rows: Rows, parts: dict[str, tuple[str, ...]], worth: dict[str, Losses]
) -> Iterator[dict[str, Any]]:
    for column in spec.explanations.slices:
        for value, mask in values_of(rows.features[column]):
            inside = rows.where(mask)
            head = {"column": column, "value": value, "rows": len(inside.labels)}
            if why := inside.too_few(spec.task):
                yield {**head, "left_out": why, "columns": [], "groups": []}
            else:
                yield {**head, **_ranked(spec, inside, parts, worth, np.flatnonzero(mask))}


def values_of(series: pd.Series, most: int = VALUES) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Return the common values of a column, each with a mask of its rows; of a number's many values, its quarters."""
    if pd.api.types.is_numeric_dtype(series) and not pd.api.types.is_bool_dtype(series) and series.nunique() > VALUES:
        series = pd.qcut(series, 4, duplicates="drop")
    for value in series.value_counts().index[:most]:
        told = f"above {value.left:g}, to {value.right:g}" if isinstance(value, pd.Interval) else str(value)
        yield told, (series == value).to_numpy(dtype=np.bool_, na_value=False)
