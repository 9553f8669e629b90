"""The model: one scikit-learn pipeline, so that what is prepared is prepared alike in training and in serving."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mlplat.runtime import preprocessing
from mlplat.spec.project import TrainingSpec
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline


def make(settings: TrainingSpec, task: str, texts: Sequence[str], numbers: Sequence[str]) -> Pipeline:
    """Return a pipeline that is not fitted yet, over text and number columns by name.

    Columns are prepared as `training.preprocessing` says: encoders take texts that were never seen, and what is learned
    of a column is learned with the model, from training rows alone. Put a step of your own between the two; types of
    scikit-learn can be served.
    """
    families = {"gradient_boosting": _boosting, "random_forest": _forest, "linear": _linear}
    return Pipeline(
        [
            ("prepare", preprocessing.transformer(settings, task, texts, numbers)),
            ("model", families[settings.family](settings, task == "binary")),
        ]
    )


def _boosting(settings: TrainingSpec, binary: bool) -> Any:
    kind = HistGradientBoostingClassifier if binary else HistGradientBoostingRegressor
    return kind(
        max_iter=settings.trees,
        max_leaf_nodes=settings.leaves,
        learning_rate=settings.learning_rate,
        min_samples_leaf=settings.min_leaf_rows,
        early_stopping=False,
        random_state=settings.seed,
        **_columns(settings),
    )


def _forest(settings: TrainingSpec, binary: bool) -> Any:
    kind = RandomForestClassifier if binary else RandomForestRegressor
    return kind(
        n_estimators=settings.trees,
        min_samples_leaf=settings.min_leaf_rows,
        max_samples=settings.sample,
        n_jobs=-1,
        random_state=settings.seed,
        **_columns(settings),
    )


def _columns(settings: TrainingSpec) -> dict[str, float]:
    return {} if settings.max_features is None else {"max_features": settings.max_features}


def _linear(settings: TrainingSpec, binary: bool) -> Any:
    if binary:
        return LogisticRegression(C=1 / settings.penalty, max_iter=1000, random_state=settings.seed)
    return Ridge(alpha=settings.penalty, random_state=settings.seed)
