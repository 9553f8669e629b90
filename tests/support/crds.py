"""Custom resources against the schemas of their definitions, from the folder that `MLPLAT_CRD_SCHEMAS` names."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

VARIABLE = "MLPLAT_CRD_SCHEMAS"


def problems(document: dict[str, Any]) -> list[str]:
    """Return what a custom resource's schema says against it, unknown keys among it. Skips without the schemas."""
    group, _, version = document["apiVersion"].partition("/")
    schema = json.loads((_folder() / f"{group}_{version}_{document['kind']}.json").read_text(encoding="utf-8"))
    broken = [
        f"{'.'.join(str(part) for part in error.absolute_path)}: {error.message}"
        for error in jsonschema.Draft202012Validator(schema).iter_errors(document)
    ]
    # Not all kinds keep their fields under `spec`: a priority class has its value beside it.
    own = {key: value for key, value in document.items() if key not in ("apiVersion", "kind", "metadata", "status")}
    return [*broken, *(each.removeprefix(".") for each in _unknown(own, schema, ""))]


def _folder() -> Path:
    folder = Path(os.environ.get(VARIABLE, "no-such-folder"))
    if not folder.is_dir():
        pytest.skip(f"no schemas of custom resources: set {VARIABLE} to their folder")
    return folder


def _unknown(value: Any, schema: dict[str, Any], path: str) -> Iterator[str]:
    # What a schema does not know, the cluster drops without a word.
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        return
    if isinstance(value, dict):
        known, others = schema.get("properties", {}), schema.get("additionalProperties")
        for key, each in value.items():
            if key in known:
                yield from _unknown(each, known[key], f"{path}.{key}")
            elif not others:
                yield f"{path}.{key}: unknown"
    if isinstance(value, list):
        for index, each in enumerate(value):
            yield from _unknown(each, schema.get("items", {}), f"{path}.{index}")
