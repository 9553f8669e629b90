"""Fitting a model, calibrating it, and writing it as it will be judged and served."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlplat.bundle import Contract, Explaining
from mlplat.errors import RefusedError
from mlplat.runtime import abstention, bundles, calibration, fitting, online, onnx_export, preprocessing, trials
from mlplat.runtime.calibration import Line
from mlplat.runtime.evenly import evenly
from mlplat.runtime.fitting import Fitted, Make, Rows
from mlplat.runtime.learning import Learning
from mlplat.runtime.onnx_export import Choice
from mlplat.runtime.split import Split
from mlplat.runtime.steps.preparation import Prepared
from mlplat.runtime.trials import Trial
from mlplat.spec.project import ProjectSpec


@dataclass(frozen=True)
class Trained:
    """A model as it will be judged."""

    packed: bytes
    digest: str
    threshold: float | None
    served: Choice = field(default_factory=Choice)
    """In which format, and why."""
    seed_spread: float | None = None
    """Standard deviation of its measure over seeds: area under the ROC curve, or root mean squared error as a share of
    its mean; None where `search.seeds` asks for none."""
    learning: Learning | None = None
    """How it was fitted; None of a model that was fitted elsewhere."""


def train(spec: ProjectSpec, prepared: Prepared, make: Make, tried: Sequence[Trial] = ()) -> Trained:
    """Fit on the training block, calibrate on its own block, and write the bundle that everything after this uses.

    It is fitted with the best settings that were tried, or with those of mlplat.yaml where none were.
    """
    labels, made = prepared.labels, prepared.split
    if spec.task == "binary":
        _refuse_one_class(labels, made)
    rows = fitting.rows_of(spec, prepared.features, labels)
    chosen = trials.best(spec.task, tried)
    settings = spec.training.changed(chosen.settings) if chosen else spec.training
    fitted = fitting.fit(rows, made.train, settings, make)
    folds = chosen.folds if chosen else tuple(fitting.measure(rows, fold, settings, make) for fold in prepared.folds)
    seeds = spec.search.seeds
    spread = fitting.seed_spread(rows, prepared.folds, settings, make, seeds) if seeds else None
    estimator, limit, lines = _settled(spec, prepared, rows, fitted)
    contract = Contract(
        project=spec.project,
        model=spec.model,
        task=spec.task,
        columns=bundles.columns_of(prepared.features),
        classes=prepared.classes,
        threshold=limit,
        abstain=abstention.band(spec),
        explaining=Explaining(budget_ms=spec.explanations.route_budget_ms) if spec.explanations.route else None,
        **online.look_ups(spec, prepared.features, prepared.keys),
    )
    with tempfile.TemporaryDirectory(prefix="mlplat-train-") as folder:
        later = rows.features.iloc[made.calibration]
        # Not all that was learned from: a copy of it, for a few rows.
        learned = prepared.features.iloc[made.train[evenly(len(made.train), bundles.BACKGROUND)]]
        written = bundles.write(Path(folder, "skops"), estimator, contract, later, learned)
        real = prepared.features.iloc[_compared(made)]
        model, served = onnx_export.choose(spec.serving.format, written, estimator, real, Path(folder, "onnx"))
        learning = Learning(settings, tuple(tried), folds, fitted.dropped, lines)
        return Trained(bundles.pack(model.folder), model.digest, limit, served, spread, learning)


def _settled(
    spec: ProjectSpec, prepared: Prepared, rows: Rows, fitted: Fitted
) -> tuple[Any, float | None, dict[str, Line]]:
    """Return the estimator that is written down, its threshold, and how far its probabilities were off.

    A model server answers each request on one thread: a pool of its own would only be waited for.
    """
    estimator, at = fitted.estimator, prepared.split.calibration
    preprocessing.settle(estimator)
    fitting.set_threads(estimator, 1)
    if spec.task != "binary":
        return estimator, None, {}
    later, known = rows.features.iloc[at], prepared.labels[at]
    lines = calibration.lines(estimator, later, known, prepared.blocks[at])
    estimator = calibration.calibrate(estimator, later, known)
    limit = calibration.threshold(known, estimator.predict_proba(later)[:, 1], spec.cost)
    if band := abstention.band(spec):
        limit = min(max(limit, band.low), band.high)  # outside of the band it is the band that decides
    estimator.classes_ = np.array(prepared.classes)
    return estimator, limit, lines


def _compared(made: Split) -> NDArray[np.intp]:
    """Return the rows on which a graph is compared with the model: those new to it, and all where those are few."""
    later = np.concatenate([made.calibration, made.holdout])
    return later if len(later) >= onnx_export.FEWEST else np.concatenate([made.train, later])


def _refuse_one_class(labels: NDArray[np.float64], made: Split) -> None:
    for name, rows in (("training", made.train), ("calibration", made.calibration)):
        if len(np.unique(labels[rows])) == 1:
            raise RefusedError(f"the {name} block holds one class only", hint="give it more under `split`")
