from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from mlplat.runtime.snapshots.difference import difference
from mlplat.runtime.snapshots.store import Snapshot

Keep = Callable[[pd.DataFrame], Snapshot]


@pytest.fixture
def compare(keep: Keep) -> Callable[[pd.DataFrame, pd.DataFrame], dict[str, object]]:
    return lambda old, new: difference(keep(old), old, keep(new), new)


def test_rows_are_matched_by_keys_and_time(
    compare: Callable[..., dict[str, dict[str, object]]], rows: pd.DataFrame
) -> None:
    new = rows.drop(index=[0, 1]).sample(frac=1, random_state=0).reset_index(drop=True)
    new.loc[[3, 4, 5], "text"] = "new"
    new.loc[[5, 6], "number"] = 9.0
    came = rows.head(1).assign(at=rows["at"].max() + pd.Timedelta(days=1))
    found = compare(rows, pd.concat([new, came], ignore_index=True))
    assert found["rows"] == {
        "before": 200,
        "after": 199,
        "by": ["who", "at"],
        "added": 1,
        "removed": 2,
        "changed": 4,
        "changed_by_column": {"text": 3, "number": 2},
    }


def test_rows_that_keys_do_not_tell_apart_are_matched_as_they_are(
    compare: Callable[..., dict[str, dict[str, object]]], rows: pd.DataFrame
) -> None:
    twice = pd.concat([rows, rows.head(3)], ignore_index=True)
    found = compare(twice, rows.assign(y=rows["y"].where(rows.index != 9, 5)))["rows"]
    assert {name: found[name] for name in ("by", "added", "removed", "changed")} == {
        "by": [],
        "added": 1,
        "removed": 4,
        "changed": None,
    }


def test_columns_and_distributions_that_differ_are_told_and_others_are_not(
    compare: Callable[..., dict[str, dict[str, object]]], rows: pd.DataFrame
) -> None:
    new = rows.drop(columns="flag").assign(
        extra=1, number=rows["number"] + 1, text=np.where(rows.index < 50, "z", rows["text"]), y=rows["y"].astype(float)
    )
    found = compare(rows, new.assign(maybe=new["maybe"].mask(new.index < 100)))
    assert found["columns"] == {"added": ["extra"], "removed": ["flag"], "retyped": {"y": ["int64", "float64"]}}
    told = [str(each).partition(":")[0] for each in found["distributions"]]
    assert told == ["`text`", "`number`", "`maybe`"]
    assert "`maybe`: missing in 2" in str(found["distributions"])


def test_a_snapshot_does_not_differ_from_itself(
    compare: Callable[..., dict[str, dict[str, object]]], rows: pd.DataFrame
) -> None:
    found = compare(rows, rows.copy())
    assert [found["rows"][name] for name in ("added", "removed", "changed")] == [0, 0, 0]
    assert not found["distributions"]
