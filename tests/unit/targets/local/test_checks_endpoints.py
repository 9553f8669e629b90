from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mlplat.controller import wishes
from mlplat.controller.document import Event, Status
from mlplat.controller.store import SCHEMA_VERSION, SqliteStore
from mlplat.labels import Name
from mlplat.spec.rollout import RolloutPolicy
from mlplat.supervision import Program, Supervisor
from mlplat.targets.local.checks_endpoints import endpoint_faults

LATE = Name("flights", "late")


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Return the state of a platform with one endpoint, of which a process is kept running."""
    folder = tmp_path / "state"
    program = Program("endpoint.flights.late.r1", ("true",), {}, str(folder), str(folder / "logs" / "r1.log"))
    Supervisor(folder).write("endpoint/flights.late", [program])
    with SqliteStore(folder / "endpoints.db") as store:
        spec = wishes.deploy(LATE, LATE, "1", RolloutPolicy(), by="ada")
        event = Event(time=datetime(2013, 7, 1, tzinfo=UTC), generation=0, kind="wished", text="a wish")
        store.wish(LATE, lambda _: spec, event)
    return folder


def execute(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute(statement)
        database.commit()


def test_a_sound_store_has_no_fault(state: Path) -> None:
    assert list(endpoint_faults(state)) == []


def test_a_platform_without_endpoints_has_no_fault(tmp_path: Path) -> None:
    assert list(endpoint_faults(tmp_path)) == []


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (Path.unlink, "is not there, while processes of flights/late are kept running"),
        (lambda path: path.write_bytes(b""), "is empty, while processes of flights/late are kept running"),
        (lambda path: path.write_bytes(b"garbage" * 999), "is no SQLite database"),
        (lambda path: execute(path, f"PRAGMA user_version = {SCHEMA_VERSION + 1}"), "written by a newer mlplat"),
        (lambda path: execute(path, "DELETE FROM endpoints"), "has never heard of flights/late"),
        (lambda path: execute(path, "UPDATE endpoints SET status = '{'"), "its document does not hold"),
    ],
)
def test_each_fault_is_named_with_the_file_and_a_mend(state: Path, damage: Callable[[Path], object], said: str) -> None:
    path = state / "endpoints.db"
    damage(path)
    (fault,) = endpoint_faults(state)
    assert said in fault.said
    assert str(path) in fault.said
    assert fault.mend


def test_what_an_endpoint_waits_for_is_said(state: Path) -> None:
    with SqliteStore(state / "endpoints.db") as store:
        store.report(LATE, 1, Status(trouble="the registry does not answer"))
    (fault,) = endpoint_faults(state)
    assert (fault.what, fault.said) == ("endpoint flights/late", "the registry does not answer")
