from __future__ import annotations

from mlplat.controller.patience import FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS, Patience

KEY = ("fetch", "late")


class Watch:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_what_fails_again_and_again_waits_twice_as_long_each_time_up_to_a_most() -> None:
    watch = Watch()
    patience = Patience(watch)
    waits = []
    for _ in range(9):
        begun = watch.seconds
        patience.failed(KEY)
        while not patience.due(KEY):
            watch.seconds += 0.25
        waits.append(watch.seconds - begun)
    assert waits[:4] == [FIRST_RETRY_SECONDS * 2**each for each in range(4)]
    assert waits[-2:] == [LAST_RETRY_SECONDS] * 2


def test_success_begins_anew() -> None:
    patience = Patience(Watch())
    assert patience.due(KEY)
    patience.failed(KEY, "no disk")
    assert (patience.due(KEY), patience.trouble(KEY)) == (False, "no disk")
    patience.succeeded(KEY)
    assert (patience.due(KEY), patience.trouble(KEY)) == (True, "")


def test_what_keeps_failing_is_told_once_until_it_succeeds() -> None:
    patience = Patience(Watch())
    patience.failed(KEY)
    assert [patience.tells(KEY), patience.tells(KEY)] == [True, False]
    patience.failed(KEY)
    assert not patience.tells(KEY)
    patience.succeeded(KEY)
    assert patience.tells(KEY)


def test_who_is_forgotten_waits_for_nothing_and_others_do() -> None:
    patience = Patience(Watch())
    patience.failed(("ask", "late", "fetching"))
    patience.failed(("ask", "early", "fetching"))
    patience.forget("late")
    assert patience.due(("ask", "late", "fetching"))
    assert not patience.due(("ask", "early", "fetching"))
