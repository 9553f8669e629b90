"""Where a prediction runs follows from how long such requests took."""

from __future__ import annotations

import asyncio
import threading

import pytest

from mlplat.serving.lane import SHORT_SECONDS, Busy, Lane


class Watch:
    """A clock that a test moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr("mlplat.serving.lane.time.perf_counter", lambda: self.now)

    def spend(self, seconds: float) -> str:
        self.now += seconds
        return threading.current_thread().name


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    return Watch(monkeypatch)


def where(lane: Lane, watch: Watch, size: int, seconds: float) -> str:
    name: str = asyncio.run(lane.run(size, watch.spend, seconds))
    return "loop" if name == threading.current_thread().name else "thread"


def test_a_size_not_seen_yet_runs_beside_the_loop(watch: Watch) -> None:
    lane = Lane(8)
    assert where(lane, watch, 1000, 0.0001) == "thread"
    assert where(lane, watch, 1001, 0.0001) == "loop"
    assert where(lane, watch, 100_000, 0.0001) == "thread"


def test_a_long_one_stays_beside_the_loop(watch: Watch) -> None:
    lane = Lane(8)
    lane.measured(1000, watch.spend, 0.05)
    assert [where(lane, watch, 1000, 0.05) for _ in range(3)] == ["thread"] * 3


def test_a_model_that_becomes_slow_leaves_the_loop_and_may_come_back(watch: Watch) -> None:
    lane = Lane(8)
    lane.measured(1000, watch.spend, SHORT_SECONDS / 4)
    assert where(lane, watch, 1000, 1.0) == "loop"
    assert where(lane, watch, 1000, SHORT_SECONDS / 4) == "thread"
    for _ in range(40):
        where(lane, watch, 1000, SHORT_SECONDS / 4)
    assert where(lane, watch, 1000, SHORT_SECONDS / 4) == "loop"


def test_what_fails_teaches_nothing(watch: Watch) -> None:
    lane = Lane(8)
    with pytest.raises(ZeroDivisionError):
        lane.measured(1000, lambda: 1 / 0)
    assert not lane.is_short(1000)


def test_places_are_bounded_and_given_back() -> None:
    lane = Lane(2)
    with lane.admit():
        with lane.admit(), pytest.raises(Busy), lane.admit():
            pass
        assert lane.admitted == 1
    assert lane.admitted == 0
