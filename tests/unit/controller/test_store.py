from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mlplat.controller import wishes
from mlplat.controller.document import Endpoint, EndpointSpec, Event, Status
from mlplat.controller.store import SCHEMA_VERSION, SqliteStore, SupersededError
from mlplat.errors import StateError, UsageError
from mlplat.labels import Name
from mlplat.spec.rollout import RolloutPolicy

LATE = Name("flights", "late")
NOW = datetime(2013, 7, 1, tzinfo=UTC)


def spec(version: str = "1") -> EndpointSpec:
    return wishes.deploy(LATE, LATE, version, RolloutPolicy(), by="ada")


def event(text: str = "") -> Event:
    return Event(time=NOW, generation=0, kind="wished", text=text)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "endpoints.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    with SqliteStore(path) as opened:
        yield opened


def wish(store: SqliteStore, version: str = "1", name: Name = LATE) -> Endpoint:
    return store.wish(name, lambda _: spec(version), event(f"version {version}"))


def test_a_wish_survives_as_it_was_written(store: SqliteStore) -> None:
    written = wish(store)
    assert store.get(LATE) == written
    assert (written.spec.generation, written.status) == (1, Status())


def test_each_wish_is_a_new_generation_and_keeps_the_status(store: SqliteStore) -> None:
    wish(store)
    store.report(LATE, 1, Status(phase="serving", champion=1, observed_generation=1))
    second = wish(store, "2")
    assert (second.spec.generation, second.status.champion) == (2, 1)


def test_a_report_on_an_old_generation_is_refused_and_changes_nothing(store: SqliteStore) -> None:
    wish(store)
    wish(store, "2")
    with pytest.raises(SupersededError):
        store.report(LATE, 1, Status(phase="serving"), [event("never")])
    found = store.get(LATE)
    assert found is not None
    assert found.status.phase == "resolving"
    assert [item.text for item in store.events(LATE)] == ["version 1", "version 2"]


def test_a_wish_that_is_refused_leaves_no_trace(store: SqliteStore) -> None:
    def refuse(_: Endpoint | None) -> EndpointSpec:
        raise UsageError("no")

    with pytest.raises(UsageError):
        store.wish(LATE, refuse, event())
    assert (store.get(LATE), store.events(LATE)) == (None, [])


def test_events_are_numbered_and_can_be_followed(store: SqliteStore) -> None:
    wish(store)
    first = store.events(LATE)[-1].number
    wish(store, "2")
    assert [item.text for item in store.events(LATE, after=first)] == ["version 2"]


@pytest.mark.parametrize("statement", ["UPDATE events SET event = '{}'", "DELETE FROM events"])
def test_history_cannot_be_changed(store: SqliteStore, path: Path, statement: str) -> None:
    wish(store)
    other = sqlite3.connect(path)
    with pytest.raises(sqlite3.IntegrityError):
        other.execute(statement)
    other.close()


def test_a_removed_endpoint_keeps_its_history_and_its_numbers(store: SqliteStore) -> None:
    wish(store)
    store.report(LATE, 1, Status(last_revision=3))
    store.remove(LATE, 1, event("deleted"))
    assert (store.get(LATE), store.endpoints()) == (None, [])
    assert store.events(LATE)[-1].text == "deleted"
    again = wish(store)
    assert (again.spec.generation, again.status.last_revision) == (2, 3)


def test_somebody_elses_write_is_noticed_and_ones_own_is_not(store: SqliteStore, path: Path) -> None:
    before = store.version()
    wish(store)
    assert store.version() == before
    with SqliteStore(path) as other:
        wish(other, "2")
    assert store.version() != before


def test_endpoints_of_two_projects_lie_side_by_side(store: SqliteStore) -> None:
    other = Name("churn", "late")
    wish(store)
    wish(store, name=other)
    assert [item.spec.name for item in store.endpoints()] == ["churn/late", "flights/late"]


def test_a_newer_schema_is_refused_and_left_alone(path: Path) -> None:
    SqliteStore(path).close()
    other = sqlite3.connect(path)
    other.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    other.close()
    with pytest.raises(StateError, match="newer mlplat") as caught:
        SqliteStore(path)
    assert str(path) in caught.value.message


def test_a_damaged_file_is_named_with_its_mend(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"not a database, but long enough to be taken for one" * 100)
    with pytest.raises(StateError, match="is damaged") as caught:
        SqliteStore(path)
    assert str(path) in caught.value.message
    assert "move it aside" in (caught.value.hint or "")


def test_a_document_that_does_not_hold_is_named_as_damage(store: SqliteStore, path: Path) -> None:
    wish(store)
    other = sqlite3.connect(path)
    other.execute('UPDATE endpoints SET status = \'{"phase": "dancing"}\'')
    other.commit()
    other.close()
    with pytest.raises(StateError, match="is damaged"):
        store.get(LATE)


@pytest.mark.parametrize("address", ["sqlite:///endpoints.db", "postgresql://somewhere", ""])
def test_only_an_absolute_sqlite_address_is_a_store(address: str) -> None:
    with pytest.raises(StateError, match="is no endpoint store"):
        SqliteStore.open(address)


# A process of its own: threads would share SQLite's locks.
WRITER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from mlplat.controller import wishes
from mlplat.controller.document import Event
from mlplat.controller.store import SqliteStore
from mlplat.labels import Name
from mlplat.spec.rollout import RolloutPolicy

late, now = Name("flights", "late"), datetime(2013, 7, 1, tzinfo=UTC)
with SqliteStore(Path(sys.argv[1])) as store:
    for _ in range(20):
        wished = wishes.deploy(late, late, "1", RolloutPolicy(), by="ada")
        store.wish(late, lambda _: wished, Event(time=now, generation=0, kind="wished", text=""))
"""


def test_writers_at_the_same_time_lose_nothing(path: Path) -> None:
    SqliteStore(path).close()
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(path)]) for _ in range(3)]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    with SqliteStore(path) as store:
        found = store.get(LATE)
        assert found is not None
        assert (found.spec.generation, len(store.events(LATE))) == (60, 60)
