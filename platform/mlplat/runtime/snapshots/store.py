"""Training sets by their content: kept once each, restored exactly, and let go when newer ones have come.

A snapshot is a record (`snapshot.json`), which stays, and rows (`rows.parquet`), which stay for as long as they are
among the newest. The record is written first: rows without one would belong to nobody.
"""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import pandas as pd

from mlplat.errors import MlplatError, RefusedError, UsageError
from mlplat.runtime.hashing import hash_rows
from mlplat.runtime.snapshots.place import Place

FOLDER = "snapshots"
VERSION = 1
SHORTEST = 6
"""Fewest digits that a hash may be shortened to."""


@dataclass(frozen=True)
class Snapshot:
    """What is known of a training set. Holds no value of a key."""

    hash: str
    """Content hash of its rows, `sha256:…`; runs and versions bear it as `mlplat.data`."""
    created: str
    """UTC, ISO 8601, by the platform's clock."""
    used: str
    """When it was last trained on."""
    rows: int
    columns: dict[str, str]
    """Type by name."""
    keys: list[str]
    facts: dict[str, Any] = field(default_factory=dict)
    """`sources`, `tables`, `quality`, `availability`, `commit`, `lock`, `mlplat`."""
    replaced_by: str | None = None
    """Hash of the snapshot that holds what is left of it after something was erased."""
    version: int = VERSION

    @property
    def name(self) -> str:
        """Return the hash's digits."""
        return self.hash.removeprefix("sha256:")


class DamagedRecordError(MlplatError):
    """A snapshot's record cannot be read."""


class Snapshots:
    """The snapshots of one place."""

    def __init__(self, place: Place) -> None:
        self.place = place

    def all(self) -> list[Snapshot]:
        """Return every snapshot, the one that was used last first.

        Raises `DamagedRecordError`, and `MlplatError` for what a newer mlplat wrote.
        """
        return _latest_first(map(self._read, self._records()))

    def find(self, wanted: str) -> Snapshot:
        """Return a snapshot by its hash or the beginning of it. Raises `UsageError` unless there is exactly one."""
        digits = wanted.removeprefix("sha256:")
        found = [each for each in self.all() if each.name.startswith(digits)] if len(digits) >= SHORTEST else []
        if len(found) != 1:
            which = "several snapshots begin" if found else "no snapshot begins"
            hint = f"`mlplat data list` shows them; at least {SHORTEST} digits are needed"
            raise UsageError(f"{which} with `{wanted}`", hint=hint)
        return found[0]

    def get(self, known: str) -> Snapshot:
        """Return the snapshot of a hash that is known whole. Raises `RefusedError` when there is no record of it."""
        try:
            return self._read(f"{FOLDER}/{known.removeprefix('sha256:')}/snapshot.json")
        except FileNotFoundError as error:
            raise RefusedError(
                f"{self.place.address} has no snapshot {known.removeprefix('sha256:')[:12]}",
                hint="begin the run anew: somebody has removed what it learns from",
            ) from error

    def rows(self, snapshot: Snapshot) -> pd.DataFrame:
        """Return a snapshot's rows (n × columns), exactly as they were learned from.

        Raises `RefusedError` when they are kept no longer, or are not what the hash says.
        """
        try:
            rows = unpack(self.place.read(rows_of(snapshot)))
        except FileNotFoundError as error:
            raise RefusedError(
                f"the rows of snapshot {snapshot.name[:12]} are kept no longer", hint=_gone(snapshot)
            ) from error
        if (found := hash_rows(rows)) != snapshot.hash:
            raise RefusedError(
                f"snapshot {snapshot.name[:12]} holds rows of the hash {found}: they were changed",
                hint=f"remove {self.place.address}/{rows_of(snapshot)}, and train anew",
            )
        return rows

    def has_rows(self, snapshot: Snapshot) -> bool:
        """Tell whether a snapshot's rows are still kept."""
        return self.place.has(rows_of(snapshot))

    def keep(self, snapshot: Snapshot, packed: bytes, limit: int) -> Snapshot:
        """Put a snapshot there, once, and let the rows of the oldest beyond `limit` go; return it as it stands.

        Its own rows stay also where the limit is 0: they are what the run's steps read, until `release`. A record that
        was damaged is written anew.
        """
        if self.place.has(_record(snapshot)):
            with contextlib.suppress(DamagedRecordError):
                snapshot = replace(self._read(_record(snapshot)), used=snapshot.used)
        self.write(snapshot)
        if not self.has_rows(snapshot):
            self.place.write(rows_of(snapshot), packed)
        self.retain(max(limit, 1))
        return snapshot

    def release(self, known: str, limit: int) -> None:
        """Let the rows of a run that is over go, where none are kept."""
        if not limit:
            self.place.remove(rows_of(self.get(known)))

    def write(self, snapshot: Snapshot) -> None:
        """Write a record."""
        self.place.write(_record(snapshot), (json.dumps(asdict(snapshot), indent=2) + "\n").encode())

    def retain(self, limit: int) -> None:
        """Remove the rows of all but the `limit` snapshots that were used last.

        Those of a damaged record stay: no run waits for somebody to mend what it does not need.
        """
        kept = [each for each in self._readable() if self.has_rows(each)]
        for each in kept[limit:]:
            self.place.remove(rows_of(each))

    def origins(self, found: str) -> set[str]:
        """Return a snapshot's hash and those that it came of by erasing: whoever learned from one saw its rows."""
        known, origins = self.all(), {found}
        while more := {each.hash for each in known if each.replaced_by in origins} - origins:
            origins |= more
        return origins

    def _records(self) -> list[str]:
        return [name for name in self.place.names(FOLDER) if name.endswith("/snapshot.json")]

    def _readable(self) -> list[Snapshot]:
        found = []
        for name in self._records():
            with contextlib.suppress(DamagedRecordError):
                found.append(self._read(name))
        return _latest_first(found)

    def _read(self, name: str) -> Snapshot:
        try:
            found = json.loads(self.place.read(name))
            if found["version"] > VERSION:
                raise MlplatError(f"{name}: was written by a newer mlplat", hint="use that one, or a newer one")
            return Snapshot(**found)
        except (ValueError, KeyError, TypeError) as error:
            raise DamagedRecordError(
                f"{self.place.address}/{name}: is no snapshot's record: {error}",
                hint="put back a copy of it, or remove its folder: its rows cannot be trained on again then",
            ) from error


def _latest_first(found: Iterable[Snapshot]) -> list[Snapshot]:
    return sorted(found, key=lambda each: (each.used, each.hash), reverse=True)


def rows_of(snapshot: Snapshot) -> str:
    """Return the name of the file with a snapshot's rows."""
    return f"{FOLDER}/{snapshot.name}/rows.parquet"


def _record(snapshot: Snapshot) -> str:
    return f"{FOLDER}/{snapshot.name}/snapshot.json"


def _gone(snapshot: Snapshot) -> str:
    if snapshot.replaced_by:
        return f"rows were erased from it: what is left is snapshot {snapshot.replaced_by.removeprefix('sha256:')[:12]}"
    return "`data.keep_snapshots` of mlplat.yaml says how many are kept"


def pack(rows: pd.DataFrame) -> bytes:
    """Return rows as Parquet. Raises `UsageError` naming a column that cannot be written."""
    from pyarrow import ArrowException

    stream = io.BytesIO()
    try:
        rows.to_parquet(stream, index=False, compression="zstd")
    except ArrowException as error:
        raise UsageError(f"the rows cannot be kept as Parquet: {error}", hint="give the column one type") from error
    return stream.getvalue()


def unpack(packed: bytes) -> pd.DataFrame:
    """Return rows that were packed; to pack them again changes nothing in them."""
    return pd.read_parquet(io.BytesIO(packed))
