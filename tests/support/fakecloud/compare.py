"""What differs between a resource's inputs of before and of now."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def compare(old: Any, new: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield the path and `add`, `delete` or `update` of every leaf that differs."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            at = f"{path}.{key}" if path else key
            if key not in new:
                yield at, "delete"
            elif key not in old:
                yield at, "add"
            else:
                yield from compare(old[key], new[key], at)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, pair in enumerate(zip(old, new, strict=True)):
            yield from compare(*pair, f"{path}[{index}]")
    elif old != new:
        yield path, "update"
