"""What became of a training set: which rows came, went and changed, and which columns look different."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from mlplat.runtime.snapshots.store import Snapshot

TOLD = 0.05
"""Distance from which a column's distribution is told as changed: of 0 (the same) to 1 (nothing in common)."""


def difference(before: Snapshot, old: pd.DataFrame, after: Snapshot, new: pd.DataFrame) -> dict[str, Any]:
    """Compare two training sets (rows × columns each).

    Rows are matched by keys and time where these tell them all apart, and otherwise by all columns that both have: then
    a row that changed is one that went and one that came.
    """
    common = [name for name in old.columns if name in new.columns]
    by = _identity(before, after, old[common], new[common])
    return {
        "before": before.hash,
        "after": after.hash,
        "rows": {"before": len(old), "after": len(new), "by": by, **_rows(old[common], new[common], by)},
        "columns": {
            "added": [name for name in new.columns if name not in old.columns],
            "removed": [name for name in old.columns if name not in new.columns],
            "retyped": {
                name: [str(old[name].dtype), str(new[name].dtype)] for name in common if _retyped(old, new, name)
            },
        },
        "distributions": [told for name in common if name not in by and (told := _told(name, old[name], new[name]))],
    }


def _identity(before: Snapshot, after: Snapshot, old: pd.DataFrame, new: pd.DataFrame) -> list[str]:
    times = {each.facts.get("availability", {}).get("time") for each in (before, after)}
    named = [name for name in [*before.keys, *times] if name and name in old.columns]
    unique = bool(named) and not any(frame.duplicated(named).any() for frame in (old, new))
    return list(dict.fromkeys(named)) if unique else []


def _rows(old: pd.DataFrame, new: pd.DataFrame, by: list[str]) -> dict[str, Any]:
    if not by:
        ours, theirs = (pd.util.hash_pandas_object(frame, index=False).value_counts() for frame in (old, new))
        gained = theirs.sub(ours, fill_value=0)
        return {"added": int(gained.clip(lower=0).sum()), "removed": int(-gained.clip(upper=0).sum()), "changed": None}
    left, right = old.set_index(by), new.set_index(by)
    both = left.index.intersection(right.index)
    one, other = left.loc[both], right.loc[both]
    changes = {name: _unequal(one[name], other[name]) for name in one.columns}
    touched = np.logical_or.reduce(list(changes.values())) if changes else np.zeros(len(both), dtype=bool)
    counts = {name: int(found.sum()) for name, found in changes.items() if found.any()}
    added, removed = len(right) - len(both), len(left) - len(both)
    return {"added": added, "removed": removed, "changed": int(touched.sum()), "changed_by_column": counts}


def _unequal(one: pd.Series, other: pd.Series) -> Any:
    # None equals None, and nothing else that stands for a missing value equals itself.
    ours, theirs = (values.astype(object).where(values.notna(), None).to_numpy() for values in (one, other))
    return (ours != theirs).astype(bool)


def _retyped(old: pd.DataFrame, new: pd.DataFrame, name: str) -> bool:
    return bool(old[name].dtype != new[name].dtype)


def _told(name: str, old: pd.Series, new: pd.Series) -> str | None:
    """Say how a column's values differ; None where they hardly do."""
    said = []
    if abs((gone := float(new.isna().mean())) - (was := float(old.isna().mean()))) >= TOLD:
        said.append(f"missing in {was:.1%} and then in {gone:.1%}")
    ours, theirs = old.dropna(), new.dropna()
    if len(ours) and len(theirs) and (apart := _distance(ours, theirs)) >= TOLD:
        said.append(f"distributions are {apart:.2f} apart{_means(ours, theirs)}")
    return f"`{name}`: {', '.join(said)}" if said else None


def _distance(ours: pd.Series, theirs: pd.Series) -> float:
    """Return the greatest gap between two distribution functions, or for texts half the sum of the shares' gaps."""
    if _is_number(ours) and _is_number(theirs):
        one, other = (np.sort(values.to_numpy(dtype=np.float64)) for values in (ours, theirs))
        grid = np.concatenate([one, other])
        gaps = [np.searchsorted(values, grid, side="right") / len(values) for values in (one, other)]
        return float(np.abs(gaps[0] - gaps[1]).max())
    shares = [values.astype("str").value_counts(normalize=True) for values in (ours, theirs)]
    return float(shares[0].sub(shares[1], fill_value=0).abs().sum() / 2)


def _is_number(values: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)


def _means(ours: pd.Series, theirs: pd.Series) -> str:
    return f", mean {ours.mean():.4g} and then {theirs.mean():.4g}" if _is_number(ours) and _is_number(theirs) else ""
