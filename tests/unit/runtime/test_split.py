from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlplat.errors import RefusedError, UsageError
from mlplat.runtime import split
from mlplat.runtime.split import Window
from mlplat.spec.project import ProjectSpec

MakeSpec = Callable[..., ProjectSpec]
HOUR = pd.Timedelta(hours=1)
ZONE = "America/New_York"


def hourly(days: int = 150, start: str = "2013-01-01", zone: str = "UTC") -> pd.DataFrame:
    first = split.read_time(start, zone)
    return pd.DataFrame({"at": first + pd.to_timedelta(np.arange(days * 24), unit="h"), "y": np.arange(days * 24) % 2})


def blocks(made: split.Split, frame: pd.DataFrame) -> list[pd.Series[Any]]:
    return [frame["at"].iloc[rows] for rows in (made.train, made.calibration, made.holdout)]


@settings(max_examples=40)
@given(
    lead=st.sampled_from([0.0, 2.0, 30.0]),
    horizon=st.sampled_from([0.0, 24.0, 30.0 * 24]),
    calibration=st.integers(5, 20),
    holdout=st.integers(28, 40),
    until=st.integers(180, 196),
    slow=st.integers(0, 72),
    zone=st.sampled_from(["UTC", ZONE, "Asia/Kathmandu"]),
)
def test_blocks_follow_each_other_and_nothing_learned_was_known_too_late(
    make_spec: MakeSpec, lead: float, horizon: float, calibration: int, holdout: int, until: int, slow: int, zone: str
) -> None:
    frame = hourly(200)
    frame["ripe"] = frame["at"] + pd.to_timedelta(np.arange(len(frame)) * 7 % (slow + 1), unit="h")
    spec = make_spec(
        data__lead_hours=lead, data__label_time="ripe", data__label_horizon_hours=horizon, data__timezone=zone,
        split__calibration_days=calibration, split__holdout_days=holdout,
    )  # fmt: skip
    now = frame["at"].iloc[0] + pd.Timedelta(days=until)
    made = split.by_time(frame, spec, Window(), now)
    asked, known = split.asked_at(frame, spec.data), split.known_at(frame, spec.data)
    learned = np.concatenate([made.train, made.calibration])
    assert not set(made.train) & set(made.calibration)
    assert not set(learned) & set(made.holdout)
    train, calibrating, judging = blocks(made, frame)
    assert train.max() < calibrating.min()
    assert calibrating.max() < judging.min()
    assert known.iloc[made.train].max() < asked.iloc[made.calibration].min()
    assert known.iloc[learned].max() < asked.iloc[made.holdout].min()
    assert known.iloc[made.holdout].max() <= now
    days = judging.dt.tz_convert(zone).dt.tz_localize(None).dt.normalize()
    assert days.nunique() == holdout
    assert days.value_counts().between(23, 25).all()
    assert made.learned_until == known.iloc[learned].max().isoformat()
    assert made.judged_from is not None
    assert pd.Timestamp(made.judged_from) <= asked.iloc[made.holdout].min()


def test_a_horizon_longer_than_the_calibration_block_leaves_it_whole(make_spec: MakeSpec) -> None:
    frame = hourly(200)
    made = split.by_time(frame, make_spec(data__label_horizon_hours=30.0 * 24), Window("2013-07-01"), frame["at"].max())
    assert len(made.calibration) == 14 * 24


def test_a_label_that_is_known_before_its_row_s_time_has_the_row_in_one_block_all_the_same(make_spec: MakeSpec) -> None:
    frame = hourly()
    frame["ripe"] = frame["at"] - 24 * HOUR
    made = split.by_time(frame, make_spec(data__label_time="ripe"), Window(), frame["at"].max())
    assert [len(rows) for rows in (made.train, made.calibration, made.holdout)] == [
        (150 - 14 - 28) * 24,
        14 * 24,
        28 * 24,
    ]
    assert made.cuts is not None
    # All that there is, from the first day on.
    assert made.cuts.train_start == "2013-01-01T00:00:00+00:00"


def test_a_row_of_the_very_time_of_the_clock_is_judged(make_spec: MakeSpec) -> None:
    frame = hourly().iloc[: 149 * 24 + 1]
    made = split.by_time(frame, make_spec(), Window(), frame["at"].max())
    assert made.holdout[-1] == len(frame) - 1


def test_a_prediction_is_asked_for_a_lead_before_and_its_label_known_a_horizon_after(make_spec: MakeSpec) -> None:
    frame, data = hourly(1), make_spec(data__lead_hours=2.0, data__label_horizon_hours=3.0).data
    assert (split.asked_at(frame, data) == frame["at"] - 2 * HOUR).all()
    assert (split.known_at(frame, data) == frame["at"] + 3 * HOUR).all()


@pytest.mark.parametrize(
    ("until", "last"), [("2013-05-11T02:00", "2013-05-10 23:00"), ("2013-05-11T01:59", "2013-05-09 23:00")]
)
def test_a_day_judges_only_when_all_of_its_labels_are_known(make_spec: MakeSpec, until: str, last: str) -> None:
    frame = hourly()
    made = split.by_time(frame, make_spec(data__label_horizon_hours=3.0), Window(until), frame["at"].max())
    assert f"{frame['at'].iloc[made.holdout].max():%Y-%m-%d %H:%M}" == last


def test_one_label_that_is_not_known_keeps_its_whole_day_out(make_spec: MakeSpec) -> None:
    frame = hourly()
    frame["ripe"] = frame["at"]
    frame.loc[frame["at"] == pd.Timestamp("2013-05-20T13:00Z"), "ripe"] = pd.NaT
    made = split.by_time(frame, make_spec(data__label_time="ripe"), Window("2013-06-30"), frame["at"].max())
    assert frame["at"].iloc[made.holdout].max() == pd.Timestamp("2013-05-19T23:00Z")


@pytest.mark.parametrize(
    ("start", "days", "zone"),
    [
        ("2012-11-20", 111, ZONE),
        ("2013-07-10", 117, ZONE),
        ("2023-01-01", 118, "Africa/Cairo"),
        ("2013-01-01", 99, "UTC"),
    ],
)
def test_the_last_day_is_whole_where_clocks_change_on_it(make_spec: MakeSpec, start: str, days: int, zone: str) -> None:
    frame = hourly(days, start, zone)
    local = frame["at"].dt.tz_convert(zone).dt.tz_localize(None).dt.normalize()
    made = split.by_time(frame, make_spec(data__timezone=zone), Window(), frame["at"].max() + 50 * HOUR)
    assert made.holdout[-1] == len(frame) - 1
    assert local.iloc[made.holdout].nunique() == 28
    assert made.cuts is not None
    assert pd.Timestamp(made.cuts.holdout_end) == split._day(frame["at"].max(), 1, zone)


def test_exact_dates_are_kept_in_the_zone(make_spec: MakeSpec) -> None:
    frame = hourly(zone=ZONE)
    window = Window("2013-05-25", "2013-01-15", "2013-03-20", "2013-04-01", "2013-05-01")
    made = split.by_time(frame, make_spec(data__timezone=ZONE), window, frame["at"].max())
    assert made.cuts is not None
    assert made.cuts.train_start == "2013-01-15T05:00:00+00:00"
    assert made.cuts.calibration_start == "2013-03-06T05:00:00+00:00"
    assert made.cuts.calibration_end == "2013-03-20T04:00:00+00:00"
    assert (made.cuts.holdout_start, made.cuts.holdout_end) == (
        "2013-04-01T04:00:00+00:00",
        "2013-05-01T04:00:00+00:00",
    )
    assert made.how == "by time: trained on 2013-01-15 to 2013-03-06, judged on 2013-04-01 to 2013-05-01"
    # On the tenth of March an hour was left out.
    rows = {"train": 50 * 24, "calibration": 14 * 24 - 1, "holdout": 30 * 24}
    assert made.described() == {"how": made.how, "rows": rows, "cuts": vars(made.cuts)}
    assert [part.iloc[0].isoformat() for part in blocks(made, frame)] == [
        made.cuts.train_start, made.cuts.calibration_start, made.cuts.holdout_start,
    ]  # fmt: skip
    assert replace(made, reviewed=3).described()["rows"]["train, of them reviewed"] == 3


def test_train_days_bound_what_is_learned_from(make_spec: MakeSpec) -> None:
    frame = hourly()
    made = split.by_time(frame, make_spec(split__train_days=20), Window(), frame["at"].max())
    assert made.cuts is not None
    assert pd.Timestamp(made.cuts.calibration_start) - pd.Timestamp(made.cuts.train_start) == pd.Timedelta(days=20)


@pytest.mark.parametrize(
    ("window", "why"),
    [
        (Window("2013-05-01", holdout_end="2013-05-20"), "labels are ripe only until 2013-05-01"),
        (Window(holdout_start="2013-05-10", holdout_end="2013-05-30"), "shorter than 28 days"),
        (Window(train_end="2013-05-20"), "training would end after the hold-out begins"),
        (Window("2012-12-01"), "there are no rows before 2012-12-01"),
        (Window("2013-02-10"), "the train block has 0 rows, fewer than 50: {'train_start': '2013-01-01T00"),
        (Window(train_start="2013-05-20"), "the train block has 0 rows"),
    ],
)
def test_what_cannot_be_divided_is_refused_with_the_reason(make_spec: MakeSpec, window: Window, why: str) -> None:
    frame = hourly()
    with pytest.raises(RefusedError, match=why) as caught:
        split.by_time(frame, make_spec(), window, frame["at"].max())
    assert caught.value.hint


@pytest.mark.parametrize("text", ["", "soon", "today", "01/02/2013", "2013-13-01"])
def test_a_date_is_iso_8601_or_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no time"):
        split.read_time(text, "UTC")


@pytest.mark.parametrize(
    ("text", "zone", "read"),
    [
        ("2013-07-01", ZONE, "2013-07-01T04:00:00+00:00"),
        ("2013-07-01T00:00:00Z", ZONE, "2013-07-01T00:00:00+00:00"),
        ("2013-03-10T02:30", ZONE, "2013-03-10T07:00:00+00:00"),
        ("2013-11-03T01:30", ZONE, "2013-11-03T05:30:00+00:00"),
        ("2023-04-28", "Africa/Cairo", "2023-04-27T22:00:00+00:00"),
    ],
)
def test_dates_are_read_in_the_zone_even_where_clocks_change(text: str, zone: str, read: str) -> None:
    assert split.read_time(text, zone).isoformat() == read


def timeless(make_spec: MakeSpec, **more: Any) -> ProjectSpec:
    return make_spec(data={"source": "rows.csv", "target": "y", **more})


def test_whole_groups_stay_on_one_side(make_spec: MakeSpec) -> None:
    frame = pd.DataFrame({"who": [f"c{i % 97}" for i in range(3000)], "y": np.arange(3000) % 2})
    spec = timeless(make_spec, group="who")
    made = split.without_time(frame, spec)
    parts = [set(frame["who"].iloc[part]) for part in (made.train, made.calibration, made.holdout)]
    assert not parts[0] & parts[1]
    assert not (parts[0] | parts[1]) & parts[2]
    assert sum(map(len, parts)) == 97
    assert made.how == "by `who`: rows have no time, so a change over time cannot be seen"
    assert split.day_of(frame, spec.data).tolist() == [number % 97 for number in range(3000)]


def test_rows_are_resampled_by_their_day_in_the_zone_or_alone(make_spec: MakeSpec) -> None:
    frame = pd.DataFrame({"at": pd.to_datetime(["2013-07-01T03:59Z", "2013-07-01T04:00Z", "2013-07-02T03:59Z"])})
    assert split.day_of(frame, make_spec(data__timezone=ZONE).data).tolist() == [0, 1, 1]
    assert split.day_of(frame, make_spec().data).tolist() == [0, 0, 1]
    assert split.day_of(frame, timeless(make_spec).data).tolist() == [0, 1, 2]


def test_classes_keep_their_shares_and_every_row_has_one_place(make_spec: MakeSpec) -> None:
    frame = pd.DataFrame({"y": ["yes" if i % 10 == 0 else "no" for i in range(3000)]})
    made = split.without_time(frame, timeless(make_spec))
    parts = [made.train, made.calibration, made.holdout]
    assert sorted(np.concatenate(parts)) == list(range(3000))
    assert [len(part) for part in parts] == [1950, 450, 600]
    assert made.how.startswith("at random: ")
    assert made.described()["cuts"] is None
    assert all(abs((frame["y"].iloc[part] == "yes").mean() - 0.1) < 0.005 for part in parts)


def test_the_same_seed_divides_alike_and_another_one_does_not(make_spec: MakeSpec) -> None:
    frame = pd.DataFrame({"y": np.arange(1000.0)})
    spec = make_spec(task="regression", data={"source": "rows.csv", "target": "y"})
    again = make_spec(task="regression", data={"source": "rows.csv", "target": "y"}, training__seed=1)
    first, second, other = (split.without_time(frame, one).holdout for one in (spec, spec, again))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    ("frame", "more", "why"),
    [
        (pd.DataFrame({"y": [0, 1] * 163}), {}, "the calibration block has 49 rows, fewer than 50$"),
        (pd.DataFrame({"y": [0] * 990 + [1] * 19}), {}, "the rarer class has 19 rows"),
        (pd.DataFrame({"y": [0, 1] * 490, "who": [*range(49)] * 20}), {"group": "who"}, "there are 49 groups"),
        (pd.DataFrame({"y": [0, 1] * 500, "who": [1, 2] * 500}), {"group": "who"}, "there are 2 groups"),
    ],
)
def test_too_little_without_time_is_refused(
    make_spec: MakeSpec, frame: pd.DataFrame, more: dict[str, str], why: str
) -> None:
    with pytest.raises(RefusedError, match=why):
        split.without_time(frame, timeless(make_spec, **more))


@pytest.mark.parametrize(
    ("frame", "more"),
    [
        (pd.DataFrame({"y": [0, 1] * 166}), {}),
        (pd.DataFrame({"y": [0] * 990 + [1] * 20}), {}),
        (pd.DataFrame({"y": [0, 1] * 500, "who": [*range(50)] * 20}), {"group": "who"}),
    ],
    ids=["rows", "classes", "groups"],
)
def test_just_enough_without_time_is_divided(make_spec: MakeSpec, frame: pd.DataFrame, more: dict[str, str]) -> None:
    made = split.without_time(frame, timeless(make_spec, **more))
    assert min(len(rows) for rows in (made.train, made.calibration, made.holdout)) >= split.MIN_BLOCK
