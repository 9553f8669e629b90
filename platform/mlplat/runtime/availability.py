"""What was known when the prediction was asked for, and refusing what was not.

A row's prediction time is `time` less the lead. A value may be a feature when it had become available strictly before
that moment; an event's own time says nothing about when somebody could have looked it up.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlplat.errors import RefusedError, UsageError
from mlplat.spec.project import DataSpec, FeatureGroup

MASK_ROWS = 100
"""Fewest rows with, or without, a null from which its meaning is judged."""
MASK_PURITY = 0.99
"""Share of one outcome among those rows from which the null tells the outcome."""
MASK_CHANCE = 1e-9
"""Chance of so pure rows, were the nulls scattered, above which they may be pure by accident: a rare class often is."""

_POSITION = "_position_of_row"


def as_of(
    rows: pd.DataFrame,
    observations: pd.DataFrame,
    *,
    asked: str,
    available: str,
    by: str | Sequence[str] | None = None,
    within: pd.Timedelta | None = None,
) -> pd.DataFrame:
    """Give each row the last observation that had become available before it was asked for.

    `rows` (n × columns) holds the prediction time `asked`, `observations` (m × columns) the time `available`; both
    share the columns `by` and no others. An observation that became available at exactly the prediction time, or longer
    than `within` before it, is not used; of several at one time it is the last. Returns the rows in their own order and
    index, with the observations' other columns, null where there was none. Raises `UsageError` for a column that both
    hold, since one of them would be renamed.
    """
    keys = [] if by is None else [by] if isinstance(by, str) else list(by)
    if shared := [name for name in observations.columns if name in rows.columns and name not in keys]:
        raise UsageError(f"as_of: rows and observations both hold `{shared[0]}`", hint="rename it in one of them")
    left = rows.assign(**{asked: _fine(rows[asked])})
    left[_POSITION] = np.arange(len(left))
    # A null is no key: what has none belongs to no row.
    right = observations.assign(**{available: _fine(observations[available])}).dropna(subset=[available, *keys])
    joined = pd.merge_asof(
        left.sort_values(asked),
        right.sort_values(available, kind="stable"),
        left_on=asked,
        right_on=available,
        by=keys or None,
        tolerance=within,
        allow_exact_matches=False,
    )
    ordered = joined.sort_values(_POSITION).drop(columns=_POSITION)
    return ordered.set_axis(rows.index)


def _fine(times: pd.Series) -> pd.Series:
    # pandas joins times of one resolution only, and reads text as another one than Parquet holds.
    fine: pd.Series = times.dt.as_unit("ns")
    return fine


def refuse_future(frame: pd.DataFrame, asked: pd.Series, data: DataSpec, features: Sequence[str]) -> None:
    """Raise `RefusedError` when a feature was not known before the prediction was asked for.

    `frame` (rows × columns) holds the features and the `known` columns of their groups, `asked` the prediction times.
    """
    if leaked := [name for name in features if name in data.refused or name == data.target]:
        raise RefusedError(
            f"`{leaked[0]}` is known only after the prediction, and cannot be a feature",
            hint="it is listed under `data.refused` of mlplat.yaml, or is the target",
        )
    for name, group in data.features.items():
        if group.known:
            _refuse_late(frame, asked, name, group)


def _refuse_late(frame: pd.DataFrame, asked: pd.Series, name: str, group: FeatureGroup) -> None:
    available = frame[group.known] + pd.Timedelta(minutes=group.delay_minutes)
    # Where no time is given, only nulls are sure to have been known.
    unknown = available.isna() & frame[list(group.columns)].notna().any(axis="columns")
    late = ((available >= asked) | unknown).to_numpy()
    if late.any():
        row = int(late.argmax())
        when = "says of no time" if unknown.iloc[row] else f"makes it available at {available.iloc[row]}"
        raise RefusedError(
            f"features.{name}: {int(late.sum())} rows use what was not known yet: row {frame.index[row]} was asked for "
            f"at {asked.iloc[row]}, and `{group.known}` {when}",
            hint="join with `mlplat.runtime.availability.as_of`, which takes the availability time and not the event's",
        )


def refuse_outcome_masks(frame: pd.DataFrame, label: pd.Series) -> None:
    """Raise `RefusedError` when it tells a binary outcome whether a feature is missing.

    A field that is filled in only when something went well (an arrival, an aircraft's number), or badly (the reason of
    a cancellation), gives the outcome away by its nulls, whatever becomes of its values. `frame` holds the features,
    `label` 0 or 1, row by row.
    """
    positive = label.to_numpy()
    for name in frame.columns:
        missing = frame[name].isna().to_numpy()
        for rows, what in ((missing, "missing"), (~missing, "there")):
            if _tell(positive[rows], positive):
                raise RefusedError(
                    f"`{name}` is {what} in {rows.sum()} rows, and {positive[rows].mean():.1%} of those are positive "
                    f"against {positive.mean():.1%} of all: its missing values tell the outcome",
                    hint="it is filled in afterwards: take it out of the features and list it under `data.refused`",
                )


def _tell(some: NDArray[np.float64], every: NDArray[np.float64]) -> bool:
    """Tell whether some rows' labels are of one class only, more than chance and the share of all rows explain."""
    from scipy.stats import binom

    count = len(some)
    if count < MASK_ROWS:
        return False
    share, base = float(some.mean()), float(every.mean())
    # The rarer outcome among these rows, and how often chance alone would leave as few of it.
    few, rate = min((share, base), (1 - share, 1 - base))
    pure = few <= 1 - MASK_PURITY < rate - few
    return bool(pure and binom.cdf(round(few * count), count, rate) < MASK_CHANCE)
