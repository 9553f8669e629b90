"""Folds of the training block for cross-validation: each is judged by what was learned before it.

The later half of the block is divided into stretches of whole days. Each is judged in turn by a model that has learned
from all that came before, as much as was known when the stretch's first prediction was asked for: the rule by which
`mlplat.runtime.split` parts training from the hold-out. So every model has at least half of the rows, about as many as
the one that is fitted in the end. Rows without a time are divided by groups, or at random with each class's share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlplat.errors import RefusedError
from mlplat.runtime import split
from mlplat.runtime.split import Positions
from mlplat.spec.project import ProjectSpec

FEWEST = 20
"""Fewest rows of a fold, and of either class in it, to judge by: as `metrics.MIN_CLASS` for the hold-out."""
HINT = "give `search.folds` fewer, or more data"


@dataclass(frozen=True)
class Fold:
    """Positions (integers into the rows) that are learned from, and those that judge."""

    train: Positions
    test: Positions


def make(rows: pd.DataFrame, labels: NDArray[np.float64], spec: ProjectSpec, train: Positions) -> tuple[Fold, ...]:
    """Divide the training block, `train` of rows (n × columns, with the project's time columns in UTC), into folds.

    Raises `RefusedError` when one would be too small, or would hold one class only.
    """
    count = spec.search.folds_wanted
    if not count:
        return ()
    block = rows.iloc[train]
    if spec.data.time:
        inner = _by_time(block, spec, count)
        refuse_mixed(inner, split.asked_at(block, spec.data), split.known_at(block, spec.data))
    else:
        inner = _without_time(block, labels[train], spec, count)
    made = tuple(Fold(train[fold.train], train[fold.test]) for fold in inner)
    _refuse_small(made, labels, binary=spec.task == "binary")
    return made


def refuse_mixed(folds: Sequence[Fold], asked: pd.Series, known: pd.Series) -> None:
    """Raise `RefusedError` for a fold that learned what was not known yet when its first prediction was asked for.

    `asked` and `known` are the times at which each row's prediction is asked for, and its label is known (n). A random
    division always is such a one, and flatters every model.
    """
    for number, fold in enumerate(folds, 1):
        late = known.iloc[fold.train] >= asked.iloc[fold.test].min()
        if late.any():
            raise RefusedError(
                f"fold {number} learns from {int(late.sum())} rows that were not known when its first prediction was "
                "asked for",
                hint="rows have a time: divide them by it, never at random",
            )


def _by_time(block: pd.DataFrame, spec: ProjectSpec, count: int) -> list[Fold]:
    data = spec.data
    time, known, asked = block[data.time], split.known_at(block, data), split.asked_at(block, data)
    days = _days(time, data.timezone)
    number = int(days.max()) + 1
    if number < 2 * count:
        raise RefusedError(f"the training block has {number} days, too few for {count} folds", hint=HINT)
    edges = np.linspace(number // 2, number, count + 1).astype(int)
    made = []
    for first, last in pairwise(edges):
        tested = (days >= first) & (days < last)
        if not tested.any():
            raise RefusedError(f"{count} folds: one has no rows", hint=HINT)
        learned = (days < first) & (known < asked[tested].min()).to_numpy()
        made.append(Fold(np.flatnonzero(learned), np.flatnonzero(tested)))
    return made


def _days(time: pd.Series, zone: str) -> NDArray[np.int64]:
    """Return each row's day, counted from the first one."""
    local = time.dt.tz_convert(zone).dt.tz_localize(None).dt.normalize()
    return np.asarray((local - local.min()).dt.days, dtype=np.int64)


def _without_time(block: pd.DataFrame, labels: NDArray[np.float64], spec: ProjectSpec, count: int) -> list[Fold]:
    from sklearn.model_selection import GroupKFold, KFold, StratifiedKFold

    group, seed = spec.data.group, spec.training.seed
    groups = pd.factorize(block[group])[0] if group else None
    smallest = len(np.unique(groups)) if groups is not None else len(block)
    if smallest < count:
        raise RefusedError(f"the training block has {smallest} groups, too few for {count} folds", hint=HINT)
    kind = GroupKFold if group else StratifiedKFold if spec.task == "binary" else KFold
    chosen = kind(count, shuffle=True, random_state=seed)
    return [Fold(learned, tested) for learned, tested in chosen.split(block, labels, groups)]


def _refuse_small(folds: Sequence[Fold], labels: NDArray[np.float64], *, binary: bool) -> None:
    for number, fold in enumerate(folds, 1):
        counts = [min(np.bincount(labels[rows].astype(int), minlength=2)) if binary else len(rows)
                  for rows in (fold.train, fold.test)]  # fmt: skip
        if min(counts) < FEWEST:
            what = "of the rarer class" if binary else "to learn from or to judge by"
            raise RefusedError(f"fold {number} has {min(counts)} rows {what}, fewer than {FEWEST}", hint=HINT)
