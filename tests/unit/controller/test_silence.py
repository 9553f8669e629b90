from __future__ import annotations

from mlplat.controller.actuator import Condition
from mlplat.controller.silence import FIRST_SECONDS, HANG_LOOKS, HANG_SECONDS, Silence

KEY = ("flights/late", "r1")
READY = Condition("ready", pid=7)
MUTE = Condition("starting", pid=7, silent=True)


def looks(silence: Silence, condition: Condition, seconds: list[float]) -> list[bool]:
    return [silence.lasts(KEY, condition, now) is not None for now in seconds]


def test_a_process_that_answered_hangs_after_its_time_and_several_looks() -> None:
    silence = Silence()
    silence.lasts(KEY, READY, 100.0)
    assert looks(silence, MUTE, [102.0, 104.0, 100.0 + HANG_SECONDS]) == [False, False, True]
    assert silence.is_suspected(KEY)


def test_a_suspended_computer_is_no_reason_to_restart_anything() -> None:
    silence = Silence()
    silence.lasts(KEY, READY, 100.0)
    assert looks(silence, MUTE, [90_000.0] * (HANG_LOOKS - 1)) == [False] * (HANG_LOOKS - 1)
    silence.lasts(KEY, READY, 90_001.0)
    assert looks(silence, MUTE, [90_002.0]) == [False]


def test_a_process_that_was_never_heard_of_gets_the_time_to_load() -> None:
    silence = Silence()
    assert looks(silence, MUTE, [0.0, 30.0, 60.0, FIRST_SECONDS - 1]) == [False] * 4
    assert looks(silence, MUTE, [FIRST_SECONDS]) == [True]


def test_another_process_begins_anew() -> None:
    silence = Silence()
    silence.lasts(KEY, READY, 0.0)
    fresh = Condition("starting", pid=8, silent=True)
    assert looks(silence, fresh, [10.0, 20.0, 30.0, 40.0]) == [False] * 4


def test_an_old_process_was_heard_of_by_the_controller_before() -> None:
    silence = Silence()
    old = Condition("starting", pid=7, silent=True, age=FIRST_SECONDS + 1)
    assert looks(silence, old, [0.0, 2.0, HANG_SECONDS]) == [False, False, True]


def test_one_that_answers_that_it_is_not_ready_does_not_hang() -> None:
    silence = Silence()
    silence.lasts(KEY, READY, 0.0)
    assert looks(silence, Condition("starting", pid=7), [10.0, 20.0, 30.0, 40.0]) == [False] * 4
