"""How easily the rows that judge are told from those that were learned from: a report, never a verdict.

With weather among the columns any two months are told apart almost surely, and a model may still be right about both.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from mlplat.runtime.evenly import evenly

ROWS = 2_000
"""Rows of each side: enough for a difference that matters, and a fraction of a second."""


def told_apart(learned: pd.DataFrame, judged: pd.DataFrame) -> dict[str, Any]:
    """Return the area under the ROC curve of telling two sets of rows (n × columns) apart, by two-fold validation."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.model_selection import cross_val_score

    parts = [rows.iloc[evenly(len(rows), ROWS)] for rows in (learned, judged)]
    rows = _numbers(pd.concat(parts, ignore_index=True))
    side = np.repeat([0, 1], [len(part) for part in parts])
    model = HistGradientBoostingClassifier(max_iter=30, max_leaf_nodes=8, random_state=0, early_stopping=False)
    found = cross_val_score(model, rows, side, scoring="roc_auc", cv=_halves())
    return {"auc": round(float(found.mean()), 4), "rows": len(rows)}


def _halves() -> Any:
    from sklearn.model_selection import StratifiedKFold

    return StratifiedKFold(2, shuffle=True, random_state=0)


def _numbers(rows: pd.DataFrame) -> pd.DataFrame:
    """Return every column as numbers: a text as its place among the texts."""
    return pd.DataFrame(
        {
            name: rows[name].astype("float64")
            if pd.api.types.is_numeric_dtype(rows[name])
            else pd.factorize(rows[name])[0]
            for name in rows
        }
    )
