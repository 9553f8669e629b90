"""Fitting a model, calibrating it, and writing it as it will be judged and served."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlplat.bundle import Column, Contract
from mlplat.errors import RefusedError
from mlplat.runtime import bundles, calibration, onnx_export
from mlplat.runtime.onnx_export import Choice
from mlplat.runtime.split import Split
from mlplat.runtime.steps.preparation import Prepared
from mlplat.spec.project import ProjectSpec, TrainingSpec

Make = Callable[[TrainingSpec, str, Sequence[str], Sequence[str]], Any]
"""From settings, task, text columns and number columns to an estimator that is not fitted yet."""


@dataclass(frozen=True)
class Trained:
    """A model as it will be judged."""

    packed: bytes
    digest: str
    threshold: float | None
    served: Choice = field(default_factory=Choice)
    """In which format, and why."""


def train(spec: ProjectSpec, prepared: Prepared, make: Make) -> Trained:
    """Fit on the training block, calibrate on its own block, and write the bundle that everything after this uses."""
    labels, made = prepared.labels, prepared.split
    columns = bundles.columns_of(prepared.features)
    features = _as_served(prepared.features, columns)
    texts = [column.name for column in columns if column.type == "string"]
    numbers = [column.name for column in columns if column.type != "string"]
    if spec.task == "binary":
        _refuse_one_class(labels, made)
    estimator = make(spec.training, spec.task, texts, numbers)
    estimator.fit(features.iloc[made.train], _targets(spec, labels[made.train]))
    _one_thread(estimator)
    later, known = features.iloc[made.calibration], labels[made.calibration]
    limit = None
    if spec.task == "binary":
        estimator = calibration.calibrate(estimator, later, known)
        limit = calibration.threshold(known, estimator.predict_proba(later)[:, 1], spec.cost)
        estimator.classes_ = np.array(prepared.classes)
    contract = Contract(
        project=spec.project,
        model=spec.model,
        task=spec.task,
        columns=columns,
        classes=prepared.classes,
        threshold=limit,
    )
    with tempfile.TemporaryDirectory(prefix="mlplat-train-") as folder:
        written = bundles.write(Path(folder, "skops"), estimator, contract, later)
        real = prepared.features.iloc[_compared(made)]
        model, served = onnx_export.choose(spec.serving.format, written, estimator, real, Path(folder, "onnx"))
        return Trained(bundles.pack(model.folder), model.digest, limit, served)


def _compared(made: Split) -> NDArray[np.intp]:
    """Return the rows on which a graph is compared with the model: those new to it, and all where those are few."""
    later = np.concatenate([made.calibration, made.holdout])
    return later if len(later) >= onnx_export.FEWEST else np.concatenate([made.train, later])


def _as_served(features: pd.DataFrame, columns: tuple[Column, ...]) -> pd.DataFrame:
    """Return features as a model server hands them over, so that a null is learned from as it is asked with."""
    from mlplat.serving.columns import Schema

    schema = Schema(columns)
    return schema.to_frame(schema.from_frame(features))


def _refuse_one_class(labels: NDArray[np.float64], made: Split) -> None:
    for name, rows in (("training", made.train), ("calibration", made.calibration)):
        if len(np.unique(labels[rows])) == 1:
            raise RefusedError(f"the {name} block holds one class only", hint="give it more under `split`")


def _targets(spec: ProjectSpec, labels: NDArray[np.float64]) -> NDArray[Any]:
    return labels.astype(np.int64) if spec.task == "binary" else labels


def _one_thread(estimator: Any) -> None:
    # A model server answers each request on one thread: a pool of its own would only be waited for.
    for name in [name for name in estimator.get_params() if name.endswith("n_jobs")]:
        estimator.set_params(**{name: 1})
