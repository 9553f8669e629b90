from __future__ import annotations

import pytest

from mlplat.watchdog.decision import (
    BUSY_FAILURES,
    FIRST_PAUSE,
    IDLE_FAILURES,
    LONGEST_PAUSE,
    Pauses,
    Sight,
    Watch,
    look,
)

START = 60.0
READY = Watch(pid=7, since=0.0, was_ready=True)
HANGS = Sight(7, ready=False)


def looks(watch: Watch, sight: Sight, times: int, *, first: float = 1000.0, every: float = 2.0) -> list[str | None]:
    """Look so many times; return what was said each time."""
    said = []
    for number in range(times):
        watch, why = look(watch, sight, first + number * every, START)
        said.append(why)
    return said


def test_a_service_that_stops_answering_is_restarted_after_some_looks() -> None:
    said = looks(READY, HANGS, IDLE_FAILURES)
    assert said == [None] * (IDLE_FAILURES - 1) + [f"did not answer {IDLE_FAILURES} times in a row"]


def test_one_answer_in_between_forgives_all() -> None:
    watch = READY
    for sight in [HANGS, HANGS, Sight(7, ready=True), HANGS, HANGS]:
        watch, why = look(watch, sight, 1000.0, START)
        assert why is None


def test_a_process_that_works_gets_more_patience() -> None:
    busy = Sight(7, ready=False, worked=True)
    said = looks(READY, busy, BUSY_FAILURES)
    assert said[:-1] == [None] * (BUSY_FAILURES - 1)
    assert said[-1] is not None


def test_a_slow_start_is_no_hang() -> None:
    fresh = Watch(pid=7, since=1000.0)
    assert looks(fresh, HANGS, 29) == [None] * 29
    said = looks(fresh, HANGS, IDLE_FAILURES, first=1000.0 + START)
    assert said[-1] is not None
    assert "was not ready 6" in said[-1]


def test_a_new_process_is_given_a_new_start() -> None:
    watch = READY
    for pid in range(10, 20):
        watch, why = look(watch, Sight(pid, ready=False), 1000.0, START)
        assert why is None


@pytest.mark.parametrize(
    "sight", [Sight(7, ready=False, traced=True), Sight(7, ready=False, late=True), Sight(0, ready=False)]
)
def test_a_debugged_one_a_late_look_and_none_at_all_never_count(sight: Sight) -> None:
    assert looks(READY, sight, 100) == [None] * 100


def test_a_computer_that_slept_restarts_nothing() -> None:
    watch = READY
    for now in (1000.0, 50_000.0, 50_002.0):
        watch, why = look(watch, Sight(7, ready=False, late=now == 50_000.0), now, START)
        assert why is None


def test_restarts_grow_apart_up_to_a_limit() -> None:
    pauses, now, gaps = Pauses(), 0.0, []
    for _ in range(8):
        assert pauses.allow(now)
        pauses = pauses.restarted(now)
        assert not pauses.allow(now + pauses.seconds - 1)
        gaps.append(pauses.seconds)
        now += pauses.seconds
    assert gaps[:3] == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE]
    assert gaps[-1] == LONGEST_PAUSE


def test_a_restart_of_long_ago_is_forgotten() -> None:
    pauses = Pauses(count=6, last=0.0).restarted(10_000.0)
    assert pauses == Pauses(1, 10_000.0)
