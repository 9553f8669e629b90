from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlplat.errors import UsageError
from mlplat.runtime.spans import sums

START = pd.Timestamp("2013-01-01", tz="UTC")
MINUTES = st.integers(0, 12)
KEYS = st.tuples(st.sampled_from(["EWR", "JFK", None]), st.sampled_from(["AA", "B6"]))
ROWS = st.lists(st.tuples(MINUTES, KEYS), max_size=12)
SPANS = st.lists(st.tuples(MINUTES, st.integers(-2, 8), KEYS, st.integers(-5, 5)), max_size=15)


def at(minutes: list[int]) -> pd.Series[Any]:
    return pd.Series(START + pd.to_timedelta(minutes, unit="min"), dtype="datetime64[us, UTC]")


def keyed(keys: list[tuple[str | None, str]]) -> pd.DataFrame:
    return pd.DataFrame({"place": [p for p, _ in keys], "carrier": [c for _, c in keys]}, dtype="str")


@given(asked=ROWS, counting=SPANS, by=st.sampled_from([(), ("place",), ("place", "carrier")]))
def test_sums_are_what_looking_at_every_span_gives(
    asked: list[tuple[int, tuple[str | None, str]]],
    counting: list[tuple[int, int, tuple[str | None, str], int]],
    by: tuple[str, ...],
) -> None:
    rows = keyed([key for _, key in asked]).assign(asked=at([minute for minute, _ in asked]))
    rows.index = pd.Index(range(7, 7 + 3 * len(rows), 3))
    spans = keyed([key for _, _, key, _ in counting]).assign(
        start=at([start for start, _, _, _ in counting]),
        end=at([start + length for start, length, _, _ in counting]),
        value=np.array([value for *_, value in counting], dtype=np.int64),
    )
    found = sums(rows, spans, asked="asked", by=by, columns=["value"])
    assert found.index.equals(rows.index)
    for number, (minute, key) in enumerate(asked):
        own = key[: len(by)]
        same = [each for each in counting if each[2][: len(by)] == own and None not in own and each[1] > 0]
        total = sum(value for start, length, _, value in same if start < minute <= start + length)
        assert found["value"].iloc[number] == total
        begun = [start for start, *_ in same if start < minute]
        latest = found["latest"].iloc[number]
        assert pd.isna(latest) if not begun else latest == START + pd.Timedelta(minutes=max(begun))


def test_what_became_known_at_the_very_time_of_asking_does_not_count_and_at_its_end_still_does() -> None:
    rows = pd.DataFrame({"asked": at([5, 6, 10, 11])})
    spans = pd.DataFrame({"start": at([5]), "end": at([10]), "one": [1]})
    assert sums(rows, spans, asked="asked", by=[], columns=["one"])["one"].tolist() == [0, 1, 1, 0]


def test_sums_over_long_times_are_exact() -> None:
    """Floating-point sums over a year would differ in their last bits from those over the last hours."""
    source = np.random.default_rng(1)
    start = START + pd.to_timedelta(np.sort(source.integers(0, 525_600, 5000)), unit="min")
    spans = pd.DataFrame(
        {"start": start, "end": start + pd.Timedelta(hours=4), "since": start.as_unit("s").astype("int64")}
    )
    rows = pd.DataFrame({"asked": START + pd.to_timedelta(source.integers(0, 525_600, 200), unit="min")})
    whole = sums(rows, spans, asked="asked", by=[], columns=["since"])
    for number, row in enumerate(rows.to_dict(orient="records")):
        recent = spans[(spans["start"] < row["asked"]) & (spans["start"] > row["asked"] - pd.Timedelta(hours=9))]
        part = sums(rows.iloc[[number]], recent, asked="asked", by=[], columns=["since"])
        assert part["since"].iloc[0] == whole["since"].iloc[number]


def test_what_cannot_be_summed_exactly_is_refused() -> None:
    rows = pd.DataFrame({"asked": at([5])})
    spans = pd.DataFrame({"start": at([4]), "end": at([9]), "delay": [0.5]})
    with pytest.raises(UsageError, match="`delay` does not hold whole numbers"):
        sums(rows, spans, asked="asked", by=[], columns=["delay"])
