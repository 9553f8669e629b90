"""A row finds the one of its key that is nearest in time, and nothing beyond the time it may be away."""

from __future__ import annotations

from typing import Literal

import pandas as pd

from mlplat.runtime import nearest

Unit = Literal["s", "us", "ns"]
DAY = pd.Timestamp("2024-01-01", tz="UTC")


def rows(*found: tuple[str, float], unit: Unit = "ns", **more: list[str]) -> pd.DataFrame:
    """Return rows of a key, so many hours into a day."""
    times = pd.Series([DAY + pd.Timedelta(hours=hours) for _, hours in found]).dt.as_unit(unit)
    return pd.DataFrame({"key": [key for key, _ in found], nearest.AT: times, **more})


def test_asked_rows_keep_their_order_and_find_what_is_nearest_before_or_after() -> None:
    known = rows(("a", 9), ("b", 1), ("a", 1), unit="us", name=["late", "other", "early"])
    asked = rows(("a", 8), ("a", 2), ("b", 2), ("a", 0), ("c", 1), ("a", 20), unit="s")
    found = nearest.join(asked, known, ["key"], hours=2)
    assert found["key"].tolist() == asked["key"].tolist()
    assert found["name"].fillna("").tolist() == ["late", "early", "other", "early", "", ""]
    assert found.columns.tolist() == ["key", nearest.AT, "name"]
