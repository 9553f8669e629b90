"""What a project tells of its features, and putting that down in Feast's registry, where it is only ever added to.

A group of features is a view of the same name; the version of a model that looks features up has a service of its own,
which names its columns. A view gains columns and never loses one, and its keys and types stay, so whatever an older
version's service names goes on being answered.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from datetime import timedelta
from typing import Annotated, Any, Literal

from feast import Entity, FeatureService, FeatureView, Field
from feast.errors import EntityNotFoundException, FeatureServiceNotFoundException, FeatureViewNotFoundException
from feast.types import Bool, Float64, Int64, String
from feast.value_type import ValueType
from pydantic import BaseModel, ConfigDict, StringConstraints
from pydantic import Field as Limits

Type = Literal["boolean", "long", "double", "string"]
TYPES: dict[str, Any] = {"boolean": Bool, "long": Int64, "double": Float64, "string": String}
"""Feast's type by a contract's."""
NAMES = {kind: name for name, kind in TYPES.items()}
Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]
ViewName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=100)]
_defining = threading.Lock()
"""Between threads of this server; what is between servers is the store's to say."""


class ConflictError(Exception):
    """What is told cannot be added to what is there."""


class Column(BaseModel):
    """A feature."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: Name
    type: Type


class Key(Column):
    """What values are found by."""

    type: Literal["long", "string"]


class Group(BaseModel):
    """Columns that are looked up together."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: ViewName
    keys: Annotated[tuple[Key, ...], Limits(min_length=1)]
    columns: Annotated[tuple[Column, ...], Limits(min_length=1)]


class Definitions(BaseModel):
    """All that one version of a model looks up."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    service: Name
    groups: Annotated[tuple[Group, ...], Limits(min_length=1)]


def put(store: Any, given: Definitions) -> dict[str, Any]:
    """Add a project's definitions to what is there; return whether they are the first, and what columns are new.

    Tables come first and the service last, so that what a killed server leaves behind is whole as far as it goes, and
    is completed by the next try. Raises `ConflictError`, and then nothing was changed.
    """
    online = store.provider.online_store
    with _defining, online.exclusive(store.config):
        there = {group.name: _view(store, group.name) for group in given.groups}
        for group in given.groups:
            _refuse_conflicts(store, group, there[group.name])
        views = {group.name: _joined(group, there[group.name]) for group in given.groups}
        service = _service(store, given, views)
        first = not store.registry.list_feature_services(store.project, allow_cache=False)
        online.make(store.config, list(views.values()))
        added = {group.name: _added(group, there[group.name]) for group in given.groups}
        for key in {key.name: key for group in given.groups for key in group.keys}.values():
            store.registry.apply_entity(_entity(key), store.project)
        for name, view in views.items():
            if added[name]:
                store.registry.apply_feature_view(view, store.project)
        if service:
            store.registry.apply_feature_service(service, store.project)
    store.refresh_registry()
    return {"service": given.service, "first": first, "added": added}


def columns_of(fields: Iterable[Any]) -> dict[str, str]:
    """Return the contract's type of each of Feast's fields, by name."""
    return {field.name: NAMES.get(field.dtype, str(field.dtype)) for field in fields}


def _view(store: Any, name: str) -> Any:
    try:
        return store.registry.get_feature_view(name, store.project, allow_cache=False)
    except FeatureViewNotFoundException:
        return None


def _refuse_conflicts(store: Any, group: Group, there: Any) -> None:
    told: dict[str, str] = {key.name: key.type for key in group.keys}
    for key in group.keys:
        _refuse_other_type(store, key)
    if there is None:
        return
    keys, columns = columns_of(there.entity_columns), columns_of(there.features)
    if keys != told:
        raise ConflictError(
            f"`{group.name}` is looked up by {_listed(keys)}, and not by {_listed(told)}: give the group another name"
        )
    for column in group.columns:
        if columns.get(column.name, column.type) != column.type:
            raise ConflictError(
                f"`{group.name}.{column.name}` is of type {columns[column.name]}, and not {column.type}:"
                " give the column or the group another name"
            )


def _refuse_other_type(store: Any, key: Column) -> None:
    try:
        there = store.registry.get_entity(key.name, store.project, allow_cache=False)
    except EntityNotFoundException:
        return
    if there.value_type != _entity(key).value_type:
        raise ConflictError(
            f"the key `{key.name}` is of type {there.value_type.name.lower()}, and not {key.type}: give it another name"
        )


def _listed(columns: dict[str, str]) -> str:
    return ", ".join(f"`{name}` ({kind})" for name, kind in columns.items())


def _entity(key: Column) -> Any:
    return Entity(name=key.name, join_keys=[key.name], value_type=ValueType[TYPES[key.type].to_value_type().name])


def _joined(group: Group, there: Any) -> Any:
    kept = columns_of(there.features) if there else {}
    columns = {**kept, **{column.name: column.type for column in group.columns}}
    fields = {**{key.name: key.type for key in group.keys}, **columns}
    return FeatureView(
        name=group.name,
        entities=[_entity(key) for key in group.keys],
        schema=[Field(name=name, dtype=TYPES[kind]) for name, kind in fields.items()],
        # How long a value counts is said by each version's contract, and judged by the platform's clock, not by ours.
        ttl=timedelta(0),
        source=None,
    )


def _added(group: Group, there: Any) -> list[str]:
    kept = columns_of(there.features) if there else {}
    return [column.name for column in group.columns if column.name not in kept]


def _service(store: Any, given: Definitions, views: dict[str, Any]) -> Any:
    """Return the service, or None where it is there as it is told."""
    wanted = {group.name: sorted(column.name for column in group.columns) for group in given.groups}
    try:
        there = store.registry.get_feature_service(given.service, store.project, allow_cache=False)
    except FeatureServiceNotFoundException:
        chosen = [views[group.name][[column.name for column in group.columns]] for group in given.groups]
        return FeatureService(name=given.service, features=chosen)
    found = {each.name: sorted(field.name for field in each.features) for each in there.feature_view_projections}
    if found != wanted:
        raise ConflictError(f"the feature service `{given.service}` is there, with other columns: name it otherwise")
    return None
