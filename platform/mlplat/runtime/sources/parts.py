"""Reading files that are larger than memory a part of time after the other, each with the rows before it.

Features that are made of other rows, such as sums over the last days, cannot be built of a sample: its rows miss their
neighbours. So each part is read whole, with as much before it as its features look at, and only then a few of its own
rows are taken: the same ones that would be taken of the whole table. Parts begin at noon, where no zone changes its
offset: whichever way a local time that comes twice is read, its row is in one part.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlplat.errors import RefusedError, UsageError
from mlplat.runtime import record
from mlplat.runtime.evenly import evenly
from mlplat.runtime.sources import ondisk
from mlplat.runtime.sources.files import Unit
from mlplat.runtime.sources.ondisk import OnDisk
from mlplat.runtime.validation import validate
from mlplat.spec.project import DataSpec

if TYPE_CHECKING:
    from pandera.pandas import DataFrameSchema

BYTES = 128 * 2**20
"""What a part is to take; more only where the rows that its features look at take more."""
QUARTER = 15 * 60
"""Seconds by which rows are counted: offsets of zones are multiples of it."""
BEFORE = "mlplat_before"


@dataclass(frozen=True)
class Part:
    """Rows that are built together."""

    start: pd.Timestamp
    end: pd.Timestamp
    """Its own rows are about times from `start` to before `end`, both in UTC."""
    own: int
    """Own rows that have a target."""
    chosen: NDArray[np.intp]
    """Places, in order of time, of those that are taken."""
    held: int
    """All rows that are read, those before it included."""


class Parts:
    """Files of a project, and the part of them that is read now."""

    def __init__(self, files: OnDisk, data: DataSpec, parts: Sequence[Part]) -> None:
        self._files, self._data, self._parts = files, data, list(parts)

    @property
    def _part(self) -> Part:
        return self._parts[0]

    def advance(self) -> bool:
        """Go on to the next part; return whether there is one."""
        del self._parts[0]
        return bool(self._parts)

    def read(self, schema: DataFrameSchema) -> pd.DataFrame:
        """Return the part's rows that hold to a schema, those before it first; its own are noted as read.

        Raises as `validate` does, by the rows of one part, and `UsageError` for what cannot be read.
        """
        frame = self._read()
        before = int(frame.pop(BEFORE).sum())
        with record.recording() as noted:
            held = validate(frame, schema, self._data.origin, bad_rows=self._data.bad_rows)
        _note(self._data.origin, len(frame) - before, [bad[bad.index >= before] for _, bad in noted.quarantine])
        return held

    def _read(self) -> pd.DataFrame:
        time = ondisk.moment(self._data)
        query = (
            f"SELECT * EXCLUDE ({ondisk.PLACE}), {time} < $start AS {BEFORE} FROM {ondisk.ROWS}"  # noqa: S608 - names are quoted
            f" WHERE {time} >= $first AND {time} < $end ORDER BY {BEFORE} DESC, {ondisk.PLACE}"
        )
        first = self._part.start - _before(self._data)
        times = {"first": first, "start": self._part.start, "end": self._part.end}
        with ondisk.said_of(self._data):
            return self._files.frame(query, **{name: at.to_pydatetime() for name, at in times.items()})

    def chosen(self, built: pd.DataFrame) -> pd.DataFrame:
        """Return those of the rows that features were built of (n × columns) which are taken of this part."""
        time = self._data.time or ""
        own = built[(built[time] >= self._part.start) & (built[time] < self._part.end)]
        ordered = own.sort_values(time, kind="stable")
        # A project that leaves rows out, or adds some, gets as many of them as evenly.
        same = len(ordered) == self._part.own
        return ordered.iloc[self._part.chosen if same else evenly(len(ordered), len(self._part.chosen))]


def _note(what: str, rows: int, bad: Sequence[pd.DataFrame]) -> None:
    """Note what was read of a part with what was read of the parts before."""
    noted = record.current()
    count = sum(map(len, bad))
    entry = next((each for each in noted.tables if each["name"] == what), None)
    if entry is None:
        noted.tables.append(entry := {"name": what, "rows": 0, "quarantined": 0})
    entry["rows"] += rows
    entry["quarantined"] += count
    if count:
        former = [frame for name, frame in noted.quarantine if name == what]
        others = [each for each in noted.quarantine if each[0] != what]
        noted.quarantine[:] = [*others, (what, pd.concat([*former, *bad], ignore_index=True))]


@contextlib.contextmanager
def opened(units: Sequence[Unit], data: DataSpec, count: int, need: int, free: int) -> Iterator[Parts]:
    """Yield the parts of files of which `count` rows are taken; all of them would `need` so many bytes of memory.

    Raises `RefusedError` where even the rows that one day's features look at do not fit into what is `free`, and
    `UsageError` for files that cannot be read, or rows without a time.
    """
    with ondisk.opened(units, data) as files:
        with ondisk.said_of(data):
            counted = _counted(files, data)
        size = need / max(int(counted["rows"].sum()), 1)
        # As many rows as its own may lie before a part.
        found = plan(counted, data, count, limit=max(int(min(BYTES, free / 2) / max(size, 1)), 1))
        most = int(max(part.held for part in found) * size)
        if most > free:
            raise RefusedError(
                f"{data.origin}: the rows of a part of time and of {data.lookback_hours:g} hours before it take about "
                f"{most / 2**30:.1f} GiB of memory, and {free / 2**30:.1f} GiB are free",
                hint="have features look at fewer hours (`data.lookback_hours`), or give the step more memory",
            )
        yield Parts(files, data, found)


def _counted(files: OnDisk, data: DataSpec) -> pd.DataFrame:
    """Return how many rows, and how many of them `labelled`, are about each `quarter` of an hour since 1970."""
    found = files.frame(
        f"SELECT CAST(floor(epoch({ondisk.moment(data)}) / {QUARTER}) AS BIGINT) AS mlplat_quarter,"  # noqa: S608 - names are quoted
        f" count(*) AS mlplat_rows, count({ondisk.name(data.target)}) AS mlplat_labelled FROM {ondisk.ROWS}"
        " GROUP BY 1 ORDER BY 1"
    ).set_axis(["quarter", "rows", "labelled"], axis="columns")
    nowhere = found["quarter"].isna()
    if found.loc[nowhere, "labelled"].sum():
        raise UsageError(
            f"{data.origin}: `{data.time}` is missing in {found.loc[nowhere, 'labelled'].sum()} rows",
            hint="give every row one, or leave the row out",
        )
    found = found[~nowhere].astype("int64").reset_index(drop=True)
    if not found["labelled"].sum():
        raise UsageError(f"{data.origin}: the target `{data.target}` is missing in every row")
    return found


def plan(counted: pd.DataFrame, data: DataSpec, count: int, *, limit: int) -> list[Part]:
    """Return the parts of which rows are taken, in order of time.

    `counted` (n × `quarter`, `rows`, `labelled`) is sorted. A part has at least `limit` rows of its own, and at least
    as many as lie before it, so that none is read more than about twice.
    """
    at = counted["quarter"].to_numpy() * QUARTER
    edges = _noons(at, data.timezone)
    seconds = np.asarray(edges.as_unit("s").astype("int64"))
    rows, labelled = (np.concatenate([[0], counted[name].cumsum()]) for name in ("rows", "labelled"))
    below = np.searchsorted(at, seconds)
    first = rows[np.searchsorted(at, np.floor((seconds - _before(data).total_seconds()) / QUARTER) * QUARTER)]
    wanted = evenly(int(labelled[-1]), count)
    parts, start = [], 0
    for end in range(1, len(edges)):
        before = rows[below[start]] - first[start]
        own = rows[below[end]] - rows[below[start]]
        if own < max(limit, before) and end < len(edges) - 1:
            continue
        low, high = (int(labelled[below[each]]) for each in (start, end))
        places = wanted[np.searchsorted(wanted, low) : np.searchsorted(wanted, high)] - low
        if len(places):
            parts.append(Part(edges[start], edges[end], high - low, places, int(own + before)))
        start = end
    return parts


def _before(data: DataSpec) -> pd.Timedelta:
    """Return how long before a part rows are read: an hour more, by which a local time can be read in two ways."""
    return pd.Timedelta(hours=data.lookback_hours + 1)


def _noons(at: NDArray[np.int64], zone: str) -> pd.DatetimeIndex:
    """Return the noons of a zone from before the first to after the last of some ordered seconds since 1970."""
    local = pd.to_datetime(at[[0, -1]], unit="s", utc=True).tz_convert(zone).tz_localize(None).normalize()
    days = pd.date_range(local[0] - pd.Timedelta(days=1), local[1] + pd.Timedelta(days=1), freq="D")
    return (days + pd.Timedelta(hours=12)).tz_localize(zone).tz_convert("UTC")
