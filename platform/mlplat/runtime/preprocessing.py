"""Preparing columns inside the model's pipeline: what is learned here is learned from training rows alone.

Everything that is served is scikit-learn's own. The one class of ours, which cuts numbers to quantiles, is a
`MinMaxScaler` that was fitted on two rows, the quantiles: it becomes one before it is written (`settle`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    RobustScaler,
    StandardScaler,
    TargetEncoder,
)

from mlplat.errors import UsageError
from mlplat.spec.preprocessing import SelectionSpec
from mlplat.spec.project import TrainingSpec


class Winsorizer(MinMaxScaler):  # type: ignore[misc]
    """Cuts numbers to two quantiles of what it was fitted on, and maps those to 0 and 1; nulls stay."""

    def __init__(self, low: float = 0.005, high: float = 0.995) -> None:
        super().__init__(clip=True)
        self.low, self.high = low, high

    def fit(self, rows: Any, y: Any = None) -> Winsorizer:  # noqa: ARG002 - a pipeline gives it
        """Learn the quantiles of each column (rows × columns); where both are one value, the ends take their place."""
        table = np.asarray(rows, dtype=np.float64)
        # A column without any value has no quantile: it is mapped to nulls, as it was.
        known = np.where(np.isnan(table).all(axis=0), 0.0, table)
        inner, outer = (np.nanquantile(known, ends, axis=0) for ends in ([self.low, self.high], [0.0, 1.0]))
        flat = inner[0] == inner[1]
        ends = np.where(flat, outer, inner)
        super().fit(pd.DataFrame(ends, columns=rows.columns) if hasattr(rows, "columns") else ends)
        return self


def transformer(settings: TrainingSpec, task: str, texts: Sequence[str], numbers: Sequence[str]) -> ColumnTransformer:
    """Return what prepares text and number columns, by name, for a family of models; it is not fitted yet.

    Raises `UsageError` where nulls would reach a model that takes none.
    """
    parts = [("text", _encoder(settings, task), list(texts)), ("number", _numbers(settings), list(numbers))]
    return ColumnTransformer(parts)


def _encoder(settings: TrainingSpec, task: str) -> Any:
    wanted, rare = settings.preprocessing.encode, settings.rare_rows
    if wanted == "auto":
        wanted = "one_hot" if settings.family == "linear" else "ordinal"
    if wanted == "one_hot":
        return OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=rare, sparse_output=False)
    if wanted == "target":
        # While it is fitted, each row gets the means of rows that it is not among: its own label would tell itself.
        kind, smooth = "binary" if task == "binary" else "continuous", settings.preprocessing.smooth
        others = KFold(5, shuffle=True, random_state=settings.seed)
        return TargetEncoder(target_type=kind, smooth=smooth or "auto", cv=others)
    # Rare categories are learned as one; one never seen gets a number of its own, below all others.
    return OrdinalEncoder(
        handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2, min_frequency=rare
    )


def _numbers(settings: TrainingSpec) -> Any:
    wanted, linear = settings.preprocessing, settings.family == "linear"
    steps: list[Any] = []
    if wanted.winsorize:
        steps.append(Winsorizer(wanted.winsorize.low, wanted.winsorize.high))
    impute = ("median" if linear else "none") if wanted.impute == "auto" else wanted.impute
    if impute == "none" and linear:
        raise UsageError(
            "a linear model takes no nulls, and `training.preprocessing.impute` is `none`",
            hint="set it to `median`, or take another `training.family`",
        )
    if impute != "none":
        steps.append(SimpleImputer(strategy=impute, add_indicator=wanted.indicator))
    scale = ("standard" if linear else "none") if wanted.scale == "auto" else wanted.scale
    if scale != "none":
        steps.append(StandardScaler() if scale == "standard" else RobustScaler())
    return make_pipeline(*steps) if steps else "passthrough"


def settle(estimator: Any) -> None:
    """Turn a fitted estimator's `Winsorizer`s into what they are, scikit-learn's own class: that one can be served."""
    for part in _parts(estimator):
        if isinstance(part, Winsorizer):
            part.__class__ = MinMaxScaler
            del part.low, part.high


def _parts(estimator: Any) -> Iterator[Any]:
    """Yield an estimator and all within it, the templates that its parts were cloned from among them."""
    yield estimator
    inner = [step for _, step in getattr(estimator, "steps", [])]
    inner += [step for name in ("transformers", "transformers_") for _, step, _ in getattr(estimator, name, [])]
    for part in inner:
        if not isinstance(part, str):
            yield from _parts(part)


@dataclass(frozen=True)
class Dropped:
    """A column that is left out, and why."""

    column: str
    reason: str

    def described(self) -> dict[str, str]:
        """Return it as JSON."""
        return asdict(self)


def select(rows: pd.DataFrame, wanted: SelectionSpec) -> tuple[Dropped, ...]:
    """Return the columns of training rows (n × columns) that are left out; of two alike the earlier one stays."""
    dropped: dict[str, str] = {}
    for name in rows.columns:
        if reason := _reason_alone(rows[name], wanted):
            dropped[str(name)] = reason
    kept = [str(name) for name in rows.columns if str(name) not in dropped]
    if wanted.duplicate:
        dropped |= _duplicates(rows[kept])
    if wanted.max_correlation is not None:
        kept = [name for name in kept if name not in dropped and not _is_text(rows[name])]
        dropped |= _correlated(rows[kept], wanted.max_correlation)
    return tuple(Dropped(str(name), dropped[str(name)]) for name in rows.columns if str(name) in dropped)


def _is_text(values: pd.Series) -> bool:
    return not pd.api.types.is_numeric_dtype(values)


def _reason_alone(values: pd.Series, wanted: SelectionSpec) -> str | None:
    missing = float(values.isna().mean())
    if wanted.constant and values.nunique(dropna=False) <= 1:
        return "has one value only"
    if wanted.max_missing is not None and missing > wanted.max_missing:
        return f"{missing:.1%} are missing, and {wanted.max_missing:.1%} may be"
    return None


def _duplicates(rows: pd.DataFrame) -> dict[str, str]:
    seen: dict[tuple[int, str], str] = {}
    found = {}
    for name in rows.columns:
        key = int(pd.util.hash_pandas_object(rows[name], index=False).sum()), str(rows[name].dtype)
        if key in seen and rows[seen[key]].equals(rows[name]):
            found[str(name)] = f"equals `{seen[key]}`"
        seen.setdefault(key, str(name))
    return found


def _correlated(rows: pd.DataFrame, limit: float) -> dict[str, str]:
    sizes = rows.astype(np.float64).rank().corr().abs().fillna(0.0).to_numpy()
    names, found = [str(name) for name in rows.columns], dict[str, str]()
    for place, name in enumerate(names):
        earlier = [(sizes[place, other], names[other]) for other in range(place) if names[other] not in found]
        if earlier and (highest := max(earlier))[0] > limit:
            found[name] = f"its ranks correlate with `{highest[1]}` at {highest[0]:.3f}, and {limit:g} is allowed"
    return found
