from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlplat.errors import RefusedError, UsageError
from mlplat.runtime.availability import MASK_ROWS, as_of, refuse_future, refuse_outcome_masks
from mlplat.spec.project import DataSpec, FeatureGroup

START = pd.Timestamp("2013-01-01", tz="UTC")
MINUTES = st.integers(0, 12)
PLACES = st.sampled_from(["EWR", "JFK"])


def at(minutes: list[int]) -> pd.Series[Any]:
    return pd.Series(START + pd.to_timedelta(minutes, unit="min"))


def slow(asked: list[tuple[int, str]], seen: list[tuple[int, str]], within: int | None) -> list[int | None]:
    """Look through all observations for each row: the last of the latest that were there before it was asked for."""
    found: list[int | None] = []
    for moment, place in asked:
        best: int | None = None
        for index, (when, where) in enumerate(seen):
            fresh = within is None or moment - when <= within
            if where == place and when < moment and fresh and (best is None or when >= seen[best][0]):
                best = index
        found.append(best)
    return found


@given(
    asked=st.lists(st.tuples(MINUTES, PLACES), min_size=1, max_size=12),
    seen=st.lists(st.tuples(MINUTES, PLACES), min_size=1, max_size=12),
    within=st.none() | st.integers(1, 8),
)
def test_a_join_gives_what_looking_through_everything_gives(
    asked: list[tuple[int, str]], seen: list[tuple[int, str]], within: int | None
) -> None:
    rows = pd.DataFrame({"asked": at([m for m, _ in asked]), "place": [p for _, p in asked]})
    rows.index = pd.Index(range(7, 7 + 3 * len(rows), 3))
    observations = pd.DataFrame(
        {"known": at([m for m, _ in seen]), "place": [p for _, p in seen], "value": np.arange(len(seen), dtype=float)}
    )
    tolerance = None if within is None else pd.Timedelta(minutes=within)
    joined = as_of(rows, observations, asked="asked", available="known", by="place", within=tolerance)
    assert joined.index.equals(rows.index)
    assert joined["place"].tolist() == rows["place"].tolist()
    assert [None if pd.isna(v) else int(v) for v in joined["value"]] == slow(asked, seen, within)


def test_what_is_known_at_exactly_the_prediction_time_is_not_used() -> None:
    rows = pd.DataFrame({"asked": at([5, 6])})
    observations = pd.DataFrame({"known": at([5]), "value": [1.0]})
    joined = as_of(rows, observations, asked="asked", available="known")
    assert joined["value"].isna().tolist() == [True, False]


def test_an_observation_of_no_known_time_or_no_key_is_never_used() -> None:
    rows = pd.DataFrame({"asked": at([9, 9]), "place": ["EWR", None]})
    observations = pd.DataFrame({"known": at([1, 2, 3]), "place": ["EWR", None, "EWR"], "value": [1.0, 2.0, 3.0]})
    observations.loc[2, "known"] = pd.NaT
    joined = as_of(rows, observations, asked="asked", available="known", by=["place"])
    assert joined["value"].tolist()[0] == 1.0
    assert pd.isna(joined["value"].iloc[1])


def test_the_last_of_many_observations_of_one_time_is_taken() -> None:
    observations = pd.DataFrame({"known": at([number % 3 for number in range(300)]), "value": np.arange(300.0)})
    joined = as_of(pd.DataFrame({"asked": at([1, 2, 3])}), observations, asked="asked", available="known")
    assert joined["value"].tolist() == [297, 298, 299]


def test_an_observation_of_no_value_is_the_last_one_all_the_same() -> None:
    observations = pd.DataFrame({"known": at([1, 2]), "value": [1.0, None]})
    assert as_of(pd.DataFrame({"asked": at([3])}), observations, asked="asked", available="known")["value"].isna().all()


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_times_of_different_resolution_can_be_joined(unit: Literal["s", "ms", "us", "ns"]) -> None:
    rows = pd.DataFrame({"asked": at([5]).dt.as_unit("us")})
    observations = pd.DataFrame({"known": at([4]).dt.as_unit(unit), "value": [1.0]})
    assert as_of(rows, observations, asked="asked", available="known")["value"].tolist() == [1.0]


def test_a_column_of_both_is_refused_and_not_renamed() -> None:
    rows = pd.DataFrame({"asked": at([5]), "value": [0.0]})
    observations = pd.DataFrame({"known": at([4]), "value": [1.0]})
    with pytest.raises(UsageError, match="both hold `value`"):
        as_of(rows, observations, asked="asked", available="known")


def timed(**settings: Any) -> DataSpec:
    weather = FeatureGroup(columns=("wind",), known="known", delay_minutes=settings.pop("delay_minutes", 0.0))
    return DataSpec(source="x.csv", target="y", time="at", features={"weather": weather}, **settings)


@pytest.mark.parametrize("minute", [5, 6, 600])
def test_a_value_known_when_asked_or_later_is_refused_with_its_row(minute: int) -> None:
    frame = pd.DataFrame({"wind": [1.0, 2.0], "known": at([4, minute])}).set_axis([10, 11])
    asked = at([5, 5]).set_axis([10, 11])
    with pytest.raises(RefusedError, match=r"features\.weather: 1 rows .* row 11 was asked for at 2013-01-01 00:05"):
        refuse_future(frame, asked, timed(), ["wind"])


def test_what_was_known_before_is_taken() -> None:
    refuse_future(pd.DataFrame({"wind": [1.0], "known": at([4])}), at([5]), timed(), ["wind"])


def test_the_delay_until_a_value_can_be_used_counts() -> None:
    frame = pd.DataFrame({"wind": [1.0], "known": at([4])})
    with pytest.raises(RefusedError, match="makes it available at 2013-01-01 00:05"):
        refuse_future(frame, at([5]), timed(delay_minutes=1.0), ["wind"])
    refuse_future(frame, at([5]), timed(delay_minutes=0.9), ["wind"])


def test_a_value_of_which_nobody_says_when_it_was_known_is_refused() -> None:
    frame = pd.DataFrame({"wind": [1.0, None], "known": at([4, 4])})
    frame["known"] = pd.NaT
    frame["known"] = frame["known"].dt.tz_localize("UTC")
    with pytest.raises(RefusedError, match="says of no time"):
        refuse_future(frame, at([5, 5]), timed(), ["wind"])
    refuse_future(frame.iloc[1:], at([5, 5]).iloc[1:], timed(), ["wind"])
    # Another row's value is no reason to refuse this one's null.
    frame.loc[0, "known"] = at([4])[0]
    refuse_future(frame, at([5, 5]), timed(), ["wind"])


@pytest.mark.parametrize("name", ["y", "dep_delay"])
def test_the_target_and_what_is_refused_are_no_features(name: str) -> None:
    with pytest.raises(RefusedError, match=f"`{name}` is known only after the prediction"):
        refuse_future(pd.DataFrame(), at([5]), DataSpec(source="x", target="y", refused=("dep_delay",)), ["wind", name])


def cancelled(share: float, rows: int = 5000) -> tuple[pd.DataFrame, pd.Series[Any]]:
    """Return rows of which one in twenty is cancelled, and a number that cancelled ones lack with some probability."""
    source = np.random.default_rng(1)
    gone = source.random(rows) < 0.05
    late = gone | (source.random(rows) < 0.2)
    return pd.DataFrame(
        {"tailnum": pd.Series("N1", index=range(rows)).mask(gone & (source.random(rows) < share))}
    ), pd.Series(late)


def test_a_number_that_only_the_cancelled_lack_gives_the_outcome_away() -> None:
    frame, late = cancelled(1.0)
    with pytest.raises(RefusedError, match=r"`tailnum` is missing in .* rows, and 100\.0% of those are positive"):
        refuse_outcome_masks(frame, late)


def test_a_reason_that_only_the_cancelled_have_gives_the_outcome_away() -> None:
    frame, late = cancelled(1.0)
    reasons = pd.DataFrame({"reason": pd.Series("fog", index=frame.index).where(frame["tailnum"].isna())})
    with pytest.raises(RefusedError, match=r"`reason` is there in .* rows"):
        refuse_outcome_masks(reasons, late)


def test_nulls_here_and_there_give_nothing_away() -> None:
    source = np.random.default_rng(2)
    label = pd.Series(source.random(5000) < 0.3)
    refuse_outcome_masks(pd.DataFrame({"wind": np.where(source.random(5000) < 0.1, np.nan, 1.0)}), label)


def test_a_rare_outcome_that_is_absent_where_values_are_missing_is_no_leak() -> None:
    label = pd.Series(np.arange(10_000) % 50 == 0)
    wind = np.ones(10_000)
    wind[np.flatnonzero(~label)[: 2 * MASK_ROWS]] = np.nan
    refuse_outcome_masks(pd.DataFrame({"wind": wind}), label)


@pytest.mark.parametrize(
    ("missing", "of_them", "rows", "positive", "refused"),
    [
        (100, 100, 1000, 500, True),
        (100, 0, 1000, 500, True),
        (99, 99, 1000, 500, False),  # too few rows to judge by
        (100, 99, 1000, 500, True),
        (100, 98, 1000, 500, False),  # not pure enough
        (100, 1, 1000, 500, True),
        (100, 2, 1000, 500, False),
        (100, 0, 1000, 190, True),  # .81 to the power of 100 is 7e-10
        (100, 1, 1000, 190, False),  # at most one of them is 2e-8
        (2_100, 2_100, 4_000, 3_960, False),  # all rows are almost as pure: by 1 % and no more
        (20_000, 19_880, 40_000, 39_400, False),
    ],
)
def test_how_pure_rows_tell_the_outcome(missing: int, of_them: int, rows: int, positive: int, refused: bool) -> None:
    place = np.arange(rows)
    label = pd.Series((place < of_them) | ((place >= missing) & (place < missing + positive - of_them)))
    frame = pd.DataFrame({"wind": np.where(place < missing, np.nan, 1.0)})
    assert label.sum() == positive
    if refused:
        with pytest.raises(RefusedError, match=f"`wind` is missing in {missing} rows"):
            refuse_outcome_masks(frame, label)
    else:
        refuse_outcome_masks(frame, label)
