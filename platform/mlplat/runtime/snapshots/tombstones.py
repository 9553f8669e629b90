"""What is left of what was erased: that it was, where, when and why, and by a keyed hash so much that it stays away.

A source that still holds an erased entity gives its rows again; they are dropped, by the hashes, before anything is
made of them. The key of the hashes lies beside the tombstones: whoever has both can try which value a hash stands for,
and nobody else can.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import Any

import pandas as pd

from mlplat.errors import MlplatError
from mlplat.runtime.snapshots.place import Place

FOLDER = "erasures"
KEY = f"{FOLDER}/key"
KEY_BYTES = 32
DIGITS = 32
VERSION = 1


@dataclass(frozen=True)
class Held:
    """Rows of an entity in one item of one holder."""

    holder: str
    item: str
    rows: int
    before: str
    """Content hash of the item with them."""
    after: str | None = None
    """Content hash of what is left; None when nothing is, or before they are erased."""
    done: bool = False


@dataclass
class Tombstone:
    """An erasure. Holds no personal data but what `reason` says."""

    id: str
    """Keyed hash of column and value."""
    column: str
    reason: str
    begun: str
    ended: str | None = None
    """When everything that was reached was done; None when it was interrupted."""
    held: list[Held] = field(default_factory=list)
    models: list[dict[str, str]] = field(default_factory=list)
    """`version` and `data` of the model versions that learned from the rows."""
    unreached: list[str] = field(default_factory=list)
    """What could not be looked into."""
    version: int = VERSION


def written(value: Any) -> str:
    """Return a cell's value as a person types it: `7` for 7 and 7.0, ISO 8601 for times."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value.isoformat() if isinstance(value, date) else str(value)


class Tombstones:
    """The erasures of one place."""

    def __init__(self, place: Place) -> None:
        self.place = place

    def all(self) -> list[Tombstone]:
        """Return every erasure. Raises `MlplatError` for a file that is none."""
        return [self._read(name) for name in self.place.names(FOLDER) if name.endswith(".json")]

    def find(self, column: str, value: str) -> Tombstone | None:
        """Return the erasure of an entity, finished or not."""
        name = f"{FOLDER}/{self.digest(column, value)}.json"
        return self._read(name) if self.place.has(name) else None

    def write(self, tombstone: Tombstone) -> None:
        """Write an erasure down."""
        content = json.dumps(asdict(tombstone), indent=2) + "\n"
        self.place.write(f"{FOLDER}/{tombstone.id}.json", content.encode())

    def digest(self, column: str, value: str) -> str:
        """Return the keyed hash of a column and a value, as it is typed."""
        made = hmac.new(self._key(), f"{column}\0{value}".encode("utf-8", "surrogatepass"), hashlib.sha256)
        return made.hexdigest()[:DIGITS]

    def without(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Return rows (n × columns) without those of entities that were erased."""
        gone: dict[str, set[str]] = {}
        for each in self.all():
            gone.setdefault(each.column, set()).add(each.id)
        for column in gone.keys() & {str(name) for name in rows.columns}:
            values = [
                value for value in rows[column].dropna().unique() if self.digest(column, written(value)) in gone[column]
            ]
            rows = rows[~rows[column].isin(values)] if values else rows
        return rows

    def _key(self) -> bytes:
        if not self.place.has(KEY):
            self.place.write(KEY, secrets.token_bytes(KEY_BYTES))
        return self.place.read(KEY)

    def _read(self, name: str) -> Tombstone:
        try:
            found = json.loads(self.place.read(name))
            return Tombstone(**{**found, "held": [Held(**each) for each in found["held"]]})
        except (ValueError, KeyError, TypeError) as error:
            raise MlplatError(f"{self.place.address}/{name}: is no record of an erasure: {error}") from error


def of_entity(values: pd.Series, value: str) -> pd.Series:
    """Return which values (n) are the one that a person typed."""
    wanted = [each for each in values.dropna().unique() if written(each) == value]
    return values.isin(wanted) if wanted else pd.Series(data=False, index=values.index)
