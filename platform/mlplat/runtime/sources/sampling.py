"""Rows of files that are larger than memory, taken evenly over time.

DuckDB sorts and counts on disk where memory is short; what comes back are the chosen rows alone, the same ones that
would be chosen of the whole table. CSV files become Parquet first, a batch at a time, with the types that their columns
have when they are read as a whole.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from mlplat.runtime import table
from mlplat.runtime.evenly import evenly
from mlplat.runtime.sources.files import Unit
from mlplat.spec.project import DataSpec

BATCH = 100_000
"""Rows of a CSV file that are held at a time."""
MEMORY = "256MB"
"""What DuckDB may hold before it uses the disk."""


def take(units: Sequence[Unit], data: DataSpec, count: int) -> pd.DataFrame:
    """Return at most `count` rows that have a target, evenly over time, or over the files where rows have none."""
    import duckdb
    import pyarrow as pa

    with tempfile.TemporaryDirectory(prefix="mlplat-sample-") as folder, duckdb.connect() as database:
        database.execute(f"SET memory_limit = '{MEMORY}'")
        database.execute("SET temp_directory = ?", [folder])
        database.execute("SET TimeZone = ?", [data.timezone])
        _views(database, units, Path(folder), data)
        total = database.execute("SELECT count(*) FROM numbered").fetchall()[0][0]
        wanted = pa.table({"place": evenly(total, count)})
        database.register("wanted", wanted)
        query = (
            "SELECT rows.* EXCLUDE (file_row_number, file_number) FROM rows"
            " JOIN numbered USING (file_number, file_row_number) JOIN wanted USING (place) ORDER BY place"
        )
        found: pd.DataFrame = database.sql(query).to_arrow_table().to_pandas()
        return found


def _views(database: Any, units: Sequence[Unit], folder: Path, data: DataSpec) -> None:
    """Make `rows`, and `numbered`: where each row that has a target comes in time."""
    parts = []
    for number, path in enumerate(_as_parquet(units, folder)):
        below = units[number].below
        limit = f" WHERE {_name(below[0])} < {_text(below[1])}" if below else ""
        file = f"read_parquet({_text(path)}, file_row_number=true)"
        parts.append(f"SELECT *, {number} AS file_number FROM {file}{limit}")  # noqa: S608 - names and texts are quoted
    database.execute("CREATE VIEW rows AS " + " UNION ALL BY NAME ".join(parts))
    time = f"CAST({_name(data.time)} AS TIMESTAMPTZ)," if data.time else ""
    database.execute(
        f"CREATE TABLE numbered AS SELECT file_number, file_row_number,"  # noqa: S608 - likewise
        f" row_number() OVER (ORDER BY {time} file_number, file_row_number) - 1 AS place"
        f" FROM rows WHERE {_name(data.target)} IS NOT NULL"
    )


def _name(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'


def _text(value: object) -> str:
    return "'" + str(value).replace("'", "''") + "'"


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
