"""Feast's online store in PostgreSQL, as a server that runs for months needs it.

Feast's own makes tables where `feast apply` runs, which would need the database's password in every project; it gives
no connection back that failed, so that ten errors are the end of it; and it takes an address apart into settings. Here
a view's table is made when it is first used, connections come from a pool that tries them, and the address is one text.
"""

from __future__ import annotations

import contextlib
import functools
import re
import threading
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from feast.errors import FeastError
from feast.infra.online_stores.helpers import compute_table_id
from feast.infra.online_stores.postgres_online_store.postgres import PostgreSQLOnlineStore, PostgreSQLOnlineStoreConfig
from psycopg import Connection, sql
from psycopg_pool import ConnectionPool

from mlplat.online import paging

CONNECTIONS = 8
"""Of one server, for all its projects: a small PostgreSQL takes a hundred in all."""
WAIT_SECONDS = 5.0
"""For a connection, after which the caller is told: whoever looks a feature up has no more time than that."""
LONGEST_NAME = 63
"""Bytes of a name in PostgreSQL, which cuts longer ones without a word: two views would share a table."""
LOCK, DEFINING = 7_164_776, 7_164_777
"""Numbers of the locks under which tables are made and definitions are changed: two servers at once would fail, or each
lose what the other adds."""
_making = threading.Lock()
"""Likewise within one server, where several that wait would hold the connections that the first one needs."""


class LongNameError(FeastError):  # type: ignore[misc]  # Feast ships no types
    """A project's and a view's name are too long together."""

    def http_status_code(self) -> int:
        """Return a status after which a client does not try again."""
        return 422


class PostgresOnlineStoreConfig(PostgreSQLOnlineStoreConfig):  # type: ignore[misc]  # likewise
    """`online_store` of a `feature_store.yaml`; only `url` is to be given."""

    type: Literal["mlplat.online.store.PostgresOnlineStore"] = "mlplat.online.store.PostgresOnlineStore"
    url: str
    # Feast asks for the parts; nothing here reads them.
    host: str = ""
    database: str = ""
    user: str = ""
    password: str = ""


class PostgresOnlineStore(PostgreSQLOnlineStore):  # type: ignore[misc]  # likewise
    """Rows of every view in a table of its own, `<project>_<view>`."""

    def __init__(self) -> None:
        super().__init__()
        self._there: set[str] = set()

    @contextlib.contextmanager
    def _get_conn(self, config: Any, autocommit: bool = False) -> Iterator[Connection[Any]]:
        with pool(config.online_store.url).connection() as connection:
            connection.set_autocommit(autocommit)
            yield connection

    def online_write_batch(self, config: Any, table: Any, data: Any, progress: Any) -> None:
        """See `OnlineStore.online_write_batch`. Raises `LongNameError`."""
        self.make(config, [table])
        super().online_write_batch(config, table, data, progress)

    def online_read(self, config: Any, table: Any, *given: Any, **named: Any) -> Any:
        """See `OnlineStore.online_read`: of a view that nobody has written to, nothing is found."""
        self.make(config, [table])
        return super().online_read(config, table, *given, **named)

    def _read_features_per_fv(self, config: Any, grouped_refs: Any, *given: Any, **named: Any) -> None:
        # Several views are read at once, without `online_read`.
        self.make(config, [table for table, _ in grouped_refs])
        super()._read_features_per_fv(config, grouped_refs, *given, **named)

    def rows(self, config: Any, view: Any) -> Iterator[tuple[bytes, dict[str, Any]]]:
        """Yield every row's key, as Feast writes it down, and its values by feature, in order of the key."""
        self.make(config, [view])
        page = sql.SQL(paging.QUERY).format(table=_table(config, view), given=sql.Placeholder())

        def after(last: bytes) -> list[paging.Cell]:
            with self._get_conn(config) as connection:
                return connection.execute(page, [last, paging.KEYS]).fetchall()

        return paging.paged(after)

    def remove(self, config: Any, view: Any, keys: Sequence[bytes]) -> None:
        """Remove the rows of keys, as Feast writes them down."""
        gone = sql.SQL("DELETE FROM {table} WHERE entity_key = ANY(%s)").format(table=_table(config, view))
        with self._get_conn(config) as connection:
            connection.execute(gone, [list(keys)])

    @contextlib.contextmanager
    def exclusive(self, config: Any) -> Iterator[None]:
        """Be the one, of all servers on this database, that changes definitions."""
        with self._get_conn(config) as connection:
            connection.execute("SELECT pg_advisory_xact_lock(%s)", [DEFINING])
            yield

    def make(self, config: Any, views: Sequence[Any]) -> None:
        """Make the tables of views that have none. Raises `LongNameError`."""
        named = {_name(config, each): each for each in views}
        missing = {name: each for name, each in named.items() if name not in self._there}
        if long := [name for name in missing if len(name.encode()) > LONGEST_NAME]:
            raise LongNameError(
                f"{long[0]}: names of project and view together have more than {LONGEST_NAME - 1} bytes"
            )
        if not missing:
            return
        with _making, self._get_conn(config) as connection:
            connection.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
            self.update(config, [], list(missing.values()), [], [], partial=True)
        self._there |= missing.keys()


def _name(config: Any, view: Any) -> str:
    versioned = config.registry.enable_online_feature_view_versioning
    name: str = compute_table_id(config.project, view, versioned)
    return name


def _table(config: Any, view: Any) -> sql.Identifier:
    return sql.Identifier(_name(config, view))


@functools.cache
def pool(url: str) -> ConnectionPool[Connection[Any]]:
    """Return the connections to a database, which are opened as they are needed and tried before they are used."""
    address = re.sub(r"^postgres(ql)?([+]\w+)?://", "postgresql://", url)
    return ConnectionPool(
        address,
        min_size=0,
        max_size=CONNECTIONS,
        timeout=WAIT_SECONDS,
        open=True,
        check=ConnectionPool.check_connection,
    )


def answers(url: str) -> bool:
    """Tell whether the database answers, within the time that a look-up has."""
    try:
        with pool(url).connection() as connection:
            connection.execute("SELECT 1")
    except Exception:  # noqa: BLE001 - whatever it is, nobody can look anything up
        return False
    return True
