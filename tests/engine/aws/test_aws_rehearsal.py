"""`scripts/e2e-aws` goes on where it stopped, spends no more than it may, and always ends what it made."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from awsrehearsal import END, HOURS_A_MONTH, USE, Command, Rehearsal, StoppedError, runner
from commands import ROOT

MONTH = 2.0 * HOURS_A_MONTH
"""Two USD an hour."""


class World:
    """What was typed, how long each command takes, and which one fails."""

    def __init__(self) -> None:
        self.typed: list[str] = []
        self.bounds: list[float] = []
        self.said: list[str] = []
        self.time, self.takes = 1_000_000.0, 60.0
        self.fails: set[str] = set()

    def run(self, command: Command, seconds: float) -> int:
        self.typed.append(next(word for word in command.argv[1:] if not word.startswith("-")))
        self.bounds.append(seconds)
        self.time += min(self.takes, seconds)
        return 1 if self.typed[-1] in self.fails or self.takes > seconds else 0

    def rehearsal(self, folder: Path, *, hours: float = 4, cap: float = 25, emulated: bool = False) -> Rehearsal:
        return Rehearsal(
            "dev", folder, ROOT, hours, cap, self.run, self.said.append, emulated=emulated, now=lambda: self.time
        )


@pytest.fixture
def world() -> World:
    return World()


def test_a_life_is_made_used_ended_and_searched(world: World, tmp_path: Path) -> None:
    assert world.rehearsal(tmp_path).play(MONTH) == 0
    order = list(dict.fromkeys(world.typed))
    assert order == ["doctor", "up", "new", "run", "deploy", "predict", "down", "aws"]
    assert list(tmp_path.iterdir()) == [], "the next life begins anew"


def test_what_is_done_is_not_done_again(world: World, tmp_path: Path) -> None:
    world.fails = {"deploy"}
    assert world.rehearsal(tmp_path).play(MONTH) == 1
    assert "down" not in world.typed
    assert "2.00 USD an hour" in world.said[-1]
    world.typed, world.fails = [], set()
    assert world.rehearsal(tmp_path).play(MONTH) == 0
    assert world.typed[0] == "deploy"
    assert "up" not in world.typed


def test_nothing_begins_that_could_cost_more_than_the_cap(world: World, tmp_path: Path) -> None:
    assert world.rehearsal(tmp_path / "just", hours=4, cap=8).play(MONTH) == 0
    world.typed = []
    with pytest.raises(StoppedError, match=r"8\.00 USD in 4 hours, and the cap is 7\.9"):
        world.rehearsal(tmp_path, hours=4, cap=7.9).play(MONTH)
    assert world.typed == []


def test_when_the_time_is_over_it_is_taken_down_without_a_bound(world: World, tmp_path: Path) -> None:
    world.takes = 3600
    assert world.rehearsal(tmp_path, hours=2.5).play(MONTH) == 1
    assert world.typed[-2:] == ["down", "aws"]
    assert "predict" not in world.typed
    assert world.bounds[:3] == [9000, 5400, 1800], "no command may take longer than what is left"
    assert world.bounds[-2:] == [float("inf")] * 2
    assert not (tmp_path / "done.json").exists()


def test_an_end_that_fails_is_gone_on_with(world: World, tmp_path: Path) -> None:
    world.fails = {"aws"}
    assert world.rehearsal(tmp_path).play(MONTH) == 1
    world.typed, world.fails = [], set()
    rehearsal = world.rehearsal(tmp_path)
    assert rehearsal.end(rehearsal.record()) == 0
    assert world.typed == ["aws"]


def test_another_stacks_life_is_not_mixed_with_it(world: World, tmp_path: Path) -> None:
    world.fails = {"deploy"}
    world.rehearsal(tmp_path).play(MONTH)
    other = world.rehearsal(tmp_path)
    other.stack = "prod"
    with pytest.raises(StoppedError, match="`dev` is not at its end"):
        other.play(MONTH)


def test_an_emulated_account_does_all_but_what_needs_a_cluster(world: World, tmp_path: Path) -> None:
    assert world.rehearsal(tmp_path, emulated=True).play(MONTH) == 0
    assert list(dict.fromkeys(world.typed)) == ["up", "down", "aws"]


def test_every_step_types_something(world: World, tmp_path: Path) -> None:
    rehearsal = world.rehearsal(tmp_path)
    assert all(list(rehearsal.commands(step)) for step in (*USE, *END))


@pytest.mark.parametrize(("changes", "code"), [([], 0), (["update"], 1)])
def test_a_second_up_that_would_change_something_is_a_fault(changes: list[str], code: int, tmp_path: Path) -> None:
    printing = (sys.executable, "-c", f"import json; print(json.dumps({{'changes': {changes}}}))")
    assert runner(os.environ)(Command(printing, tmp_path, idle=True), 60) == code


def test_a_command_is_ended_with_all_that_it_started_when_its_time_is_over(tmp_path: Path) -> None:
    waiting = (sys.executable, "-c", "import threading; threading.Event().wait()")
    assert runner(os.environ)(Command(waiting, tmp_path), 0.2) != 0
