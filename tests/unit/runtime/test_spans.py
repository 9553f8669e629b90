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


def test_flags_are_counted() -> None:
    spans = pd.DataFrame({"start": at([1, 2, 3]), "end": at([9, 9, 9]), "late": [True, False, True]})
    found = sums(pd.DataFrame({"asked": at([5])}), spans, asked="asked", by=[], columns=["late"])["late"]
    assert (found.tolist(), str(found.dtype)) == ([2], "int64")


def test_no_two_of_many_keys_are_mistaken_for_one() -> None:
    keys: list[tuple[str | None, str]] = [(place, carrier) for place in "ABCD" for carrier in ("AA", "B6", "UA")]
    count = len(keys)
    spans = keyed(keys).assign(start=at([1] * count), end=at([9] * count), value=[2**place for place in range(count)])
    rows = keyed(keys).assign(asked=at([5] * count))
    found = sums(rows, spans, asked="asked", by=["place", "carrier"], columns=["value"])
    assert found["value"].tolist() == spans["value"].tolist()


@pytest.mark.parametrize("count", [581, 582])
def test_more_keys_and_years_than_a_number_holds_are_refused(count: int) -> None:
    # Of 500 years in microseconds a number of 64 bits holds 584, and three are for nulls and the ends.
    begin, end = (pd.Timestamp(f"{year}-01-01", tz="UTC").as_unit("us") for year in (1700, 2200))
    keys = pd.DataFrame({"key": range(count)})
    spans = keys.assign(start=begin, end=end, value=keys["key"])
    rows = keys.assign(asked=end)
    if count == 581:
        early = keys.assign(asked=begin), keys.assign(asked=begin + pd.Timedelta(1, "us"))
        found = [sums(each, spans, asked="asked", by=["key"], columns=["value"])["value"].sum() for each in early]
        assert found == [0, sum(range(count))]
        assert sums(rows, spans, asked="asked", by=["key"], columns=["value"])["value"].tolist() == [*range(count)]
    else:
        with pytest.raises(UsageError, match=r"keys over 50\d years are too many to sum at once"):
            sums(rows, spans, asked="asked", by=["key"], columns=["value"])


def test_whole_numbers_of_every_kind_give_sums_of_one() -> None:
    spans = pd.DataFrame({"start": at([1, 2]), "end": at([9, 9]), "few": np.array([1, 2], dtype=np.uint64), "key": 1})
    rows = pd.DataFrame({"asked": at([5]), "key": 1})
    assert sums(rows, spans, asked="asked", by=["key"], columns=["few"])["few"].dtype == np.int64
    assert sums(rows.iloc[:0], spans.iloc[:0], asked="asked", by=["key"], columns=["few"]).empty
