"""Feast's online store in a file, as a server with many threads needs it.

Feast's own has one connection for all threads: a look-up would read a row that is half written, and one thread's commit
would be another's. Here each thread has its own, readers see what was committed, and a writer waits for the other.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from feast.infra.online_stores.helpers import compute_table_id
from feast.infra.online_stores.sqlite import SqliteOnlineStore, SqliteOnlineStoreConfig

from mlplat.online import paging

WAIT_SECONDS = 5.0
"""For another writer, after which the caller is told."""


class ThreadedSqliteOnlineStoreConfig(SqliteOnlineStoreConfig):  # type: ignore[misc]  # Feast ships no types
    """`online_store` of a `feature_store.yaml`; `path` is absolute."""

    type: Literal["mlplat.online.sqlite.ThreadedSqliteOnlineStore"] = "mlplat.online.sqlite.ThreadedSqliteOnlineStore"


class ThreadedSqliteOnlineStore(SqliteOnlineStore):  # type: ignore[misc]  # likewise
    """Rows of every view in a table of its own."""

    def __init__(self) -> None:
        self._own = threading.local()

    def _get_conn(self, config: Any) -> sqlite3.Connection:
        if not hasattr(self._own, "connection"):
            self._own.connection = connect(Path(config.online_store.path))
        made: sqlite3.Connection = self._own.connection
        return made

    def make(self, config: Any, views: Sequence[Any]) -> None:
        """Make the tables of views that have none."""
        self.update(config, [], list(views), [], [], partial=True)
        self._get_conn(config).commit()

    def rows(self, config: Any, view: Any) -> Iterator[tuple[bytes, dict[str, Any]]]:
        """Yield every row's key, as Feast writes it down, and its values by feature, in order of the key."""
        page = paging.QUERY.format(table=_table(config, view), given="?")
        return paging.paged(lambda last: self._get_conn(config).execute(page, [last, paging.KEYS]).fetchall())

    def remove(self, config: Any, view: Any, keys: Sequence[bytes]) -> None:
        """Remove the rows of keys, as Feast writes them down, from the file and from what is to be written to it."""
        connection = self._get_conn(config)
        with connection:
            given = [[key] for key in keys]
            connection.executemany(f"DELETE FROM {_table(config, view)} WHERE entity_key = ?", given)  # noqa: S608 - likewise
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    @contextlib.contextmanager
    def exclusive(self, _config: Any) -> Iterator[None]:
        """Be the one that changes definitions: no other server has this file."""
        yield


def connect(path: Path) -> sqlite3.Connection:
    """Open a store's file, in which a reader waits for no writer. Raises `sqlite3.Error`."""
    kinds = sqlite3.PARSE_DECLTYPES | sqlite3.PARSE_COLNAMES
    connection = sqlite3.connect(path, detect_types=kinds, timeout=WAIT_SECONDS)
    connection.execute("PRAGMA journal_mode=WAL")
    # What is removed, or written over, is no longer in the file.
    connection.execute("PRAGMA secure_delete=ON")
    return connection


def _table(config: Any, view: Any) -> str:
    name = compute_table_id(config.project, view, config.registry.enable_online_feature_view_versioning)
    return '"{}"'.format(name.replace('"', '""'))
