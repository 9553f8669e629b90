"""Windows are where the calendar says, and an alarm is what its rule says."""

from __future__ import annotations

import datetime as dt
import itertools
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlplat.runtime.monitoring.windows import Calendar, Rule

ZONES = st.sampled_from(["UTC", "America/New_York", "Asia/Kolkata", "Pacific/Auckland"])
TIMES = st.integers(15_340 * 86_400, 16_400 * 86_400).map(lambda second: dt.datetime.fromtimestamp(second, dt.UTC))


def slow_number(time: dt.datetime, zone: str, days: int) -> int:
    return (time.astimezone(ZoneInfo(zone)).date() - dt.date(1970, 1, 5)).days // days


@given(TIMES, ZONES, st.integers(1, 31))
def test_a_time_lies_in_the_window_of_its_own_date(time: dt.datetime, zone: str, days: int) -> None:
    calendar, stamp = Calendar(days, zone), pd.Timestamp(time)
    number = calendar.number(stamp)
    assert number == slow_number(time, zone, days)
    assert calendar.start(number) <= stamp < calendar.start(number + 1)


@pytest.mark.parametrize("zone", ["America/Havana", "America/Sao_Paulo", "Asia/Beirut"])
def test_where_clocks_change_at_midnight_windows_follow_each_other_all_the_same(zone: str) -> None:
    days = Calendar(1, zone)
    numbers = list(range(15_750, 16_050))  # Havana has its midnight of 3 November 2013 twice
    begun = [days.start(number) for number in numbers]
    assert all(first < second for first, second in itertools.pairwise(begun))
    assert days.numbers(pd.Series(begun)).tolist() == numbers
    before = pd.Series(begun) - pd.Timedelta(seconds=1)
    assert days.numbers(before).tolist() == [number - 1 for number in numbers]


def test_a_window_is_complete_when_its_last_day_is_over() -> None:
    week = Calendar(7, "America/New_York")
    monday = pd.Timestamp("2013-06-10", tz="America/New_York").tz_convert("UTC")
    assert week.start(week.complete(monday, 1)[0]) == pd.Timestamp("2013-06-03 04:00", tz="UTC")
    before = week.complete(monday - pd.Timedelta(seconds=1), 3)
    assert week.start(before[-1]) == pd.Timestamp("2013-05-27 04:00", tz="UTC")
    assert len(before) == 3


def slow_alarm(violated: list[bool], k: int, n: int) -> bool:
    count = 0
    for place in range(len(violated)):
        if place >= len(violated) - n and violated[place]:
            count += 1
    return count >= k and len(violated) > 0 and violated[len(violated) - 1]


@given(st.lists(st.booleans(), max_size=12), st.integers(1, 5), st.integers(0, 4))
def test_an_alarm_is_k_of_the_last_n_and_the_latest(violated: list[bool], k: int, more: int) -> None:
    rule = Rule(k, k + more)
    assert rule.holds(violated) == slow_alarm(violated, k, k + more)
    since = rule.since(violated)
    if not slow_alarm(violated, k, k + more):
        assert since is None
    else:
        assert since is not None
        held = [slow_alarm(violated[: end + 1], k, k + more) for end in range(len(violated))]
        assert all(held[since:])
        assert since == 0 or not held[since - 1]
