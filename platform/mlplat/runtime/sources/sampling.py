"""Rows of files that are larger than memory, taken evenly over time.

The database sorts and counts on disk where memory is short; what comes back are the chosen rows alone, the same ones
that would be chosen of the whole table.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from mlplat.runtime.evenly import evenly
from mlplat.runtime.sources import ondisk
from mlplat.runtime.sources.files import Unit
from mlplat.runtime.sources.ondisk import OnDisk
from mlplat.spec.project import DataSpec


def take(units: Sequence[Unit], data: DataSpec, count: int) -> pd.DataFrame:
    """Return at most `count` rows that have a target, evenly over time, or over the files where rows have none.

    Raises `UsageError` for files that cannot be read.
    """
    with ondisk.opened(units, data) as files, ondisk.said_of(data):
        return _taken(files, data, count)


def _taken(files: OnDisk, data: DataSpec, count: int) -> pd.DataFrame:
    import pyarrow as pa

    first = f"{ondisk.moment(data)}," if data.time else ""
    files.database.execute(
        f"CREATE TABLE numbered AS SELECT {ondisk.PLACE},"  # noqa: S608 - names are quoted
        f" row_number() OVER (ORDER BY {first} {ondisk.PLACE}) - 1 AS mlplat_place"
        f" FROM {ondisk.ROWS} WHERE {ondisk.name(data.target)} IS NOT NULL"
    )
    total = files.database.execute("SELECT count(*) FROM numbered").fetchall()[0][0]
    wanted = pa.table({"mlplat_place": evenly(total, count)})
    files.database.register("wanted", wanted)
    return files.frame(
        f"SELECT {ondisk.ROWS}.* EXCLUDE ({ondisk.PLACE}) FROM {ondisk.ROWS}"  # noqa: S608 - likewise
        f" JOIN numbered USING ({ondisk.PLACE}) JOIN wanted USING (mlplat_place) ORDER BY mlplat_place"
    )
