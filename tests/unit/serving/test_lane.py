"""Where a prediction runs, with whom, and whether it is taken at all, follows from how long such requests took."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest

from mlplat.serving.lane import MOST_TOGETHER, SHORT_SECONDS, SLICE_SECONDS, Busy, Lane

DEADLINE = 20.0


@dataclass
class Job:
    """A task that takes `seconds` of a test's clock."""

    kind: int = 10
    seconds: float = 0.0001
    wanted: bool = True
    works: bool = True
    thread: str = ""
    together: int = 0
    finished: asyncio.Event = field(default_factory=asyncio.Event)

    def is_wanted(self) -> bool:
        return self.wanted

    def succeeded(self) -> bool:
        return self.works


class Scene:
    """A lane and the clock that it goes by."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.hold: threading.Event | None = None
        self.begun = threading.Event()
        self.order: list[Job] = []
        monkeypatch.setattr("mlplat.serving.lane.time.perf_counter", lambda: self.now)

    def lane(self, *, waiting: int = 1000, seconds: float = 1.0) -> Lane[Job]:
        return Lane(self.compute, self.finish, waiting=waiting, seconds=seconds)

    def compute(self, jobs: Sequence[Job]) -> None:
        self.begun.set()
        if self.hold is not None:
            assert self.hold.wait(DEADLINE)
        for job in jobs:
            self.now += job.seconds
            job.thread, job.together = threading.current_thread().name, len(jobs)

    def finish(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            self.order.append(job)
            job.finished.set()


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    return Scene(monkeypatch)


async def done(*jobs: Job) -> None:
    async with asyncio.timeout(DEADLINE):
        for job in jobs:
            await job.finished.wait()


def one(lane: Lane[Job], seconds: float, kind: int = 10) -> str:
    """Run one job and return where it ran."""

    async def run() -> str:
        job = Job(kind, seconds)
        lane.submit(job)
        await done(job)
        return "thread" if job.thread == "predict" else "loop"

    return asyncio.run(run())


def test_a_size_not_seen_yet_runs_beside_the_loop(scene: Scene) -> None:
    lane = scene.lane()
    assert one(lane, 0.0001) == "thread"
    assert one(lane, 0.0001) == "loop"
    assert one(lane, 0.0001, kind=17) == "thread"


def test_a_long_one_stays_beside_the_loop(scene: Scene) -> None:
    lane = scene.lane()
    lane.measured([Job(seconds=0.05)])
    assert [one(lane, 0.05) for _ in range(3)] == ["thread"] * 3


def test_one_pause_does_not_send_a_quick_model_to_the_thread(scene: Scene) -> None:
    lane = scene.lane()
    lane.measured([Job(seconds=SHORT_SECONDS / 10)])
    assert one(lane, 1.0) == "loop"
    assert one(lane, SHORT_SECONDS / 10) == "loop"


def test_a_model_that_becomes_slow_leaves_the_loop_and_comes_back(scene: Scene) -> None:
    lane = scene.lane()
    lane.measured([Job(seconds=SHORT_SECONDS / 4)])
    places = [one(lane, 1.0) for _ in range(4)]
    assert places[0] == "loop"
    assert places[-1] == "thread"
    for _ in range(20):
        one(lane, SHORT_SECONDS / 4)
    assert one(lane, SHORT_SECONDS / 4) == "loop"


def test_what_fails_teaches_nothing(scene: Scene) -> None:
    lane = scene.lane()
    lane.measured([Job(works=False)])
    assert not lane.is_short(10)
    assert lane.expected(10) == 0


def test_what_waits_is_computed_together_as_far_as_it_fits_into_a_slice(scene: Scene) -> None:
    lane = scene.lane()
    lane.measured([Job(seconds=SLICE_SECONDS / 10)])

    async def run() -> list[Job]:
        jobs = [Job(seconds=SLICE_SECONDS / 10) for _ in range(25)]
        for job in jobs:
            lane.submit(job)
        await done(*jobs)
        return jobs

    jobs = asyncio.run(run())
    assert scene.order == jobs
    assert {job.thread for job in jobs} == {threading.current_thread().name}
    assert 5 <= jobs[0].together <= 10
    assert max(job.together for job in jobs) <= 10


def test_no_more_than_a_bounded_number_is_computed_together(scene: Scene) -> None:
    lane = scene.lane()
    lane.measured([Job(seconds=1e-9)])

    async def run() -> list[Job]:
        jobs = [Job(seconds=1e-9) for _ in range(3 * MOST_TOGETHER)]
        for job in jobs:
            lane.submit(job)
        await done(*jobs)
        return jobs

    assert max(job.together for job in asyncio.run(run())) == MOST_TOGETHER


def test_other_things_happen_between_two_slices(scene: Scene) -> None:
    lane = scene.lane()
    lane.measured([Job(seconds=SLICE_SECONDS * 0.9)])

    async def run() -> int:
        jobs = [Job(seconds=SLICE_SECONDS * 0.9) for _ in range(20)]
        for job in jobs:
            lane.submit(job)
        turns = 0
        while not jobs[-1].finished.is_set():
            turns += 1
            await asyncio.sleep(0)
        return turns

    assert asyncio.run(run()) >= 10


def test_what_nobody_waits_for_is_not_begun(scene: Scene) -> None:
    lane = scene.lane()
    lane.measured([Job()])

    async def run(job: Job) -> Job:
        lane.submit(job)
        await done(job)
        return job

    assert asyncio.run(run(Job(wanted=False))).together == 0
    assert asyncio.run(run(Job(kind=20, wanted=False))).together == 0
    assert lane.admitted == 0


@pytest.mark.parametrize(("seconds", "admitted"), [(0.3, 3), (0.1, 10), (5.0, 1)])
def test_a_queue_is_as_long_as_what_waits_in_it_takes(scene: Scene, seconds: float, admitted: int) -> None:
    lane = scene.lane(seconds=1.0)
    lane.measured([Job(seconds=seconds)])
    scene.hold = threading.Event()

    async def run() -> Busy:
        taken = [Job(seconds=seconds) for _ in range(admitted)]
        for job in taken:
            lane.submit(job)
        assert lane.admitted == admitted
        with pytest.raises(Busy) as refused:
            lane.submit(Job(seconds=seconds))
        assert scene.hold is not None
        scene.hold.set()
        await done(*taken)
        return refused.value

    assert asyncio.run(run()).seconds == max(1, round(seconds * admitted))
    assert lane.admitted == 0


def test_a_queue_of_short_ones_is_bounded_by_time_as_well(scene: Scene) -> None:
    lane = scene.lane(seconds=0.0105)
    lane.measured([Job(seconds=0.001)])

    async def run() -> int:
        jobs = [Job(seconds=0.001) for _ in range(50)]
        taken = [job for job in jobs if taken_in(lane, job)]
        await done(*taken)
        return len(taken)

    assert asyncio.run(run()) == 10


def taken_in(lane: Lane[Job], job: Job) -> bool:
    try:
        lane.submit(job)
    except Busy:
        return False
    return True


def test_places_are_bounded_and_given_back(scene: Scene) -> None:
    lane = scene.lane(waiting=2)
    lane.measured([Job()])

    async def run() -> None:
        jobs = [Job(), Job()]
        for job in jobs:
            lane.submit(job)
        with pytest.raises(Busy):
            lane.submit(Job())
        await done(*jobs)

    asyncio.run(run())
    assert lane.admitted == 0


def test_a_size_not_seen_yet_is_expected_to_take_what_the_nearest_one_takes(scene: Scene) -> None:
    lane = scene.lane()
    lane.measured([Job(kind=8, seconds=0.1)])
    lane.measured([Job(kind=20, seconds=0.7)])
    wanted: Callable[[int], float] = lane.expected
    assert [wanted(kind) for kind in (7, 9, 19)] == [pytest.approx(0.1), pytest.approx(0.1), pytest.approx(0.7)]
