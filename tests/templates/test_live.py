"""The flights' live features against a slow, obviously right way, by the stream as by the table, and without a leak."""

from __future__ import annotations

import argparse
import ast
import importlib
import json
import math
import os
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlplat.errors import RefusedError, UsageError
from mlplat.runtime import availability, table
from mlplat.runtime.streams import frames
from mlplat.runtime.streams.event import Event
from mlplat.runtime.streams.log import Log
from mlplat.runtime.streams.memory import Memory
from mlplat.runtime.streams.port import Record
from mlplat.scaffold import project, template
from mlplat.spec import project as spec

START = pd.Timestamp("2013-03-01 12:00", tz="UTC")
MINUTE = pd.Timedelta(minutes=1)
WINDOW, TOLD, LEAD = 240, 5, 120
"""Minutes: how far back features look, until a departure or arrival is told of, before departure that is asked."""
KEYS = {"airport": ["origin"], "airline": ["origin", "carrier"], "destination": ["dest"]}
Flight = dict[str, Any]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """Return a rendered project: its modules, its spec and its folder."""
    into = tmp_path_factory.mktemp("projects")
    folder = project.create("rendered-live", template.find("tabular"), {"features": "live"}, into=into, ask=None).folder
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder / "src"))
        modules = {
            name: importlib.import_module(f"rendered_live.{name}") for name in ("data", "features", "live", "stream")
        }
        yield SimpleNamespace(spec=spec.read(folder / "mlplat.yaml"), folder=folder, **modules)
    for name in [name for name in sys.modules if name.partition(".")[0] == "rendered_live"]:
        del sys.modules[name]


FLIGHTS = st.lists(
    st.fixed_dictionaries(
        {
            "origin": st.sampled_from(["EWR", "JFK"]),
            "carrier": st.sampled_from(["AA", "B6"]),
            "dest": st.sampled_from(["LAX", "IAH"]),
            "minute": st.integers(0, 600),
            # Cancelled flights have neither delay, diverted ones no arrival.
            "dep_delay": st.none() | st.integers(-20, 300),
            "arr_delay": st.none() | st.integers(-60, 300),
        }
    ).map(lambda flight: flight | ({"arr_delay": None} if flight["dep_delay"] is None else {})),
    min_size=1,
    max_size=14,
)
LASTS = 180


def built(flights: list[Flight]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return flights as the raw table has them, and as rows of the schedule."""
    frame = pd.DataFrame(flights)
    raw = frame[["dep_delay", "arr_delay"]].astype("float64")
    departure = pd.Series(START + pd.to_timedelta(frame["minute"], unit="min"))
    rows = frame[["origin", "carrier", "dest"]].assign(
        flight=range(len(frame)),
        scheduled_departure=departure,
        scheduled_arrival=departure + LASTS * MINUTE,
        asked=departure - LEAD * MINUTE,
    )
    return raw, rows


def slowly(flights: list[Flight], row: Flight, place: str) -> dict[str, float | None]:
    """Look at every flight of the row's place, one after the other, as somebody at a desk at that time would."""
    now = row["minute"] - LEAD
    seen = [each for each in flights if all(each[key] == row[key] for key in KEYS[place])]
    left, arrived, due, waiting = [], [], 0, []
    for each in seen:
        told_left = None if each["dep_delay"] is None else each["minute"] + each["dep_delay"] + TOLD
        told_there = None if each["arr_delay"] is None else each["minute"] + LASTS + each["arr_delay"] + TOLD
        if told_left is not None and now - WINDOW <= told_left < now:
            left.append(each["dep_delay"])
        if told_there is not None and now - WINDOW <= told_there < now:
            arrived.append(each["arr_delay"])
        if now - WINDOW <= each["minute"] < now:
            due += 1
            if told_left is None or told_left >= now:
                waiting.append(now - each["minute"])

    def mean(values: list[Any]) -> float | None:
        return sum(values) / len(values) if values else None

    return {
        "departed_delay": mean(left),
        "departed_late": mean([delay > 15 for delay in left]),
        "arrived_delay": mean(arrived),
        "overdue": len(waiting) / due if due else None,
        "overdue_minutes": mean(waiting),
    }


@settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(flights=FLIGHTS)
def test_the_last_hours_are_what_looking_at_every_flight_gives(made: SimpleNamespace, flights: list[Flight]) -> None:
    raw, rows = built(flights)
    found = made.live.at(rows, made.live.events(raw, rows, made.spec.data), made.spec.data)
    for number, row in enumerate(flights):
        for place in KEYS:
            for name, expected in slowly(flights, row, place).items():
                value = found[f"{place}_{name}"].iloc[number]
                assert (None if math.isnan(value) else value) == pytest.approx(expected), (number, place, name)


@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(flights=FLIGHTS, seed=st.integers(0, 1000))
def test_a_stream_in_any_order_gives_what_the_whole_table_gives(
    made: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory, flights: list[Flight], seed: int
) -> None:
    """One code for both, and no skew: to the last bit, although the table knows the future and the stream does not."""
    raw, rows = built(flights)
    told = made.live.events(raw, rows, made.spec.data)
    names = told["kind"] + told["number"].astype("str")
    told = told.assign(id=names, key=told["origin"])[[*frames.OWN, *made.live.VALUES]]
    source = random.Random(seed)
    number = source.randrange(len(flights))
    now = rows["asked"].iloc[number]
    # What a source sends by then: each event once or twice, in no order, some of it not known for a while.
    events = [each for each in frames.events(told) if each.known < now + 60 * MINUTE]
    deliveries = [*events, *source.sample(events, len(events) // 2)]
    source.shuffle(deliveries)
    log = Log(tmp_path_factory.mktemp("stream"))
    log.append([Record(each.key, each.encoded()) for each in deliveries])
    memory = made.stream.memory(made.spec)
    memory.take(log.read({}, 1000).records)
    expected = made.live.at(rows.iloc[[number]], told, made.spec.data)
    if not memory.events():
        assert expected.isna().all(axis=None)
        return
    found = made.live.at(rows.iloc[[number]], frames.frame(memory.events(), made.live.VALUES), made.spec.data)
    pd.testing.assert_frame_equal(found, expected, check_exact=True)


def day(made: SimpleNamespace) -> Any:
    """Return three days of flights, their weather and their airports, as they are read."""
    source = random.Random(5)
    flights = pd.DataFrame(
        {
            "year": 2013,
            "month": 3,
            "day": 1 + number // 100,
            "hour": 6 + number % 100 // 7,
            "minute": source.randrange(60),
            "carrier": source.choice(["AA", "B6"]),
            "flight": number % 50,
            "origin": source.choice(["EWR", "JFK"]),
            "dest": source.choice(["LAX", "IAH"]),
            "distance": 1400,
            "dep_delay": float(delay := source.randrange(-10, 120)),
            "arr_delay": float(delay + source.randrange(-30, 30)),
            "sched_arr_time": 2300,
        }
        for number in range(300)
    )
    local = pd.to_datetime(flights[["year", "month", "day", "hour"]])
    flights["time_hour"] = local.dt.tz_localize("America/New_York").dt.tz_convert("UTC")
    hours = pd.date_range("2013-02-28", "2013-03-05", freq="h", tz="UTC")
    columns = made.spec.data.features["weather"].columns
    weather = pd.concat([pd.DataFrame({"origin": o, "time_hour": hours}) for o in ("EWR", "JFK")])
    airports = pd.DataFrame({"faa": ["LAX", "IAH"], "tzone": ["America/Los_Angeles", "America/Chicago"]})
    return made.data.Raw(flights, weather.assign(**dict.fromkeys(columns, 1.0)), airports)


def test_nothing_of_a_row_tells_its_own_outcome_or_what_became_known_later(made: SimpleNamespace) -> None:
    raw = day(made)
    rows = made.features.build(raw, made.spec)
    names = table.feature_names(rows, made.spec)
    assert len(names) == 37
    assert (
        rows.loc[200:, [name for name in names if name.startswith(("airport", "carrier_7d", "route"))]]
        .notna()
        .any()
        .all()
    )
    availability.refuse_future(rows, rows["asked"], made.spec.data, names)
    number = 250
    asked = rows["asked"].iloc[number]
    later = (rows["scheduled_departure"] + pd.to_timedelta(raw.flights["dep_delay"] + TOLD, unit="min")) >= asked
    changed = raw.flights.copy()
    changed.loc[later, ["dep_delay", "arr_delay"]] = [777.0, 777.0]
    assert later[number]
    again = made.features.build(made.data.Raw(changed, raw.weather, raw.airports), made.spec)
    pd.testing.assert_series_equal(again.loc[number, names], rows.loc[number, names])


@pytest.mark.parametrize("group", ["rates", "airport", "airline", "destination"])
def test_a_join_by_the_departure_and_not_by_what_was_known_is_refused(made: SimpleNamespace, group: str) -> None:
    raw = day(made)
    rows = made.features.build(raw, made.spec)
    # As of the actual departure: its own delay, and what came in in the two hours and more before it, is in.
    late = rows.assign(asked=rows["scheduled_departure"] + pd.to_timedelta(raw.flights["dep_delay"] + 10, unit="min"))
    planted = made.live.at(late, made.live.events(raw.flights, rows, made.spec.data), made.spec.data)
    planted["rates_observed"] = late["scheduled_arrival"]
    leaking = rows.assign(**{name: planted[name] for name in planted if name.startswith(group)})
    with pytest.raises(RefusedError, match=rf"features\.{group}: \d+ rows use what was not known yet"):
        availability.refuse_future(leaking, rows["asked"], made.spec.data, table.feature_names(leaking, made.spec))


def test_events_are_published_once_each_and_read_back_as_the_same_table(made: SimpleNamespace, tmp_path: Path) -> None:
    told = made.stream.history(day(made), made.spec)
    assert told["id"].is_unique
    log = Log(tmp_path)
    assert made.stream.publish(told, log) == len(told) == 900
    read = [Event.decode(data) for data in log.read({}, 10_000).records]
    back = frames.frame(read, made.live.VALUES)
    assert back["known"].is_monotonic_increasing
    wanted = told.sort_values(["known", "id"], ignore_index=True)
    pd.testing.assert_frame_equal(back[wanted.columns], wanted, check_dtype=False)


def test_what_is_forgotten_is_refused_and_not_guessed(made: SimpleNamespace) -> None:
    memory: Memory = made.stream.memory(made.spec)
    assert made.stream.described(memory, made.spec)["places"] == {}
    events = list(frames.events(made.stream.history(day(made), made.spec)))
    memory.take(each.encoded() for each in events)
    told = made.stream.described(memory, made.spec)
    assert {name: len(rows) for name, rows in told["places"].items()} == {"airport": 2, "airline": 4, "destination": 2}
    assert json.loads(json.dumps(told)) == told
    with pytest.raises(UsageError, match="is forgotten"):
        made.stream.described(memory, made.spec, pd.Timestamp(str(memory.newest)) - pd.Timedelta(hours=17))


def test_a_memory_shorter_than_the_features_is_refused(made: SimpleNamespace) -> None:
    with pytest.raises(UsageError, match="less than twice"):
        made.stream.memory(spec.override(made.spec, {"live.horizon_hours": 7}))


def test_the_rendered_project_keeps_its_own_style(made: SimpleNamespace) -> None:
    for tool in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *tool, "src/rendered_live"],
            cwd=made.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_feature_added_as_the_how_to_says_is_learned_from(
    made: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (Path(__file__).parents[2] / "docs/how-to/new-feature.md").read_text()
    (code,) = re.findall(r"```python\nRATES = (.*?)```", page, re.DOTALL)
    (columns,) = re.findall(r"```yaml\ncolumns: (\[.*?\])\n```", page, re.DOTALL)
    monkeypatch.setattr(made.features, "RATES", ast.literal_eval(code.strip()))
    wider = spec.override(
        made.spec, {"data.features.rates.columns": [name.strip() for name in columns[1:-1].split(",")]}
    )
    raw = day(made)
    rows = made.features.build(raw, wider)
    names = table.feature_names(rows, wider)
    assert {"airport_7d", "airport_30d"} <= set(names)
    availability.refuse_future(rows, rows["asked"], wider.data, names)
    # The first labels are known a day after the first flights have arrived.
    assert rows.loc[250:, "airport_7d"].between(0, 1).all()


def test_the_shown_commands_are_the_project_s(made: SimpleNamespace) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "rendered_live", "follow"],
        cwd=made.folder,
        env={**os.environ, "PYTHONPATH": "src"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"at": None, "counts": {}, "places": {}}
    parser = argparse.ArgumentParser()
    made.stream.add_publish(parser)
    assert vars(parser.parse_args(["--from", "2013-05-01", "--to", "2013-05-03"]))["end"] == "2013-05-03"
    for add, words, wanted in (
        (made.stream.add_follow, ["--push", "--every", "30"], {"push": True, "every": 30.0, "at": ""}),
        (made.stream.add_materialize, ["--at", "2013-07-01T12:00"], {"at": "2013-07-01T12:00"}),
    ):
        add(parser := argparse.ArgumentParser())
        assert vars(parser.parse_args(words)).items() >= wanted.items()
