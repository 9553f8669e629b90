"""Rows of a database, as Parquet files: all of them, or only those from the last value of a watermark on.

A slice holds every row from the value that the one before reached to, that value included: rows that were written with
the same value after it was read are in the next slice, and the earlier one counts below that value only. `slices.json`
names the slices and is written last, so what an interrupted run leaves is no part of the table.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Callable, Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd

from mlplat.errors import UnreachableError, UsageError
from mlplat.files import write_atomic
from mlplat.runtime.hashing import hash_rows
from mlplat.runtime.sources.files import Unit, keep_only, place_of
from mlplat.spec.sources import SqlSpec

BATCH = 100_000
"""Rows that are held at a time while they are brought."""
INDEX = "slices.json"
_KINDS: dict[str, Callable[[str], Any]] = {
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "Decimal": Decimal,
    "int": int,
    "float": float,
    "str": str,
}


def fetch(spec: SqlSpec, fetched: Path) -> list[Unit]:
    """Return the files of a query's rows, having brought those that are new.

    Raises `UsageError` for an address, query or watermark that cannot be, `UnreachableError` without an answer.
    """
    address = os.environ.get(spec.url_env)
    if not address:
        hint = "set it to the database's address, as SQLAlchemy writes it"
        raise UsageError(f"the variable `{spec.url_env}`, which `data.source.sql.url_env` names, is not set", hint=hint)
    # By the variable's name and not its value: a password that was renewed is no other database.
    folder = place_of(fetched, f"{spec.url_env}\0{spec.query}\0{spec.watermark}")
    slices = _known(folder) if spec.watermark else []
    since = _read(slices[-1]["until"]) if slices else None
    with _translated(spec):
        made = _bring(spec, address, since, folder)
    if made and not (slices and _is_known(spec, folder, slices, made)):
        slices = [*slices, made]
    if not slices:
        raise UsageError(f"the query on `{spec.url_env}` has no rows")
    write_atomic(folder / INDEX, json.dumps(slices, indent=2) + "\n")
    keep_only(folder, {INDEX, *(name for each in slices for name in each["files"])})
    return _units(spec, folder, slices)


def _known(folder: Path) -> list[dict[str, Any]]:
    with contextlib.suppress(FileNotFoundError):
        slices: list[dict[str, Any]] = json.loads((folder / INDEX).read_text())
        if all((folder / name).exists() for each in slices for name in each["files"]):
            return slices
    return []


@contextlib.contextmanager
def _translated(spec: SqlSpec) -> Iterator[None]:
    """Say what a database says, without its address, which may hold a password."""
    from pyarrow import ArrowException
    from sqlalchemy import exc

    where = f"the query on `{spec.url_env}`"
    try:
        yield
    except exc.NoSuchModuleError as error:
        raise UsageError(f"the address in `{spec.url_env}` is of a kind that is not installed: {error}") from None
    except exc.ArgumentError:
        hint = "`postgresql+psycopg://user:password@host/name`, for one"
        raise UsageError(f"what `{spec.url_env}` holds is no address of a database", hint=hint) from None
    except ModuleNotFoundError as error:
        hint = "add it to the project's requirements.in, then `make lock`"
        raise UsageError(f"`{spec.url_env}` needs the package `{error.name}`", hint=hint) from None
    except ArrowException as error:
        raise UsageError(f"{where}: {error}", hint="cast the column to a number, a text or a time") from error
    except exc.DBAPIError as error:
        kind = UnreachableError if error.connection_invalidated else UsageError
        raise kind(f"{where}: {error.orig}") from None


def _bring(spec: SqlSpec, address: str, since: Any, folder: Path) -> dict[str, Any] | None:
    """Write the rows from a watermark on; return the slice, or None where there are no rows."""
    files: list[str] = []
    until = since
    for batch in _batches(spec, address, since):
        if spec.watermark:
            until = _highest(batch, spec, until)
        name = f"{secrets.token_hex(8)}.parquet"
        batch.to_parquet(folder / name, index=False)
        files.append(name)
    return {"files": files, "since": _written(since), "until": _written(until)} if files else None


def _batches(spec: SqlSpec, address: str, since: Any) -> Iterator[pd.DataFrame]:
    import sqlalchemy as sa

    inner = sa.text(f"({spec.query.strip().rstrip(';')}) AS mlplat_rows")
    query = sa.select(sa.text("*")).select_from(inner)
    if spec.watermark and since is not None:
        query = query.where(sa.column(sa.quoted_name(spec.watermark, quote=True)) >= sa.literal(since))
    if address.startswith("duckdb:"):
        yield from _from_duckdb(query, address)
        return
    engine = sa.create_engine(address, poolclass=sa.NullPool)
    with _connected(engine, spec) as connection:
        streamed = connection.execution_options(stream_results=True, max_row_buffer=BATCH)
        result = streamed.execute(query)
        names = list(result.keys())
        for rows in result.partitions(BATCH):
            yield pd.DataFrame.from_records([tuple(row) for row in rows], columns=names)


def _connected(engine: Any, spec: SqlSpec) -> Any:
    from sqlalchemy import exc

    try:
        return engine.connect()
    except exc.DBAPIError as error:
        raise UnreachableError(f"the database of `{spec.url_env}` does not answer: {error.orig}") from None


def _from_duckdb(query: Any, address: str) -> Iterator[pd.DataFrame]:
    """Ask DuckDB itself, which needs no driver of SQLAlchemy's."""
    import duckdb
    from sqlalchemy import exc, make_url
    from sqlalchemy.dialects import sqlite

    compiled = query.compile(dialect=sqlite.dialect(paramstyle="qmark"))
    try:
        with duckdb.connect(make_url(address).database or ":memory:", read_only=True) as connection:
            rows = connection.sql(str(compiled), params=list(compiled.params.values()))
            yield from (batch.to_pandas() for batch in rows.to_arrow_reader(BATCH) if batch.num_rows)
    except duckdb.Error as error:
        raise exc.DBAPIError(str(compiled), None, error) from error


def _highest(batch: pd.DataFrame, spec: SqlSpec, so_far: Any) -> Any:
    if spec.watermark not in batch.columns:
        raise UsageError(
            f"the query on `{spec.url_env}` has no column `{spec.watermark}` for its watermark",
            hint=f"its columns are {', '.join(map(str, batch.columns[:12]))}",
        )
    values = batch[spec.watermark]
    if values.isna().any():
        hint = "take another column: rows without a value would never be asked for again"
        raise UsageError(f"the watermark `{spec.watermark}` is missing in {int(values.isna().sum())} rows", hint=hint)
    highest = values.max()
    highest = (
        highest.to_pydatetime() if isinstance(highest, pd.Timestamp) else getattr(highest, "item", lambda: highest)()
    )
    return highest if so_far is None else max(so_far, highest)


def _written(value: Any) -> dict[str, str] | None:
    if value is None:
        return None
    kind = type(value).__name__
    if kind not in _KINDS:
        raise UsageError(f"a watermark cannot be of the type {kind}", hint="take a time, a number or a text")
    return {"kind": kind, "value": value.isoformat() if isinstance(value, date) else str(value)}


def _read(written: dict[str, str]) -> Any:
    return _KINDS[written["kind"]](written["value"])


def _is_known(spec: SqlSpec, folder: Path, slices: list[dict[str, Any]], made: dict[str, Any]) -> bool:
    """Tell whether a new slice is only what is there already of the last value."""
    if made["until"] != slices[-1]["until"]:
        return False
    until = _read(made["until"])

    def last(each: dict[str, Any]) -> str:
        frames = [pd.read_parquet(folder / name) for name in each["files"]]
        frame = pd.concat([frame[frame[spec.watermark] >= until] for frame in frames], ignore_index=True)
        # Within one value a database gives rows in any order.
        return hash_rows(frame, ordered=False)

    return last(made) == last(slices[-1])


def _units(spec: SqlSpec, folder: Path, slices: list[dict[str, Any]]) -> list[Unit]:
    found = []
    for each, after in zip(slices, [*slices[1:], None], strict=True):
        below = (spec.watermark, _read(after["since"])) if spec.watermark and after else None
        reached = each["until"] and each["until"]["value"]
        for name in each["files"]:
            path = folder / name
            # The rows' own hash: what a file of a query is called says nothing.
            etag = hash_rows(pd.read_parquet(path))
            found.append(Unit(f"sql:{spec.url_env}", path, path.stat().st_size, etag, reached, below))
    return found
