"""What it costs not to have trained again: the serving model beside one of its recipe that learned from newer rows."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from mlplat.errors import RefusedError
from mlplat.runtime import bundles, metrics
from mlplat.runtime.fitting import Make
from mlplat.runtime.metrics import Interval, Resamples
from mlplat.runtime.monitoring.performance import CONFIDENCE, RESAMPLES, SEED
from mlplat.runtime.split import Window
from mlplat.runtime.steps import preparation, training
from mlplat.runtime.steps.preparation import Options
from mlplat.serving.model import Model, load
from mlplat.spec.project import ProjectSpec


def regret(
    spec: ProjectSpec,
    model: Model,
    rows: pd.DataFrame,
    make: Make,
    *,
    start: pd.Timestamp,
    end: pd.Timestamp,
    until: pd.Timestamp,
) -> tuple[Interval | None, str]:
    """Return how much more the model loses from `start` to `end` than one that was fitted on what was ripe before.

    In nats for a binary task, and otherwise as a share of the shadow's squared error; its interval is by day. None with
    the reason where the rows are too few. A model that serves is older than `start`: neither has learned from the rows.
    """
    window = Window(until=until.isoformat(), holdout_start=start.isoformat(), holdout_end=end.isoformat())
    try:
        prepared = preparation.prepare(spec, Options(window, sample=spec.monitoring.shadow_rows), rows)
        trained = training.train(spec, prepared, make)
    except RefusedError as error:
        return None, error.message
    judged, labels = prepared.features.iloc[prepared.split.holdout], prepared.labels[prepared.split.holdout]
    with tempfile.TemporaryDirectory(prefix="mlplat-shadow-") as folder:
        shadow = load(bundles.unpack(trained.packed, Path(folder, "model")), digest=trained.digest)
        theirs, ours = (_losses(spec, labels, each.score(judged)) for each in (shadow, model))
    blocks = np.unique(prepared.blocks[prepared.split.holdout], return_inverse=True)[1].astype(np.int64)
    scale = 1.0 if spec.task == "binary" else float(theirs.mean()) or 1.0
    return metrics.interval(
        metrics.mean_of((ours - theirs) / scale), Resamples(blocks, RESAMPLES, SEED), CONFIDENCE
    ), ""


def _losses(spec: ProjectSpec, labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    return metrics.log_loss(labels, scores) if spec.task == "binary" else (labels - scores) ** 2
