from __future__ import annotations

import contextlib
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mlplat.controller import store as store_module
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
    assert "put back a copy of the file" in (caught.value.hint or "")


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
from mlplat.controller import store as store_module
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


FORMER = """
CREATE TABLE endpoints (name TEXT PRIMARY KEY, generation INTEGER NOT NULL, spec TEXT, status TEXT NOT NULL);
CREATE TABLE events (number INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, event TEXT NOT NULL);
CREATE INDEX events_by_name ON events (name, number);
INSERT INTO endpoints VALUES ('flights.late', 1,
 '{"name":"flights/late","action":"deploy","model":"flights/late","version":"1","generation":1,"by":"ada"}',
 '{"phase":"serving","observed_generation":1,"champion":1,"last_revision":1,"bake_until":null}');
PRAGMA user_version = 1;
"""
"""A file of schema 1, as the first mlplat wrote it."""


@pytest.fixture
def former(path: Path) -> Path:
    path.parent.mkdir()
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.executescript(FORMER)
    return path


def schema(path: Path) -> int:
    with contextlib.closing(sqlite3.connect(path)) as database:
        return int(database.execute("PRAGMA user_version").fetchone()[0])


def test_a_former_file_is_migrated_and_kept_as_it_was(former: Path) -> None:
    with SqliteStore(former) as store:
        found = store.get(LATE)
        assert found is not None
        assert found.status.champion == 1
    kept = former.with_name("endpoints.db.v1")
    assert (schema(former), schema(kept)) == (SCHEMA_VERSION, 1)
    before = kept.stat().st_mtime_ns
    SqliteStore(former).close()
    assert kept.stat().st_mtime_ns == before


def test_a_migration_that_is_cut_off_is_done_by_whoever_comes_next(
    former: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setitem(store_module._MIGRATIONS, 1, (*store_module._MIGRATIONS[1], "DROP TABLE nowhere"))
        with pytest.raises(StateError, match="nowhere"):
            SqliteStore(former)
    assert schema(former) == 1
    with SqliteStore(former) as store:
        assert store.knows(LATE)
    assert schema(former) == SCHEMA_VERSION


def test_a_file_that_should_be_there_is_never_taken_for_an_empty_one(path: Path) -> None:
    with pytest.raises(StateError, match="is not there"):
        SqliteStore(path, create=False)
    assert not path.exists()
    SqliteStore(path).close()
    path.write_bytes(b"")
    with pytest.raises(StateError, match="is empty") as caught:
        SqliteStore(path, create=False)
    assert "put back a copy" in (caught.value.hint or "")


def test_a_half_written_log_loses_nothing_that_was_committed(path: Path) -> None:
    with SqliteStore(path) as store:
        wish(store)
        log = path.with_name("endpoints.db-wal")
        committed, written = path.read_bytes(), log.read_bytes()
    path.write_bytes(committed)
    log.write_bytes(written + b"half a frame of a commit that never was")
    path.with_name("endpoints.db-shm").write_bytes(b"garbage")
    with SqliteStore(path) as store:
        assert [item.spec.version for item in store.endpoints()] == ["1"]


def test_a_truncated_file_is_named(path: Path) -> None:
    with SqliteStore(path) as store:
        for number in range(200):
            wish(store, str(number))
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)

    def use() -> None:
        with SqliteStore(path) as store:
            store.endpoints()
            store.events(LATE)

    with pytest.raises(StateError, match=re.escape(str(path))):
        use()


def test_a_file_put_in_the_place_of_the_open_one_is_noticed(store: SqliteStore, path: Path) -> None:
    store.check()
    path.rename(path.with_name("aside"))
    with pytest.raises(StateError, match="is not there any more"):
        store.check()
    SqliteStore(path).close()
    with pytest.raises(StateError, match="was replaced"):
        store.check()


def test_a_removed_endpoint_is_still_known(store: SqliteStore) -> None:
    assert not store.knows(LATE)
    wish(store)
    store.remove(LATE, 1, event())
    assert store.knows(LATE)


@pytest.mark.parametrize("content", [b"", b"garbage " * 5000, None], ids=["emptied", "overwritten", "cut"])
def test_an_open_file_that_somebody_overwrites_is_noticed(
    store: SqliteStore, path: Path, content: bytes | None
) -> None:
    for number in range(100):
        wish(store, str(number))
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    store.check()
    if content is None:
        os.truncate(path, path.stat().st_size // 2)
    else:
        path.write_bytes(content)
    with pytest.raises(StateError, match=re.escape(str(path))):
        store.check()


def test_looking_at_the_file_takes_no_lock_from_it(tmp_path: Path) -> None:
    """A fault: the look closed a descriptor, and with it went the locks; the next to leave removed the journal."""
    path = tmp_path / "endpoints.db"
    with SqliteStore(path) as store:
        store.check()
        leave = (
            "from pathlib import Path; from mlplat.controller.store import SqliteStore; "
            f"SqliteStore(Path({str(path)!r})).close()"
        )
        subprocess.run([sys.executable, "-c", leave], check=True)
        assert path.with_name("endpoints.db-wal").exists()
        store.check()


def test_notes_are_written_all_or_none(tmp_path: Path) -> None:
    with SqliteStore(tmp_path / "endpoints.db") as store:
        store.note({("alarm", "b"): "2", ("alarm", "a"): "1", ("message", "a"): "3"})
        assert list(store.notes("alarm").items()) == [("a", "1"), ("b", "2")]
        with pytest.raises(StateError):
            store.note({("alarm", "a"): None, ("alarm", "c"): object()})  # type: ignore[dict-item]
        assert store.notes("alarm") == {"a": "1", "b": "2"}
        store.note({("alarm", "a"): None, ("alarm", "b"): "9"})
    with SqliteStore(tmp_path / "endpoints.db") as again:
        assert (again.notes("alarm"), again.notes("message")) == ({"b": "9"}, {"a": "3"})
