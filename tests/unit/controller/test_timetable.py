from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlplat.controller.store import SqliteStore
from mlplat.controller.timetable import Entry, Timetable, entries
from mlplat.controller.unattended import Published, Result, published_file
from mlplat.errors import RefusedError
from mlplat.spec.pipelines import ScheduleSpec

NOW = datetime(2013, 7, 1, tzinfo=UTC)
KEY = ("flights", "monitor")


class Killed(BaseException):
    """The controller's process ended here."""


@dataclass
class Runs:
    """Runs that end when a test says so."""

    begun: dict[str, str] = field(default_factory=dict)
    """Why, by name."""
    results: dict[str, Result] = field(default_factory=dict)
    refuses: str = ""
    killed: bool = False

    def begin(self, project: str, flow: str, run: str, *, key: str, reason: str) -> str:
        if self.refuses:
            raise RefusedError(self.refuses)
        assert run == f"{project}.{flow}.{key}"
        self.begun[run] = reason
        if self.killed:
            raise Killed
        return "log"

    def outcome(self, run: str) -> Result | None:
        return self.results.get(run)

    def prune(self, begin: str, keep: int) -> None:
        assert begin == "flights.monitor."

    def end(self, status: str = "done", ended: datetime | None = None) -> None:
        for run in self.begun.keys() - self.results.keys():
            self.results[run] = Result(status=status, message="it is over", ended=ended)


@dataclass
class Platform:
    """A controller's schedules over its restarts."""

    state: Path
    store: SqliteStore
    runs: Runs = field(default_factory=Runs)

    def publish(self, *cron: str, timezone: str = "UTC") -> None:
        path = published_file(self.state, "flights")
        path.parent.mkdir(parents=True, exist_ok=True)
        schedules = {"monitor": ScheduleSpec(cron=list(cron), timezone=timezone)} if cron else {}
        made = Published(
            id="1", folder="", python="", paths=(), commit="", flows=("monitor",), schedules=schedules,
            platform="mlplat", stack="local",
        )  # fmt: skip
        path.write_text(made.model_dump_json())

    def started(self) -> Timetable:
        return Timetable(self.store, self.runs, self.state)

    @property
    def entry(self) -> Entry:
        (found,) = entries(self.store)
        return found


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    with SqliteStore(tmp_path / "endpoints.db") as store:
        made = Platform(tmp_path, store)
        made.publish("30 4 * * *")
        yield made


def test_a_time_has_one_run_however_often_it_is_looked_at(platform: Platform) -> None:
    timetable = platform.started()
    for minutes in (0, 269, 270, 271, 300):
        timetable.attend(NOW + timedelta(minutes=minutes))
        timetable.attend(NOW + timedelta(minutes=minutes))
    assert list(platform.runs.begun.values()) == ["schedule, 2013-07-01 04:30 UTC"]
    platform.runs.end()
    for minutes in (301, 302, 1000):
        timetable.attend(NOW + timedelta(minutes=minutes))
    assert len(platform.runs.begun) == 1
    assert (platform.entry.status, timetable.failing) == ("done", {})


def test_what_came_before_it_was_published_is_nobodys(platform: Platform) -> None:
    platform.started().attend(NOW + timedelta(hours=5))
    assert platform.runs.begun == {}


@pytest.mark.parametrize("moment", ["taken", "begun"])
def test_a_controller_that_was_killed_goes_on_with_the_same_run(platform: Platform, moment: str) -> None:
    timetable = platform.started()
    timetable.attend(NOW)
    due = NOW + timedelta(hours=5)
    if moment == "taken":
        timetable.attend(due)  # written down, and its run is for the next pass
    else:
        timetable.attend(due)
        platform.runs.killed = True
        with pytest.raises(Killed):
            timetable.attend(due)
        platform.runs.killed = False
    again = platform.started()
    for hours in (0, 1, 30):
        again.attend(due + timedelta(hours=hours))
    assert len(platform.runs.begun) == 1
    assert platform.entry.run in platform.runs.begun


def test_after_a_jump_of_the_clock_the_newest_time_is_run_and_the_others_are_told(
    platform: Platform, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    timetable = platform.started()
    timetable.attend(NOW)
    for _ in range(3):
        timetable.attend(NOW + timedelta(days=4))
    assert list(platform.runs.begun.values()) == ["schedule, 2013-07-04 04:30 UTC"]
    assert platform.entry.passed == 3
    assert "3 times before that passed without a run" in caplog.text


def test_after_a_stop_one_missed_time_is_run_unless_it_is_too_old(platform: Platform) -> None:
    platform.publish("0 0 1 * *")
    platform.started().attend(NOW)
    late = platform.started()
    for _ in range(3):
        late.attend(datetime(2013, 8, 20, tzinfo=UTC))
    assert platform.runs.begun == {}
    soon = platform.started()
    for _ in range(3):
        soon.attend(datetime(2013, 9, 3, tzinfo=UTC))
    assert list(platform.runs.begun.values()) == ["schedule, 2013-09-01 00:00 UTC"]


def test_times_that_come_while_a_run_goes_on_pass_and_are_told(platform: Platform) -> None:
    platform.publish("0 * * * *")
    timetable = platform.started()
    for minutes in (0, 60, 61, 125, 200):
        timetable.attend(NOW + timedelta(minutes=minutes))
    assert len(platform.runs.begun) == 1
    platform.runs.end(ended=NOW + timedelta(minutes=190))
    timetable.attend(NOW + timedelta(minutes=201))
    assert platform.entry.message == "it is over; 2 times passed while it went on"
    for minutes in (239, 240, 241):
        timetable.attend(NOW + timedelta(minutes=minutes))
    assert list(platform.runs.begun.values()) == ["schedule, 2013-07-01 01:00 UTC", "schedule, 2013-07-01 04:00 UTC"]


def test_what_came_between_the_end_of_a_run_and_the_look_at_it_is_made_up_for(platform: Platform) -> None:
    timetable = platform.started()
    for hours in (0, 5, 5):
        timetable.attend(NOW + timedelta(hours=hours))
    platform.runs.end(ended=NOW + timedelta(hours=6))
    again = platform.started()
    for _ in range(3):
        again.attend(NOW + timedelta(days=2, hours=5))
    assert list(platform.runs.begun.values())[1:] == ["schedule, 2013-07-03 04:30 UTC"]


def test_another_schedule_counts_from_when_it_was_published(platform: Platform) -> None:
    timetable = platform.started()
    timetable.attend(NOW)
    platform.publish("0 3 * * *")
    timetable.attend(NOW + timedelta(hours=4))
    timetable.attend(NOW + timedelta(hours=6))
    assert platform.runs.begun == {}
    platform.publish()
    timetable.attend(NOW + timedelta(hours=7))
    assert entries(platform.store) == []


def test_a_clock_that_was_set_back_begins_anew(platform: Platform) -> None:
    timetable = platform.started()
    for hours in (0, 5, 5):
        timetable.attend(NOW + timedelta(hours=hours))
    platform.runs.end(ended=NOW + timedelta(hours=5))
    timetable.attend(NOW + timedelta(hours=5))
    back = NOW - timedelta(days=30)
    for hours in (0, 5, 5):
        timetable.attend(back + timedelta(hours=hours))
    assert list(platform.runs.begun.values()) == ["schedule, 2013-07-01 04:30 UTC", "schedule, 2013-06-01 04:30 UTC"]


def test_a_clock_that_trembles_runs_nothing_twice(platform: Platform) -> None:
    timetable = platform.started()
    at = NOW + timedelta(hours=4.5)
    timetable.attend(NOW)
    for seconds in (0, 1, -30, 0, 1):
        timetable.attend(at + timedelta(seconds=seconds))
        platform.runs.end(ended=at + timedelta(seconds=1))
    timetable.attend(at + timedelta(hours=1))
    assert len(platform.runs.begun) == 1


def test_a_failure_is_told_until_a_run_goes_well(platform: Platform) -> None:
    timetable = platform.started()
    platform.runs.refuses = "the project has published no flow `monitor`"
    for hours in (0, 5, 5, 6):
        timetable.attend(NOW + timedelta(hours=hours))
    assert timetable.failing == {KEY: platform.runs.refuses}
    assert platform.started().failing == timetable.failing
    platform.runs.refuses = ""
    for hours in (29, 29):
        timetable.attend(NOW + timedelta(hours=hours))
    platform.runs.end("refused")
    timetable.attend(NOW + timedelta(hours=30))
    assert timetable.failing == {}


def test_what_cannot_be_read_rests_and_is_told(platform: Platform, caplog: pytest.LogCaptureFixture) -> None:
    timetable = platform.started()
    timetable.attend(NOW)
    path = published_file(platform.state, "flights")
    text = path.read_text()
    path.write_text(json.dumps({}))
    for hours in (5, 6):
        timetable.attend(NOW + timedelta(hours=hours))
    assert (platform.runs.begun, list(timetable.failing)) == ({}, [KEY])
    assert sum("its schedules rest" in record.message for record in caplog.records) == 1
    path.write_text(text)
    for _ in range(2):
        timetable.attend(NOW + timedelta(hours=7))
    assert len(platform.runs.begun) == 1
    assert timetable.failing == {}


@settings(max_examples=25, deadline=None)
@given(steps=st.lists(st.tuples(st.integers(0, 40), st.booleans(), st.booleans()), max_size=25))
def test_whatever_happens_no_time_has_two_runs(
    steps: list[tuple[int, bool, bool]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("platform")
    with SqliteStore(folder / "endpoints.db") as store:
        platform = Platform(folder, store)
        platform.publish("30 4,16 * * *")
        timetable, now = platform.started(), NOW
        for hours, stops, ends in steps:
            now += timedelta(hours=hours)
            timetable = platform.started() if stops else timetable
            timetable.attend(now)
            timetable.attend(now)
            if ends:
                platform.runs.end(ended=now)
        reasons = list(platform.runs.begun.values())
        assert len(set(reasons)) == len(reasons)
        assert reasons == sorted(reasons)
