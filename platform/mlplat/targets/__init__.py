"""Where a platform can stand. Each target is a package with the same promises (`mlplat.contracts`)."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from mlplat.errors import Problem, SpecError
from mlplat.spec.platform import PlatformSpec

NAMES = ("local", "kubernetes", "aws")
_ON_CLUSTERS = {
    "history of a deleted endpoint": "it is in the endpoint's resource and goes with it; the cluster keeps its own"
    " events for a while",
}
LESS: Mapping[str, Mapping[str, str]] = {
    "local": {},
    "kubernetes": _ON_CLUSTERS,
    "aws": _ON_CLUSTERS,
}
"""What a target does not do that others do, and why; keys of the spec that mean nothing to it are `unsupported`."""


def unsupported(target: str) -> dict[str, str]:
    """Return the keys of the spec that mean nothing to a target, and why."""
    found: dict[str, str] = importlib.import_module(f"mlplat.targets.{target}").UNSUPPORTED
    return found


def refuse_unsupported(spec: PlatformSpec, source: str) -> None:
    """Raise `SpecError` with every key that is written and means nothing to the target."""
    why = unsupported(spec.target)
    problems = [
        Problem(key, f"means nothing to the target `{spec.target}`: {reason}", "remove it, or choose another target")
        for key, reason in why.items()
        if _is_written(spec, key.split("."))
    ]
    if problems:
        raise SpecError(source, problems)


def _is_written(spec: Any, path: list[str]) -> bool:
    if path[0] not in spec.model_fields_set:
        return False
    return len(path) == 1 or _is_written(getattr(spec, path[0]), path[1:])
