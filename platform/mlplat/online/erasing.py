"""Finding what is kept of an entity, and erasing it: the rows of which a key or a feature has its value.

A group's content is known by a hash, before and after, so that whoever erases can write both down. A value comes in a
request's body and goes nowhere else: into no address, no answer and no log.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Annotated, Any

from feast.errors import FeatureViewNotFoundException
from feast.infra.key_encoding_utils import deserialize_entity_key
from pydantic import BaseModel, ConfigDict, StringConstraints

from mlplat.online.definitions import Name, columns_of

AT_ONCE = 500
"""Rows of one removal."""


class Entity(BaseModel):
    """Whom rows are about."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    column: Name
    value: Annotated[str, StringConstraints(min_length=1)]
    """As a person types it: `7` for 7 and 7.0."""


class Erasure(Entity):
    """An entity, and the group that is to be rid of it."""

    group: Name


def find(store: Any, entity: Entity) -> dict[str, list[dict[str, Any]]]:
    """Return the groups that hold rows of an entity: how many, and the hash of the group's content with them."""
    views = store.registry.list_feature_views(store.project, allow_cache=False)
    looked = {view.name: _look(store, view, entity) for view in views if entity.column in _columns(view)}
    found = {name: {"rows": rows, "hash": told} for name, (rows, told) in looked.items() if rows}
    return {"groups": [{"group": name, **found[name]} for name in sorted(found)]}


def erase(store: Any, given: Erasure) -> dict[str, str | None]:
    """Remove an entity's rows from a group; return the hash of what is left, None where nothing is."""
    try:
        view = store.registry.get_feature_view(given.group, store.project, allow_cache=False)
    except FeatureViewNotFoundException:
        return {"hash": None}
    gone: list[bytes] = []
    for key, values in _rows(store, view):
        if _is_of(store, key, values, given):
            gone.append(key)
        if len(gone) == AT_ONCE:
            _remove(store, view, gone)
            gone = []
    _remove(store, view, gone)
    return {"hash": _look(store, view, given)[1]}


def _look(store: Any, view: Any, entity: Entity) -> tuple[int, str | None]:
    """Return how many rows are an entity's, and the hash of all; None where there are none."""
    count, rows, digest = 0, 0, hashlib.sha256()
    for rows, (key, values) in enumerate(_rows(store, view), 1):  # noqa: B007 - their number is what counts
        count += _is_of(store, key, values, entity)
        _add(digest, key)
        for name in sorted(values):
            _add(digest, name.encode())
            _add(digest, values[name].SerializeToString(deterministic=True))
    return count, f"sha256:{digest.hexdigest()}" if rows else None


def _add(digest: Any, part: bytes) -> None:
    """Add a part in such a way that no other parts come to the same."""
    digest.update(len(part).to_bytes(8))
    digest.update(part)


def _is_of(store: Any, key: bytes, values: dict[str, Any], entity: Entity) -> bool:
    cell = values.get(entity.column)
    if cell is not None:
        return written(cell) == entity.value
    named = deserialize_entity_key(key, store.config.entity_key_serialization_version)
    keys = dict(zip(named.join_keys, named.entity_values, strict=True))
    return entity.column in keys and written(keys[entity.column]) == entity.value


def written(cell: Any) -> str | None:
    """Return a cell as a person types it, as projects do that erase it elsewhere; None for one that is not known."""
    kind = cell.WhichOneof("val")
    value = getattr(cell, kind) if kind else None
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return None if value is None else str(value)


def _columns(view: Any) -> set[str]:
    return {*columns_of(view.entity_columns), *columns_of(view.features)}


def _rows(store: Any, view: Any) -> Iterator[tuple[bytes, dict[str, Any]]]:
    found: Iterator[tuple[bytes, dict[str, Any]]] = store.provider.online_store.rows(store.config, view)
    return found


def _remove(store: Any, view: Any, keys: list[bytes]) -> None:
    if keys:
        store.provider.online_store.remove(store.config, view, keys)
