"""The clock of durations, by stores that are opened while somebody sets the computer's clock."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mlplat.controller import store as store_module
from mlplat.controller import wishes
from mlplat.controller.document import Event, Revision, Status
from mlplat.controller.store import SqliteStore
from mlplat.labels import Name
from mlplat.spec.rollout import RolloutPolicy

LATE = Name("flights", "late")
HOUR = 3600.0


@dataclass
class Computer:
    """A computer whose clock, start and time a test sets."""

    wall: float = 1_800_000_000.0
    uptime: float = 500.0
    boot: str = "one"

    def passes(self, seconds: float) -> None:
        self.wall += seconds
        self.uptime += seconds

    @contextmanager
    def store(self, path: Path) -> Iterator[SqliteStore]:
        with pytest.MonkeyPatch.context() as patch, SqliteStoreUnder(self, patch, path) as store:
            yield store


class SqliteStoreUnder:
    """A store on that computer."""

    def __init__(self, computer: Computer, patch: pytest.MonkeyPatch, path: Path) -> None:
        patch.setattr(store_module, "uptime", lambda: computer.uptime)
        patch.setattr(store_module, "boot", lambda: computer.boot)
        patch.setattr(time, "time", lambda: computer.wall)
        self.store = SqliteStore(path)

    def __enter__(self) -> SqliteStore:
        return self.store

    def __exit__(self, *_: object) -> None:
        self.store.close()


@pytest.mark.parametrize("jump", [-5 * HOUR, 5 * HOUR])
def test_setting_the_clock_moves_no_duration(tmp_path: Path, jump: float) -> None:
    computer = Computer()
    with computer.store(tmp_path / "s.db") as store:
        began = store.seconds()
        computer.passes(10)
        computer.wall += jump
        assert store.seconds() == pytest.approx(began + 10)
    computer.passes(10)  # while no controller runs
    with computer.store(tmp_path / "s.db") as store:
        assert store.seconds() == pytest.approx(began + 20)


def test_a_restart_of_the_computer_counts_the_time_that_it_was_off(tmp_path: Path) -> None:
    computer = Computer()
    with computer.store(tmp_path / "s.db") as store:
        began = store.seconds()
    computer.boot, computer.uptime = "two", 30.0
    computer.wall += 2 * HOUR
    with computer.store(tmp_path / "s.db") as store:
        assert store.seconds() == pytest.approx(began + 2 * HOUR)


def test_time_never_goes_back_behind_what_was_written(tmp_path: Path) -> None:
    computer = Computer()
    with computer.store(tmp_path / "s.db") as store:
        spec = wishes.deploy(LATE, LATE, "1", RolloutPolicy(), by="ada")
        event = Event(time=datetime(2013, 7, 1, tzinfo=UTC), generation=0, kind="wished", text="a wish")
        store.wish(LATE, lambda _: spec, event)
        since = store.seconds()
        revision = Revision(
            number=1, model="flights/late", version="1", digest="sha256:1", source="", port=1, state="ready",
            since=since, created=event.time,
        )  # fmt: skip
        store.report(LATE, 1, Status(revisions=(revision,)))
    computer.boot, computer.uptime = "two", 30.0
    computer.wall -= 24 * HOUR
    with computer.store(tmp_path / "s.db") as store:
        assert store.seconds() >= since
