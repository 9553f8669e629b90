"""Which known row an asked one is: that of the same key that is nearest in time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

AT = "at"
"""Column with each row's time, beside those of its key."""


def join(asked: pd.DataFrame, known: pd.DataFrame, key: Sequence[str], hours: float) -> pd.DataFrame:
    """Return asked rows (n × `key` and `AT`), in their order, with what the known ones have besides; null for none.

    A known row is at most `hours` away. Both frames write a key alike; their times have a zone.
    """
    # Times of one resolution only can be joined, and only in their own order.
    left, right = (_ordered(each) for each in (asked.assign(_place=np.arange(len(asked))), known))
    found = pd.merge_asof(left, right, on=AT, by=list(key), direction="nearest", tolerance=pd.Timedelta(hours=hours))
    return found.sort_values("_place").drop(columns="_place").reset_index(drop=True)


def _ordered(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(**{AT: frame[AT].dt.as_unit("ns")}).sort_values(AT, kind="stable")
