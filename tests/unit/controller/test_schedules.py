from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlplat.controller.schedules import LATE, Come, check, come, following
from mlplat.errors import UsageError
from mlplat.spec.pipelines import TimesSpec

NEW_YORK = ZoneInfo("America/New_York")
MONDAY = datetime(2013, 7, 1, tzinfo=UTC)
FORWARD, BACK = date(2013, 3, 10), date(2013, 11, 3)
"""When New York's clocks skip the hour from two, and repeat that from one."""


def times(*lines: str, timezone: str = "UTC") -> TimesSpec:
    return TimesSpec(cron=list(lines), timezone=timezone)


def walked(spec: TimesSpec, looks: Iterable[datetime]) -> list[datetime]:
    """Return what comes of looking again and again, from one look to the next."""
    since, found = min(looks), []
    for now in sorted(looks):
        if seen := come(spec, since, now):
            found.append(seen.time)
            since = seen.time
    return found


def test_of_many_times_the_newest_counts_and_the_others_are_counted() -> None:
    daily = times("30 4 * * *", "0 12 * * *")
    assert come(daily, MONDAY, MONDAY + timedelta(days=2, hours=5)) == Come(MONDAY + timedelta(days=2, hours=4.5), 4)
    assert come(daily, MONDAY + timedelta(hours=5), MONDAY + timedelta(hours=6)) is None


def test_a_time_counts_at_its_own_moment_and_not_again() -> None:
    at = MONDAY + timedelta(hours=4.5)
    assert come(times("30 4 * * *"), MONDAY, at) == Come(at, 0)
    assert come(times("30 4 * * *"), at, at + timedelta(hours=1)) is None
    assert come(times("30 4 * * *"), MONDAY, at - timedelta(microseconds=1)) is None


def test_a_time_of_long_ago_is_not_made_up_for() -> None:
    yearly = times("0 0 1 1 *")
    january = datetime(2013, 1, 1, tzinfo=UTC)
    assert come(yearly, january - timedelta(days=1), january + LATE - timedelta(minutes=1)) == Come(january, 0)
    assert come(yearly, january - timedelta(days=1), january + LATE) is None


@pytest.mark.parametrize(
    ("line", "day", "expected"),
    [
        ("30 1 * * *", BACK, ["05:30"]),
        ("30 2 * * *", FORWARD, ["07:00"]),
        ("30 1,2 * * *", FORWARD, ["06:30", "07:00"]),
        # What comes every so many minutes goes on at its pace.
        ("*/30 1 * * *", BACK, ["05:00", "05:30", "06:00", "06:30"]),
    ],
)
def test_a_repeated_hour_counts_once_and_a_skipped_one_is_not_lost(line: str, day: date, expected: list[str]) -> None:
    start = datetime(day.year, day.month, day.day, tzinfo=NEW_YORK).astimezone(UTC)
    found = walked(
        times(line, timezone="America/New_York"), [start + timedelta(minutes=5 * look) for look in range(150)]
    )
    assert [f"{time:%H:%M}" for time in found] == expected


def moment(day: date, hour: int, minute: int) -> datetime:
    """Return when New York's clocks first read this, or what they skipped it for: in UTC, by the obvious way."""
    read = datetime(day.year, day.month, day.day, hour, minute, tzinfo=NEW_YORK)
    there = read.astimezone(UTC).astimezone(NEW_YORK)
    skipped = (there.hour, there.minute) != (hour, minute)
    return (there.replace(minute=0) if skipped else read).astimezone(UTC)


@settings(max_examples=50, deadline=None)
@given(
    day=st.sampled_from([FORWARD, BACK, date(2013, 7, 1)]),
    hour=st.integers(0, 4),
    minute=st.integers(0, 59),
    looks=st.lists(st.integers(0, 72 * 60), min_size=1, max_size=12),
)
def test_a_daily_time_is_never_lost_and_never_comes_twice(day: date, hour: int, minute: int, looks: list[int]) -> None:
    spec = times(f"{minute} {hour} * * *", timezone="America/New_York")
    all_of_them = [moment(day + timedelta(days=each), hour, minute) for each in range(-2, 5)]
    start = moment(day - timedelta(days=1), 0, 0)
    since = start
    for now in sorted(start + timedelta(minutes=look) for look in looks):
        there = [time for time in all_of_them if since < time <= now]
        assert come(spec, since, now) == (Come(there[-1], len(there) - 1) if there else None)
        since = max([since, *there])


@settings(max_examples=50, deadline=None)
@given(minutes=st.integers(0, 366 * 24 * 60), line=st.sampled_from(["30 4 * * mon", "0 1 * * *", "30 2 1 * *"]))
def test_the_next_time_is_the_one_that_comes(minutes: int, line: str) -> None:
    spec = times(line, timezone="America/New_York")
    now = datetime(2013, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    coming = following(spec, now)
    assert coming is not None
    assert coming > now
    assert come(spec, now, coming) == Come(coming, 0)
    assert come(spec, now, coming - timedelta(microseconds=1)) is None


@pytest.mark.parametrize("line", ["0 25 * * *", "0 0 30 2 *", "5-1 * * * *", "0 0 31 4,6 *"])
def test_a_line_that_no_clock_reads_is_named(line: str) -> None:
    with pytest.raises(UsageError) as raised:
        check(times(line), "pipelines.train.schedule.cron")
    assert line in raised.value.message
    assert "pipelines.train.schedule.cron" in raised.value.message
    assert following(times(line), MONDAY) is None


def test_lines_that_clocks_read_are_taken() -> None:
    check(times("0 0 29 2 *", "*/5 8-18 * * mon-fri", "0 0 31 4 mon"), "x")
