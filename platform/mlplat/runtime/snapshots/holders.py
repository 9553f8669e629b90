"""Who holds rows of an entity, and how each is rid of them.

A holder names its items and how many of an entity's rows each holds, and erases them from one item at a time. To erase
twice is to erase once: what an interrupted erasure has done already is found done. A new kind of place is one class
here and one line in `of`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from mlplat.runtime.hashing import hash_rows
from mlplat.runtime.online import Online
from mlplat.runtime.snapshots.place import Place
from mlplat.runtime.snapshots.reviews import Reviews
from mlplat.runtime.snapshots.store import Snapshots, pack, rows_of, unpack
from mlplat.runtime.snapshots.tombstones import Held, of_entity, written
from mlplat.runtime.sources.files import FETCHED

QUARANTINE = "quarantine"
PARTS = ".parquet"
READERS = 16
"""Parts of a log that are looked into at a time: those in a bucket are mostly waited for."""


class Holder(Protocol):
    """A kind of place in which an entity's rows may lie."""

    name: str

    def find(self, column: str, value: str) -> Iterable[Held]:
        """Yield the items that hold rows whose `column` is `value`."""

    def erase(self, held: Held, column: str, value: str) -> str | None:
        """Erase them from one item; return the content hash of what is left, or None where nothing is."""


class InSnapshots:
    """Training sets: each becomes one of another hash, and both records say so."""

    name = "snapshot"

    def __init__(self, snapshots: Snapshots) -> None:
        self.snapshots = snapshots

    def find(self, column: str, value: str) -> Iterable[Held]:
        """Yield the snapshots that hold rows of an entity."""
        for each in self.snapshots.all():
            if column in each.columns and self.snapshots.has_rows(each):
                count = int(of_entity(self.snapshots.rows(each)[column], value).sum())
                if count:
                    yield Held(self.name, each.name, count, each.hash)

    def erase(self, held: Held, column: str, value: str) -> str | None:
        """Put what is left beside it, then let both say so, and remove the old rows last."""
        found = next(each for each in self.snapshots.all() if each.hash == held.before)
        if not self.snapshots.has_rows(found):
            return found.replaced_by
        rows = self.snapshots.rows(found)
        left = unpack(pack(rows[~of_entity(rows[column], value)].reset_index(drop=True)))
        made = replace(found, hash=hash_rows(left), rows=len(left), replaced_by=None)
        # The figures are those of the rows that are gone.
        made = replace(made, facts={**found.facts, "quality": {}})
        place = self.snapshots.place
        if not place.has(rows_of(made)):
            self.snapshots.write(made)
            place.write(rows_of(made), pack(left))
        self.snapshots.write(replace(found, replaced_by=made.hash, facts={**found.facts, "quality": {}}))
        place.remove(rows_of(found))
        return made.hash


class InQuarantine:
    """Rows that were set aside."""

    name = "quarantine"

    def __init__(self, place: Place) -> None:
        self.place = place

    def find(self, column: str, value: str) -> Iterable[Held]:
        """Yield the files that hold rows of an entity."""
        for name in self.place.names(QUARANTINE):
            content = self.place.read(name)
            rows = unpack(content)
            count = int(of_entity(rows[column], value).sum()) if column in rows.columns else 0
            if count:
                yield Held(self.name, name, count, _hash(content))

    def erase(self, held: Held, column: str, value: str) -> str | None:
        """Write the file again without them."""
        if not self.place.has(held.item):
            return None
        rows = unpack(self.place.read(held.item))
        left = pack(rows[~of_entity(rows[column], value)].reset_index(drop=True))
        self.place.write(held.item, left)
        return _hash(left)


class InPredictionLog:
    """Parts of the prediction logs of a project's endpoints, here or in a bucket, whose columns may be hashed."""

    name = "prediction log"

    def __init__(self, log: Place, project: str, key: bytes | None) -> None:
        self.log, self.project, self.key = log, project, key

    def find(self, column: str, value: str) -> Iterable[Held]:
        """Yield the parts that hold rows of an entity."""
        names = [each for each in self.log.names("") if each.startswith(f"{self.project}.") and each.endswith(PARTS)]
        with ThreadPoolExecutor(READERS) as pool:
            for name, held in zip(names, pool.map(lambda name: self._held(name, column, value), names), strict=True):
                if held is not None and (count := int(held[1].sum())):
                    yield Held(self.name, name, count, _hash(held[0]))

    def erase(self, held: Held, column: str, value: str) -> str | None:
        """Write the part again without them, as old as it was: its age says how long it is kept."""
        from pyarrow import BufferOutputStream, BufferReader, array, parquet

        found = self._held(held.item, column, value)
        if found is None:
            return None
        content, mask = found
        if not mask.any():
            return _hash(content)
        left = parquet.ParquetFile(BufferReader(content)).read().filter(array(~mask))
        if not left.num_rows:
            self.log.remove(held.item)
            return None
        stream = BufferOutputStream()
        parquet.write_table(left, stream, compression="zstd")
        self.log.replace(held.item, stream.getvalue().to_pybytes())
        return _hash(stream.getvalue().to_pybytes())

    def _held(self, name: str, column: str, value: str) -> tuple[bytes, Any] | None:
        """Return a part and which of its rows are the entity's; None where it does not say, or is gone."""
        from pyarrow import BufferReader, parquet

        from mlplat.serving import parts

        try:
            content = self.log.read(name)
        except FileNotFoundError:  # too old meanwhile
            return None
        with parquet.ParquetFile(BufferReader(content)) as part:
            names = part.schema_arrow.names
            if (plain := f"input_{column}") in names:
                return content, of_entity(part.read(columns=[plain]).to_pandas()[plain], value).to_numpy()
            if (hashed := f"hash_{column}") in names and self.key:
                wanted = [parts.hash_text(column, text, self.key) for text in _spelled(value)]
                return content, part.read(columns=[hashed]).to_pandas()[hashed].isin(wanted).to_numpy()
        return None


class InReviews:
    """What people labelled: a label goes with the row that it is of."""

    name = "review"

    def __init__(self, place: Place) -> None:
        self.reviews = Reviews(place)

    def find(self, column: str, value: str) -> Iterable[Held]:
        """Yield the labels of an entity's rows."""
        for name in self.reviews.names():
            cell = self.reviews.row(name).get(column)
            if cell is not None and written(cell) == value:
                yield Held(self.name, name, 1, _hash(self.reviews.place.read(name)))

    def erase(self, held: Held, column: str, value: str) -> str | None:  # noqa: ARG002 - all holders are asked alike
        """Remove the label."""
        self.reviews.place.remove(held.item)
        return None


class InFetched:
    """What was brought from a source: removed whole, since it is brought again, and then without erased rows."""

    name = "fetched"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find(self, column: str, value: str) -> Iterable[Held]:
        """Yield the files that hold rows of an entity."""
        from mlplat.runtime import table

        for path in sorted(path for suffix in ("csv", "parquet") for path in self.folder.rglob(f"[!.]*.{suffix}")):
            rows = table.read(path)
            count = int(of_entity(rows[column], value).sum()) if column in rows.columns else 0
            if count:
                yield Held(self.name, str(path.relative_to(self.folder)), count, _hash(path.read_bytes()))

    def erase(self, held: Held, column: str, value: str) -> str | None:  # noqa: ARG002 - all holders are asked alike
        """Remove the file."""
        (self.folder / held.item).unlink(missing_ok=True)
        return None


class InOnlineStore:
    """Values that the platform's feature server has for who asks: rows of an entity, or that one of them names."""

    name = "online store"

    def __init__(self, server: Online) -> None:
        self.server = server

    def find(self, column: str, value: str) -> Iterable[Held]:
        """Yield the groups that hold rows of an entity. Raises `UnreachableError`."""
        for each in self.server.holding(column, value):
            yield Held(self.name, each["group"], each["rows"], each["hash"])

    def erase(self, held: Held, column: str, value: str) -> str | None:
        """Remove the rows; what is pushed from then on comes without them. Raises `UnreachableError`."""
        return self.server.erase(held.item, column, value)


def of(project: Path, name: str, *, log: str | None, log_key: bytes | None, features: str | None) -> list[Holder]:
    """Return everything that holds rows of a project; `log` is where its platform's prediction logs lie.

    That is a folder or an `s3://` address, with a folder an endpoint below it; `log_key` is the key of its hashes.
    `features` is the URL of the platform's feature server.
    """
    place = Place.of(project)
    found: list[Holder] = [
        InSnapshots(Snapshots(place)),
        InQuarantine(place),
        InReviews(place),
        InFetched(project / FETCHED),
    ]
    found += [InPredictionLog(Place(log), name, log_key)] if log else []
    return [*found, InOnlineStore(Online.of(features, name))] if features else found


def _spelled(value: str) -> set[str]:
    """Return a value as the log hashes it in a column of any type: 7 is `7.0` where numbers may have fractions."""
    try:
        return {value, str(float(value))}
    except ValueError:
        return {value}


def _hash(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
