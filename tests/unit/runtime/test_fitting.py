from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import LogisticRegression

from mlplat.errors import RefusedError
from mlplat.runtime import fitting
from mlplat.runtime.fitting import Rows
from mlplat.runtime.folds import Fold
from mlplat.spec.project import ProjectSpec, TrainingSpec

MakeSpec = Callable[..., ProjectSpec]
FOLDS = [Fold(np.arange(100 * number), np.arange(100 * number, 100 * (number + 1))) for number in (1, 2, 3)]


def rows(task: str = "binary") -> Rows:
    source = np.random.default_rng(0)
    features = pd.DataFrame({"x": source.normal(size=400), "z": 1.0})
    labels = np.asarray(features["x"] + source.normal(size=400) > 0, dtype=np.float64)
    return Rows(features, labels if task == "binary" else labels + 10, (), ("x", "z"), task)


def certain(_settings: TrainingSpec, _task: str, _texts: Sequence[str], numbers: Sequence[str]) -> Any:
    return LogisticRegression()


def test_a_model_without_chance_has_no_spread_of_seeds() -> None:
    assert fitting.seed_spread(rows(), FOLDS, TrainingSpec(), certain, 3) == 0.0


def test_the_spread_is_that_of_one_model_on_one_fold_and_not_of_folds_that_differ() -> None:
    """A constant that is off by its seed: root mean squared errors are known to the last digit."""
    target = np.repeat([10.0, 20.0, 30.0, 40.0], 100)
    made = Rows(rows().features, target, (), ("x",), "regression")

    def off(settings: TrainingSpec, *_: Any) -> Any:
        return DummyRegressor(strategy="constant", constant=100.0 + settings.seed)

    errors = [[100.0 + seed - value for seed in range(3)] for value in (20.0, 30.0, 40.0)]
    wanted = np.sqrt(np.mean([np.var(each, ddof=1) / np.mean(each) ** 2 for each in errors]))
    assert fitting.seed_spread(made, FOLDS, TrainingSpec(), off, 3) == pytest.approx(wanted)


def test_a_fold_is_judged_on_rows_that_its_model_has_not_learned_from() -> None:
    seen: list[int] = []

    class Watched(LogisticRegression):  # type: ignore[misc]
        def fit(self, table: Any, labels: Any, sample_weight: Any = None) -> Any:
            seen.extend(table.index)
            return super().fit(table, labels, sample_weight)

    found = fitting.measure(rows(), FOLDS[1], TrainingSpec(), lambda *_: Watched())
    assert seen == list(FOLDS[1].train)
    assert 0.6 < found["auc"] < 0.95
    assert fitting.mean("binary", [found, {**found, "auc": found["auc"] + 0.1}]) == pytest.approx(found["auc"] + 0.05)


def test_columns_that_are_left_out_do_not_reach_the_model() -> None:
    given: list[Sequence[str]] = []

    def watched(_settings: TrainingSpec, _task: str, _texts: Sequence[str], numbers: Sequence[str]) -> Any:
        given.append(numbers)
        return LogisticRegression()

    settings = TrainingSpec().changed({"preprocessing.select.constant": True})
    made = fitting.fit(rows(), FOLDS[0].train, settings, watched)
    assert given == [["x"]]
    assert [each.column for each in made.dropped] == ["z"]
    empty = Rows(rows().features[["z"]], rows().labels, (), ("z",), "binary")
    with pytest.raises(RefusedError, match="leaves no column"):
        fitting.fit(empty, FOLDS[0].train, settings, watched)
