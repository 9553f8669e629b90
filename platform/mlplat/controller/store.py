"""Where endpoint documents are kept: the port, and SQLite behind it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from pydantic import ValidationError

from mlplat.boot import boot
from mlplat.controller.document import Endpoint, EndpointSpec, Event, Status
from mlplat.controller.steady import Anchor, anchor, not_before
from mlplat.errors import MlplatError, RefusedError, StateError
from mlplat.labels import Name
from mlplat.uptime import uptime

SCHEMA_VERSION = 4
BUSY_SECONDS = 10.0
"""How long one writer waits for another; a write takes milliseconds."""
SCHEME = "sqlite:///"
HEAD = b"SQLite format 3\x00"
DIGEST_SIGNS = 10
EXAMINED_BYTES = 20_000_000
"""Up to this size all pages are looked at when the file is opened, which takes milliseconds."""

_FIRST = (
    "CREATE TABLE endpoints (name TEXT PRIMARY KEY, generation INTEGER NOT NULL, spec TEXT, status TEXT NOT NULL)",
    "CREATE TABLE events (number INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, event TEXT NOT NULL)",
    "CREATE INDEX events_by_name ON events (name, number)",
    "CREATE TRIGGER events_stay BEFORE UPDATE ON events BEGIN SELECT RAISE(ABORT, 'events are never changed'); END",
    "CREATE TRIGGER events_are_kept BEFORE DELETE ON events BEGIN SELECT RAISE(ABORT, 'events are kept'); END",
)
_MIGRATIONS: dict[int, tuple[str, ...]] = {
    0: _FIRST,
    # The clock that durations go by, in one row.
    1: ("CREATE TABLE clock (row INTEGER PRIMARY KEY CHECK (row = 1), boot TEXT NOT NULL, start REAL NOT NULL)",),
    # The newest wish of each endpoint that its model be trained anew, and what became of it.
    2: ("CREATE TABLE retrainings (name TEXT PRIMARY KEY, wish TEXT NOT NULL, answer TEXT)",),
    # What the controller must not forget of schedules, alarms and messages when it ends.
    3: ("CREATE TABLE notes (kind TEXT, key TEXT, value TEXT NOT NULL, PRIMARY KEY (kind, key))",),
}
"""What makes a file of one version one of the next; 0 is an empty file."""
MEND = (
    "endpoints go on serving; put back a copy of the file and remove those that end in `-wal` and `-shm`; or, to begin "
    "without its endpoints, run `mlplat down`, move it and the files `supervisor/programs/endpoint@*.conf` beside it "
    "aside, and deploy again after `mlplat up`"
)

Wish = Callable[[Endpoint | None], EndpointSpec]
"""Makes a wish from what is there; may be called again when somebody else wrote in between."""


def digest(text: str) -> str:
    """Return what a wish for a retraining is known by."""
    return hashlib.sha256(text.encode()).hexdigest()[:DIGEST_SIGNS]


def is_told(present: Mapping[str, Any], answer: Mapping[str, Any]) -> bool:
    """Tell whether an answer to such a wish says nothing new."""
    return all(present.get(key, "") == answer.get(key, "") for key in ("request", "status"))


class SupersededError(MlplatError):
    """Somebody wished something else in the meantime."""


class Store(Protocol):
    """Endpoint documents and their history. The status is written by one controller only."""

    def endpoints(self) -> list[Endpoint]:
        """Return all endpoints, sorted by name."""

    def get(self, name: Name) -> Endpoint | None:
        """Return one endpoint."""

    def wish(self, name: Name, wish: Wish, event: Event) -> Endpoint:
        """Put the next generation of a wish in place, together with its event; return the endpoint as it is then."""

    def report(self, name: Name, generation: int, status: Status, events: Sequence[Event] = ()) -> None:
        """Write the status of that generation, and what happened. Raises `SupersededError` when it is an old one."""

    def remove(self, name: Name, generation: int, event: Event) -> None:
        """Forget an endpoint; its history and its numbers stay. Raises `SupersededError` as `report` does."""

    def events(self, name: Name, after: int = 0) -> list[Event]:
        """Return what happened to an endpoint after the event of that number, oldest first."""

    def knows(self, name: Name) -> bool:
        """Tell whether there is, or ever was, an endpoint of that name."""

    def retrain(self, name: Name, text: str) -> None:
        """Ask for an endpoint's model to be trained anew. Raises `RefusedError` for an endpoint that there is not."""

    def retrainings(self) -> list[tuple[Name, str]]:
        """Return the endpoints whose wish to be trained anew has no answer yet, each with its text."""

    def retraining(self, name: Name) -> Mapping[str, Any]:
        """Return the newest answer to such a wish (`controller.retraining.Answer`); empty where there is none."""

    def answer_retraining(self, name: Name, answer: Mapping[str, Any], kind: str, now: datetime) -> None:
        """Write down, once, what became of such a wish, or what came of its run; `kind` is the event's."""

    def version(self) -> int:
        """Return a number that changes whenever somebody else has written."""


class SqliteStore:
    """A store in one SQLite file, written by the command line and the controller at the same time.

    With `create=False` a file that is missing or empty is an error: there was one, and its endpoints serve.
    """

    def __init__(self, path: Path, *, create: bool = True) -> None:
        self.path = path
        with self._guard():
            if not create and not (path.exists() and path.stat().st_size):
                raise StateError(f"{path}: is {'empty' if path.exists() else 'not there'}", hint=MEND)
            path.parent.mkdir(parents=True, exist_ok=True)
            # Transactions are begun by hand: IMMEDIATE ones wait for a writer instead of failing half-way.
            self._database = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
            # Kept open as long as the database: a process that closes any descriptor of a file loses all its locks on
            # it, SQLite's too, and the next program to leave would take itself for the last and remove the journal.
            self._raw = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            with self._guard():
                self._prepare()
                self._file, self._size = _identity(path), path.stat().st_size
                self._anchor = self._anchored()
        except BaseException:
            self.close()
            raise

    @classmethod
    def open(cls, address: str, *, create: bool = True) -> SqliteStore:
        """Open `sqlite:///<absolute path>`. Raises `StateError` for anything else and for a file it cannot read."""
        if not address.startswith(f"{SCHEME}/"):
            raise StateError(f"`{address}` is no endpoint store", hint=f"it is written as {SCHEME}<absolute path>")
        return cls(Path(address.removeprefix(SCHEME)), create=create)

    def close(self) -> None:
        """Close the file."""
        self._database.close()
        if self._raw >= 0:
            os.close(self._raw)
            self._raw = -1

    def __enter__(self) -> SqliteStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def endpoints(self) -> list[Endpoint]:
        """See `Store.endpoints`."""
        with self._guard():
            rows = self._database.execute(
                "SELECT name, spec, status FROM endpoints WHERE spec IS NOT NULL ORDER BY name"
            ).fetchall()
            return [self._endpoint(*row) for row in rows]

    def get(self, name: Name) -> Endpoint | None:
        """See `Store.get`."""
        with self._guard():
            row = self._row(name)
            return self._endpoint(name.id, row[1], row[2]) if row and row[1] else None

    def wish(self, name: Name, wish: Wish, event: Event) -> Endpoint:
        """See `Store.wish`."""
        with self._guard(), self._transaction():
            row = self._row(name)
            generation = (row[0] if row else 0) + 1
            present = self._endpoint(name.id, row[1], row[2]) if row and row[1] else None
            spec = wish(present).model_copy(update={"name": str(name), "generation": generation})
            status = Status.model_validate_json(row[2]) if row else Status()
            self._database.execute(
                "INSERT INTO endpoints VALUES (?, ?, ?, ?) ON CONFLICT (name) DO UPDATE "
                "SET generation = excluded.generation, spec = excluded.spec",
                (name.id, generation, spec.model_dump_json(), status.model_dump_json()),
            )
            self._append(name, [event.model_copy(update={"generation": generation})])
            return Endpoint(spec=spec, status=status)

    def report(self, name: Name, generation: int, status: Status, events: Sequence[Event] = ()) -> None:
        """See `Store.report`."""
        with self._guard(), self._transaction():
            changed = self._database.execute(
                "UPDATE endpoints SET status = ? WHERE name = ? AND generation = ? AND spec IS NOT NULL",
                (status.model_dump_json(), name.id, generation),
            ).rowcount
            if not changed:
                raise SupersededError(f"{name}: generation {generation} was superseded")
            self._append(name, events)

    def remove(self, name: Name, generation: int, event: Event) -> None:
        """See `Store.remove`."""
        with self._guard(), self._transaction():
            row = self._row(name)
            if row is None or row[0] != generation or row[1] is None:
                raise SupersededError(f"{name}: generation {generation} was superseded")
            # The numbers go on from here, so that a revision's logs and predictions are never another one's.
            status = Status(last_revision=Status.model_validate_json(row[2]).last_revision)
            self._database.execute(
                "UPDATE endpoints SET spec = NULL, status = ? WHERE name = ?", (status.model_dump_json(), name.id)
            )
            self._append(name, [event])

    def events(self, name: Name, after: int = 0) -> list[Event]:
        """See `Store.events`."""
        with self._guard():
            rows = self._database.execute(
                "SELECT number, event FROM events WHERE name = ? AND number > ? ORDER BY number", (name.id, after)
            ).fetchall()
            return [Event.model_validate_json(text).model_copy(update={"number": number}) for number, text in rows]

    def retrain(self, name: Name, text: str) -> None:
        """See `Store.retrain`."""
        with self._guard(), self._transaction():
            row = self._row(name)
            if row is None or row[1] is None:
                raise RefusedError(f"there is no endpoint {name}", hint="`mlplat endpoint list` shows them")
            self._database.execute(
                "INSERT INTO retrainings VALUES (?, ?, NULL) ON CONFLICT (name) DO UPDATE SET wish = excluded.wish",
                (name.id, text),
            )

    def retrainings(self) -> list[tuple[Name, str]]:
        """See `Store.retrainings`."""
        found = ((name, wish, json.loads(answer or "{}")) for name, wish, answer in self._retrainings())
        return [(Name.from_id(name), wish) for name, wish, answer in found if answer.get("request") != digest(wish)]

    def retraining(self, name: Name) -> Mapping[str, Any]:
        """See `Store.retraining`."""
        with self._guard():
            row = self._database.execute("SELECT answer FROM retrainings WHERE name = ?", (name.id,)).fetchone()
            found: dict[str, Any] = json.loads(row[0]) if row and row[0] else {}
            return found

    def answer_retraining(self, name: Name, answer: Mapping[str, Any], kind: str, now: datetime) -> None:
        """See `Store.answer_retraining`."""
        with self._guard(), self._transaction():
            row = self._row(name)
            before = self._database.execute("SELECT answer FROM retrainings WHERE name = ?", (name.id,)).fetchone()
            present = json.loads(before[0]) if before and before[0] else {}
            if row is None or before is None or is_told(present, answer):
                return
            self._database.execute(
                "UPDATE retrainings SET answer = ? WHERE name = ?", (json.dumps(dict(answer)), name.id)
            )
            self._append(name, [Event(time=now, generation=row[0], kind=kind, text=answer["message"])])

    def notes(self, kind: str) -> dict[str, str]:
        """Return the controller's own notes of a kind, by key, in the order of the keys."""
        with self._guard():
            rows = self._database.execute("SELECT key, value FROM notes WHERE kind = ? ORDER BY key", (kind,))
            return {str(key): str(value) for key, value in rows.fetchall()}

    def note(self, changes: Mapping[tuple[str, str], str | None]) -> None:
        """Write notes by kind and key, all of them or none; None takes one away."""
        with self._guard(), self._transaction():
            for (kind, key), value in changes.items():
                if value is None:
                    self._database.execute("DELETE FROM notes WHERE kind = ? AND key = ?", (kind, key))
                else:
                    self._database.execute("INSERT OR REPLACE INTO notes VALUES (?, ?, ?)", (kind, key, value))

    def _retrainings(self) -> list[tuple[str, str, str | None]]:
        with self._guard():
            return self._database.execute(
                "SELECT name, wish, answer FROM retrainings JOIN endpoints USING (name)"
                " WHERE spec IS NOT NULL ORDER BY name"
            ).fetchall()

    def knows(self, name: Name) -> bool:
        """See `Store.knows`."""
        with self._guard():
            return self._row(name) is not None

    def seconds(self) -> float:
        """Return the time that durations go by, in seconds (`mlplat.controller.steady`)."""
        return self._anchor.at(uptime())

    def check(self) -> None:
        """Raise `StateError` when the file that is open is no longer the one at its path, or was overwritten."""
        with self._guard():
            if not self.path.exists():
                raise StateError(f"{self.path}: is not there any more", hint=MEND)
            if _identity(self.path) != self._file:
                raise StateError(f"{self.path}: was replaced by another file", hint="it is opened again at once")
            # SQLite keeps pages in memory, and would not look at the file for a long time.
            if os.pread(self._raw, len(HEAD), 0) != HEAD:
                raise self._damaged("is no SQLite database any more")
            size = self.path.stat().st_size
            if size < self._size:
                raise self._damaged(f"was cut from {self._size} to {size} bytes")
            self._size = size

    def version(self) -> int:
        """See `Store.version`."""
        with self._guard():
            return int(self._database.execute("PRAGMA data_version").fetchone()[0])

    def _row(self, name: Name) -> tuple[int, str | None, str] | None:
        cursor = self._database.execute("SELECT generation, spec, status FROM endpoints WHERE name = ?", (name.id,))
        row: tuple[int, str | None, str] | None = cursor.fetchone()
        return row

    def _append(self, name: Name, events: Sequence[Event]) -> None:
        self._database.executemany(
            "INSERT INTO events (name, event) VALUES (?, ?)", [(name.id, event.model_dump_json()) for event in events]
        )

    def _prepare(self) -> None:
        self._database.execute("PRAGMA journal_mode = WAL")
        # WAL with NORMAL survives a killed process; only a power cut can lose the last moments, never the file.
        self._database.execute("PRAGMA synchronous = NORMAL")
        if self.path.stat().st_size <= EXAMINED_BYTES:
            seen = str(self._database.execute("PRAGMA quick_check(1)").fetchone()[0])
            if seen != "ok":
                raise self._damaged(seen)
        found = self._schema_version()
        if found > SCHEMA_VERSION:
            raise StateError(
                f"{self.path}: was written by a newer mlplat (schema {found}, this one reads {SCHEMA_VERSION})",
                hint="use that version of mlplat; nothing was changed",
            )
        if found < SCHEMA_VERSION:
            with self._transaction():
                # Somebody else may have done it since.
                if found := self._schema_version():
                    self._back_up(found)
                for version in range(found, SCHEMA_VERSION):
                    for statement in _MIGRATIONS[version]:
                        self._database.execute(statement)
                self._database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def _back_up(self, found: int) -> None:
        """Keep the file as it is before it is migrated, as `endpoints.db.v1`."""
        kept = self.path.with_name(f"{self.path.name}.v{found}")
        temporary = kept.with_name(f".{kept.name}")
        temporary.unlink(missing_ok=True)
        with (
            contextlib.closing(sqlite3.connect(self.path, timeout=BUSY_SECONDS)) as source,
            contextlib.closing(sqlite3.connect(temporary)) as target,
        ):
            source.backup(target)
        temporary.replace(kept)

    def _anchored(self) -> Anchor:
        with self._transaction():
            row = self._database.execute("SELECT boot, start FROM clock").fetchone()
            kept = Anchor(*row) if row else None
            found = anchor(kept, boot(), uptime, time.time)
            if found != kept:
                latest = max((_latest(self._status(*each)) for each in self._statuses()), default=0.0)
                found = not_before(found, latest, uptime())
                self._database.execute("INSERT OR REPLACE INTO clock VALUES (1, ?, ?)", (found.boot, found.offset))
            return found

    def _statuses(self) -> list[tuple[str, str]]:
        return self._database.execute("SELECT name, status FROM endpoints").fetchall()

    def _endpoint(self, name: str, spec: str, status: str) -> Endpoint:
        try:
            return Endpoint(spec=EndpointSpec.model_validate_json(spec), status=self._status(name, status))
        except ValidationError as error:
            raise self._damaged(f"{name}: {_first_line(error)}") from error

    def _status(self, name: str, status: str) -> Status:
        try:
            return Status.model_validate_json(status)
        except ValidationError as error:
            raise self._damaged(f"{name}: {_first_line(error)}") from error

    def _damaged(self, what: str) -> StateError:
        return StateError(f"{self.path}: is damaged: {what}", hint=MEND)

    def _schema_version(self) -> int:
        return int(self._database.execute("PRAGMA user_version").fetchone()[0])

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    @contextlib.contextmanager
    def _guard(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            hint = next((hint for word, hint in _OPERATIONAL.items() if word in str(error)), MEND)
            raise StateError(f"{self.path}: {error}", hint=hint) from error
        except (sqlite3.DatabaseError, ValidationError) as error:
            raise self._damaged(_first_line(error)) from error
        except OSError as error:
            raise StateError(f"{self.path}: {error.strerror}", hint="look at the folder's permissions") from error


_OPERATIONAL = {
    "locked": "another process holds it; try again",
    "full": "free some space there",
    "readonly": "look at the folder's permissions",
    "unable to open": "look at the folder's permissions",
}
"""What to do, by a word of SQLite's message."""


def _identity(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


def _latest(status: Status) -> float:
    """Return the newest time in a document."""
    started = status.rollout.started if status.rollout else 0.0
    return max(started, *(revision.since for revision in status.revisions), 0.0)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
