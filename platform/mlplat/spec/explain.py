"""What a key means, said by the models themselves: their types, defaults and sentences are the one source."""

from __future__ import annotations

import inspect
import json
from dataclasses import dataclass
from typing import Any

from pydantic_core import PydanticUndefined

from mlplat.errors import UsageError
from mlplat.spec.base import Spec, fields_of, model_at, spec_in


@dataclass(frozen=True)
class Key:
    """One key of a document."""

    name: str
    shape: str
    """Its type, in words."""
    default: str | None
    """As JSON; None when the key is required, and for a group of keys."""
    required: bool
    sentence: str
    group: type[Spec] | None
    """The spec below it, where it is a group."""


def sentence(model: type[Spec]) -> str:
    """Return a spec's own sentence."""
    return inspect.getdoc(model) or ""


def keys(model: type[Spec]) -> list[Key]:
    """Return a spec's keys in the order in which they are written."""
    shapes = model.model_json_schema()
    return [_key(model, name, shapes) for name in model.model_fields]


def explain(model: type[Spec], path: str) -> tuple[Key | None, list[Key]]:
    """Return the key at a dotted path, and the keys below it. Raises `UsageError` where there is none."""
    parts = fields_of(model, tuple(part for part in path.split(".") if part))
    if not parts:
        return None, keys(model)
    owner, name = model_at(model, parts[:-1]), str(parts[-1])
    if owner is None or name not in owner.model_fields:
        known = ", ".join(owner.model_fields) if owner else ""
        raise UsageError(f"there is no key `{path}`", hint=f"keys there: {known}" if known else None)
    key = _key(owner, name, owner.model_json_schema())
    return key, keys(key.group) if key.group else []


def _key(model: type[Spec], name: str, schema: dict[str, Any]) -> Key:
    field = model.model_fields[name]
    group = spec_in(field.annotation)
    shape = _type(schema["properties"][name], schema)
    default = None if group or field.is_required() else _json(field)
    return Key(name, shape, default, field.is_required(), field.description or "", group)


def _json(field: Any) -> str | None:
    value = field.get_default(call_default_factory=True)
    return None if value is PydanticUndefined else json.dumps(value, default=str)


def _type(shape: dict[str, Any], schema: dict[str, Any]) -> str:
    if "$ref" in shape:
        target = schema["$defs"][shape["$ref"].rpartition("/")[2]]
        return "keys" if target.get("type") == "object" else _type(target, schema)
    if choices := shape.get("anyOf") or shape.get("oneOf"):
        return " or ".join(dict.fromkeys(_type(choice, schema) for choice in choices))
    if "const" in shape or "enum" in shape:
        return " or ".join(json.dumps(value) for value in shape.get("enum", [shape.get("const")]))
    if shape.get("type") == "array":
        return f"list of {_type(shape.get('items', {}), schema)}"
    if shape.get("type") == "object":
        below = shape.get("additionalProperties") or next(iter(shape.get("patternProperties", {}).values()), None)
        return f"map of names to {_type(below, schema)}" if isinstance(below, dict) else "map"
    return str(shape.get("type", "anything")) + _limits(shape)


def _limits(shape: dict[str, Any]) -> str:
    words = {
        "minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below",
        "format": "as",
    }  # fmt: skip
    told = [f"{word} {shape[key]}" for key, word in words.items() if key in shape]
    return f" ({', '.join(told)})" if told else ""
