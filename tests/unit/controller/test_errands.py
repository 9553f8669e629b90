from __future__ import annotations

import threading

import pytest

from commands import until
from mlplat.controller.errands import Errands


def test_a_call_that_waits_for_somebody_keeps_nobody_waiting() -> None:
    errands, go_on = Errands(), threading.Event()
    assert errands.ask(("a", "1"), lambda: go_on.wait(30) and "fetched") is None
    assert errands.ask(("b", "1"), lambda: go_on.wait(30) and "another") is None
    assert not errands.idle
    go_on.set()
    until(lambda: errands.ask(("a", "1"), lambda: "anew") == "fetched")
    until(lambda: errands.ask(("b", "1"), lambda: "anew") == "another")
    assert errands.idle


def test_an_error_is_raised_where_the_result_is_asked_for_and_the_next_call_is_a_new_one() -> None:
    errands = Errands(lambda call: call())

    def fail() -> str:
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"):
        errands.ask(("a",), fail)
    assert errands.ask(("a",), lambda: "done") == "done"


def test_what_was_forgotten_answers_nobody_but_counts_until_it_ends() -> None:
    errands, go_on = Errands(), threading.Event()
    errands.ask(("a", "1"), lambda: go_on.wait(30))
    errands.forget("a")
    assert not errands.idle
    go_on.set()
    until(lambda: errands.idle)
    until(lambda: errands.ask(("a", "1"), lambda: "anew") == "anew")
