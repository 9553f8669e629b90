"""Whether statements allow a request: as much of IAM's evaluation as this repository's own statements need.

A statement with a condition that this does not know raises, so that no test passes by what it cannot read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

Context = Mapping[str, str | Sequence[str]]


def allowed(statements: Iterable[Mapping[str, Any]], action: str, resource: str, context: Context = {}) -> bool:  # noqa: B006 - read only
    """Tell whether statements, as IAM writes them, allow an action on a resource."""
    found = [each for each in statements if applies(each, action, resource, context)]
    return any(each["Effect"] == "Allow" for each in found) and all(each["Effect"] == "Allow" for each in found)


def applies(statement: Mapping[str, Any], action: str, resource: str, context: Context) -> bool:
    """Tell whether a statement speaks of a request."""
    return (
        any(like(action.lower(), each.lower()) for each in _listed(statement["Action"]))
        and any(like(resource, each) for each in _listed(statement.get("Resource", "*")))
        and all(
            holds(operator, _listed(values), context.get(key))
            for operator, keys in statement.get("Condition", {}).items()
            for key, values in keys.items()
        )
    )


def holds(operator: str, values: Sequence[str], found: str | Sequence[str] | None) -> bool:
    """Tell whether one condition holds; `ForAllValues` also does where the request has no such key."""
    quantifier, _, plain = operator.rpartition(":")
    tests: dict[str, Callable[[str], bool]] = {
        "StringEquals": lambda one: one in values,
        "StringNotEquals": lambda one: one not in values,
        "StringLike": lambda one: any(like(one, each) for each in values),
        "ArnEquals": lambda one: any(like(one, each) for each in values),
        "ArnLike": lambda one: any(like(one, each) for each in values),
        "Bool": lambda one: one in values,
    }
    test = tests[plain]
    if quantifier == "ForAllValues":
        return all(test(one) for one in _listed(found or []))
    if found is None:
        return plain.startswith("StringNot")
    assert isinstance(found, str), f"{operator} asks for one value"
    return test(found)


def like(text: str, pattern: str) -> bool:
    """Tell whether a text is as a pattern of IAM's says: `*` is any signs, `?` is one."""
    parts = {"*": ".*", "?": "."}
    return re.fullmatch("".join(parts.get(sign, re.escape(sign)) for sign in pattern), text, re.DOTALL) is not None


def _listed(value: Any) -> list[Any]:
    return [value] if isinstance(value, str) else list(value)
