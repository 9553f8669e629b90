"""The model: one scikit-learn pipeline, so that what is prepared is prepared alike in training and in serving."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mlplat.spec.project import TrainingSpec
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler


def make(settings: TrainingSpec, task: str, texts: Sequence[str], numbers: Sequence[str]) -> Pipeline:
    """Return a pipeline that is not fitted yet, over text and number columns by name."""
    families = {"gradient_boosting": _boosting, "random_forest": _forest, "linear": _linear}
    prepare = _scaled if settings.family == "linear" else _encoded
    return Pipeline(
        [
            ("prepare", prepare(settings, list(texts), list(numbers))),
            ("model", families[settings.family](settings, task == "binary")),
        ]
    )


def _encoded(settings: TrainingSpec, texts: list[str], numbers: list[str]) -> ColumnTransformer:
    # Trees split numbers anywhere and keep nulls as they are. Rare categories are learned as one; one never seen gets a
    # number of its own, below all others.
    encoder = OrdinalEncoder(
        handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2, min_frequency=settings.rare_rows
    )
    return ColumnTransformer([("text", encoder, texts), ("number", "passthrough", numbers)])


def _scaled(settings: TrainingSpec, texts: list[str], numbers: list[str]) -> ColumnTransformer:
    encoder = OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=settings.rare_rows, sparse_output=False)
    scaler = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
    return ColumnTransformer([("text", encoder, texts), ("number", scaler, numbers)])


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
        return LogisticRegression(max_iter=1000, random_state=settings.seed)
    return Ridge(random_state=settings.seed)
