"""Values of a group, and writing them down: a row as a whole, and never over a newer one.

Feast's own `/push` guesses types from what it is sent, keeps the old values of a row all of whose features became
unknown, and writes over newer rows. Here types are the view's, what is not told becomes unknown, and a row that is
older than what is there is left out, and counted.
"""

from __future__ import annotations

import functools
import math
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from feast.errors import FeatureViewNotFoundException
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from mlplat.online.definitions import columns_of

MOST_ROWS = 5000
"""Of one request. SQLite reads at most 32,766 keys at once."""
Plain = bool | int | float | str | None
_writing = threading.Lock()
"""Between looking for what is newer and writing."""


class UnknownGroupError(Exception):
    """Nobody has told of such a group."""


class RowError(Exception):
    """A value, a key or a column is not what the group has."""


class Values(BaseModel):
    """Rows of one group, by column."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    group: str
    observed: Annotated[list[AwareDatetime], Field(min_length=1, max_length=MOST_ROWS)]
    """When each row was as it is, by the platform's clock."""
    keys: dict[str, list[Plain]]
    columns: dict[str, list[Plain]]


def write(store: Any, given: Values) -> dict[str, Any]:
    """Write rows; return how many were written, how many are older than what is there, and which columns nobody knows.

    Those are of a version that has yet to be trained, and no reason to keep the others' values from who serves. Raises
    `UnknownGroupError` or `RowError`, and then nothing was written.
    """
    try:
        view = store.registry.get_feature_view(given.group, store.project, allow_cache=False)
    except FeatureViewNotFoundException:
        raise UnknownGroupError(f"no version has told that it looks `{given.group}` up") from None
    columns = columns_of(view.features)
    rows = _newest(_rows(given, columns_of(view.entity_columns), columns))
    online = store.provider.online_store
    # A database that compares by itself does so for all servers at once.
    put = getattr(online, "put_newer", functools.partial(_put_newer, online))
    written = put(store.config, view, rows)
    unknown = sorted(given.columns.keys() - columns.keys())
    return {"written": written, "older": len(given.observed) - written, "unknown": unknown}


Row = tuple[Any, dict[str, Any], datetime]


def _put_newer(online: Any, config: Any, view: Any, rows: list[Row]) -> int:
    with _writing:
        # By name: without names, Feast's query of PostgreSQL has one parameter too many.
        columns = [field.name for field in view.features]
        there = online.online_read(config, view, [key for key, _, _ in rows], columns)
        taken = [row for row, (at, _) in zip(rows, there, strict=True) if at is None or _utc(at) <= row[2]]
        online.online_write_batch(config, view, [(*row, None) for row in taken], None)
    return len(taken)


def _newest(rows: Iterator[Row]) -> list[Row]:
    """Return the last row of each key."""
    ordered = sorted(rows, key=lambda row: row[2])
    return list({row[0].SerializeToString(deterministic=True): row for row in ordered}.values())


def _rows(given: Values, keys: Mapping[str, str], columns: Mapping[str, str]) -> Iterator[Row]:
    _refuse_keys(given.keys, keys)
    for place, lists in (("keys", given.keys), ("columns", given.columns)):
        for name, values in lists.items():
            if len(values) != len(given.observed):
                raise RowError(f"{place}.{name}: {len(values)} values for {len(given.observed)} times")
    for row, at in enumerate(given.observed):
        named = [_value(f"keys.{key}.{row}", given.keys[key][row], kind) for key, kind in keys.items()]
        if empty := [key for key in keys if given.keys[key][row] is None]:
            raise RowError(f"keys.{empty[0]}.{row}: is null")
        # All columns of the view: what is not told is not known any more.
        told = {
            name: _value(f"columns.{name}.{row}", given.columns[name][row] if name in given.columns else None, kind)
            for name, kind in columns.items()
        }
        yield EntityKey(join_keys=list(keys), entity_values=named), told, _utc(at)


def _refuse_keys(given: Iterable[str], known: Iterable[str]) -> None:
    if missing := [name for name in known if name not in given]:
        raise RowError(f"keys.{missing[0]}: is required")
    if unknown := [name for name in given if name not in known]:
        raise RowError(f"keys.{unknown[0]}: is none of {', '.join(known)}")


def _is_number(given: Any) -> bool:
    return isinstance(given, int | float) and not isinstance(given, bool) and math.isfinite(given)


_MADE: dict[str, tuple[Callable[[Any], bool], Callable[[Any], Any]]] = {
    "boolean": (lambda value: isinstance(value, bool), lambda value: Value(bool_val=value)),
    "string": (lambda value: isinstance(value, str), lambda value: Value(string_val=value)),
    # A column of whole numbers of which some are missing is one of numbers with a point.
    "long": (
        lambda value: _is_number(value) and value == int(value) and -(2**63) <= value < 2**63,
        lambda value: Value(int64_val=int(value)),
    ),
    "double": (_is_number, lambda value: Value(double_val=float(value))),
}
"""By type, whether a value is of it, and what Feast makes of it."""


def _value(place: str, given: Plain, kind: str) -> Any:
    if given is None:
        return Value()
    if kind not in _MADE:
        raise RowError(f"{place}: is of type {kind}, which only Feast's own clients write")
    fits, made = _MADE[kind]
    if not fits(given):
        raise RowError(f"{place}: {given!r} is no {kind}")
    return made(given)


def _utc(at: datetime) -> datetime:
    return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
