"""Data that grow stay honest: rows are found where they were, and nothing is told twice."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from bench import growth
from mlplat.runtime.availability import as_of


@dataclass(frozen=True)
class Raw:
    flights: pd.DataFrame
    weather: pd.DataFrame
    airports: pd.DataFrame


def year() -> Raw:
    """Return a flight an hour of a year of 365 days, and the weather of each hour by its number."""
    hours = pd.date_range("2013-01-01", periods=365 * 24, freq="h", tz="UTC")
    weather = pd.DataFrame({"origin": "EWR", "time_hour": hours, "told": range(len(hours))})
    return Raw(pd.DataFrame({"origin": "EWR", "time_hour": hours}), weather, pd.DataFrame({"faa": ["LAX"]}))


def test_ten_years_are_ten_times_the_flights_each_with_its_own_weather() -> None:
    made = growth.resized(year(), 10.0)
    assert len(made.flights) == 10 * 365 * 24
    assert not made.weather.duplicated(["origin", "time_hour"]).any()
    weather = made.weather.rename(columns={"time_hour": "known"})
    joined = as_of(made.flights, weather, asked="time_hour", available="known", by="origin")
    assert joined["told"].isna().sum() == 1, "only the very first hour has none before it"
    assert (joined["time_hour"] - joined["known"]).max() == pd.Timedelta(hours=1)
    weekdays = made.flights["time_hour"].dt.day_of_week.to_numpy().reshape(10, -1)
    assert (weekdays == weekdays[0]).all()


def test_a_tenth_is_spread_over_the_year() -> None:
    made = growth.resized(year(), 0.1)
    assert len(made.flights) == 365 * 24 / 10
    assert made.flights["time_hour"].diff().dropna().eq(pd.Timedelta(hours=10)).all()
    assert made.weather.equals(year().weather)
