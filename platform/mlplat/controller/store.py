"""Where endpoint documents are kept: the port, and SQLite behind it."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from pydantic import ValidationError

from mlplat.controller.document import Endpoint, EndpointSpec, Event, Status
from mlplat.errors import MlplatError, StateError
from mlplat.labels import Name

SCHEMA_VERSION = 1
BUSY_SECONDS = 10.0
"""How long one writer waits for another; a write takes milliseconds."""
SCHEME = "sqlite:///"

_SCHEMA = (
    "CREATE TABLE endpoints (name TEXT PRIMARY KEY, generation INTEGER NOT NULL, spec TEXT, status TEXT NOT NULL)",
    "CREATE TABLE events (number INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, event TEXT NOT NULL)",
    "CREATE INDEX events_by_name ON events (name, number)",
    "CREATE TRIGGER events_stay BEFORE UPDATE ON events BEGIN SELECT RAISE(ABORT, 'events are never changed'); END",
    "CREATE TRIGGER events_are_kept BEFORE DELETE ON events BEGIN SELECT RAISE(ABORT, 'events are kept'); END",
)

Wish = Callable[[Endpoint | None], EndpointSpec]
"""Makes a wish from what is there; may be called again when somebody else wrote in between."""


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

    def version(self) -> int:
        """Return a number that changes whenever somebody else has written."""


class SqliteStore:
    """A store in one SQLite file, written by the command line and the controller at the same time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._guard():
            path.parent.mkdir(parents=True, exist_ok=True)
            # Transactions are begun by hand: IMMEDIATE ones wait for a writer instead of failing half-way.
            self._database = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
        try:
            with self._guard():
                self._prepare()
        except BaseException:
            self._database.close()
            raise

    @classmethod
    def open(cls, address: str) -> SqliteStore:
        """Open `sqlite:///<absolute path>`. Raises `StateError` for anything else and for a file it cannot read."""
        if not address.startswith(f"{SCHEME}/"):
            raise StateError(f"`{address}` is no endpoint store", hint=f"it is written as {SCHEME}<absolute path>")
        return cls(Path(address.removeprefix(SCHEME)))

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def __enter__(self) -> SqliteStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def endpoints(self) -> list[Endpoint]:
        """See `Store.endpoints`."""
        with self._guard():
            rows = self._database.execute(
                "SELECT spec, status FROM endpoints WHERE spec IS NOT NULL ORDER BY name"
            ).fetchall()
            return [_endpoint(*row) for row in rows]

    def get(self, name: Name) -> Endpoint | None:
        """See `Store.get`."""
        with self._guard():
            row = self._row(name)
            return _endpoint(row[1], row[2]) if row and row[1] else None

    def wish(self, name: Name, wish: Wish, event: Event) -> Endpoint:
        """See `Store.wish`."""
        with self._guard(), self._transaction():
            row = self._row(name)
            generation = (row[0] if row else 0) + 1
            present = _endpoint(row[1], row[2]) if row and row[1] else None
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
        if (found := self._schema_version()) < SCHEMA_VERSION:
            with self._transaction():
                if self._schema_version() == 0:
                    for statement in _SCHEMA:
                        self._database.execute(statement)
                    self._database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        elif found > SCHEMA_VERSION:
            raise StateError(
                f"{self.path}: was written by a newer mlplat (schema {found}, this one reads {SCHEMA_VERSION})",
                hint="use that version of mlplat; nothing was changed",
            )

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
            hint = (
                "another process holds it; try again" if "locked" in str(error) else "look at the folder's permissions"
            )
            raise StateError(f"{self.path}: {error}", hint=hint) from error
        except (sqlite3.DatabaseError, ValidationError) as error:
            raise StateError(
                f"{self.path}: is damaged: {_first_line(error)}",
                hint="endpoints go on serving; put back a copy of the file, or run `mlplat down`, "
                "move it aside, and deploy again after `mlplat up`",
            ) from error
        except OSError as error:
            raise StateError(f"{self.path}: {error.strerror}", hint="look at the folder's permissions") from error


def _endpoint(spec: str, status: str) -> Endpoint:
    return Endpoint(spec=EndpointSpec.model_validate_json(spec), status=Status.model_validate_json(status))


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
