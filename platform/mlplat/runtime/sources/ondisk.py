"""Files that are larger than memory, as tables of a database that keeps on disk what memory is too short for.

CSV files become Parquet first, a batch at a time, with the types that their columns have when they are read as a whole.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from mlplat.errors import UsageError
from mlplat.runtime import table
from mlplat.runtime.sources.files import Unit
from mlplat.spec.project import DataSpec

if TYPE_CHECKING:
    import pyarrow as pa
    from duckdb import DuckDBPyConnection

BATCH = 100_000
"""Rows of a CSV file that are held at a time."""
MEMORY = "256MB"
"""What DuckDB may hold before it uses the disk."""
ROWS = "mlplat_rows"
"""The view of the rows of all files."""
PLACE = "mlplat_file, mlplat_row"
"""Where a row of it lies, in the files' order. No column of theirs is called like ours."""


@dataclass(frozen=True)
class OnDisk:
    """A database whose view `ROWS` has the rows of all files, and where each lies."""

    database: DuckDBPyConnection
    schemas: Sequence[pa.Schema]
    """Of each file."""

    def frame(self, query: str, **values: object) -> pd.DataFrame:
        """Return what a query finds, its columns as they are when the files are read as a whole."""
        found = self.database.sql(query, params=values or None).to_arrow_table()
        made: pd.DataFrame = self._as_read(found).to_pandas()
        return made

    def _as_read(self, found: pa.Table) -> pa.Table:
        # The database knows fewer types than Parquet, and shows times in its own zone.
        first = self.schemas[0]
        for place, name in enumerate(found.column_names):
            kinds = {schema.field(name).type for schema in self.schemas if name in schema.names}
            if len(kinds) == 1:
                found = found.set_column(place, name, _cast(found.column(place), kinds.pop()))
        return found.replace_schema_metadata(first.metadata)


@contextlib.contextmanager
def opened(units: Sequence[Unit], data: DataSpec) -> Iterator[OnDisk]:
    """Yield some files as tables. Raises `UsageError` where the database cannot read them."""
    import duckdb
    from pyarrow import parquet

    with tempfile.TemporaryDirectory(prefix="mlplat-rows-") as folder, duckdb.connect() as database:
        database.execute(f"SET memory_limit = '{MEMORY}'")
        database.execute("SET temp_directory = ?", [folder])
        database.execute("SET TimeZone = ?", [data.timezone])
        paths = list(_as_parquet(units, Path(folder)))
        with said_of(data):
            database.execute(f"CREATE VIEW {ROWS} AS " + " UNION ALL BY NAME ".join(_parts(units, paths)))
        yield OnDisk(database, [parquet.read_schema(path) for path in paths])


@contextlib.contextmanager
def said_of(data: DataSpec) -> Iterator[None]:
    """Raise as `UsageError` what the database says of the files."""
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        first = str(error).partition("\n")[0]
        raise UsageError(f"{data.origin}: cannot be read: {first}", hint="mend the files, or the query") from error


def moment(data: DataSpec) -> str:
    """Return the term for the time that a row is about."""
    return f"CAST({name(data.time or '')} AS TIMESTAMPTZ)"


def name(column: str) -> str:
    """Return a column's name, quoted."""
    return '"' + column.replace('"', '""') + '"'


def _text(value: object) -> str:
    return "'" + str(value).replace("'", "''") + "'"


def _cast(values: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    import pyarrow as pa

    with contextlib.suppress(pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return values.cast(kind)
    return values


def _parts(units: Sequence[Unit], paths: Sequence[Path]) -> Iterator[str]:
    for number, path in enumerate(paths):
        below = units[number].below
        limit = f" WHERE {name(below[0])} < {_text(below[1])}" if below else ""
        file = f"read_parquet({_text(path)}, file_row_number=true)"
        own = f"* EXCLUDE (file_row_number), {number} AS mlplat_file, file_row_number AS mlplat_row"
        yield f"SELECT {own} FROM {file}{limit}"  # noqa: S608 - names and texts are quoted


def _as_parquet(units: Sequence[Unit], folder: Path) -> Iterator[Path]:
    csv = [unit.path for unit in units if unit.path.suffix.lower() == ".csv"]
    kinds = table.whole_types([table.kinds(batch) for path in csv for batch in _batches(path, None)]) if csv else {}
    for number, unit in enumerate(units):
        yield _converted(unit.path, kinds, folder / f"{number}.parquet") if unit.path in csv else unit.path


def _converted(path: Path, kinds: dict[str, str], made: Path) -> Path:
    import pyarrow as pa
    from pyarrow import parquet

    writer = None
    try:
        for batch in _batches(path, kinds):
            rows = pa.Table.from_pandas(batch, schema=writer.schema if writer else None, preserve_index=False)
            writer = writer or parquet.ParquetWriter(made, rows.schema)
            writer.write_table(rows)
    finally:
        if writer:
            writer.close()
    return made


def _batches(path: Path, kinds: dict[str, str] | None) -> Iterator[pd.DataFrame]:
    with pd.read_csv(path, encoding=table.ENCODING, chunksize=BATCH, dtype=kinds) as batches:
        yield from batches
