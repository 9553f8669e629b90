"""The JSON schema of a stack file, by which editors complete and check one while it is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mlplat.files import write_if_changed
from mlplat.spec.platform import KEY, PlatformSpec

NAME = "schema.json"
TITLE = "A stack of mlplat"


def stack_schema() -> dict[str, Any]:
    """Return the schema of a whole stack file; what `mlplat:platform` holds is the spec's own."""
    platform = PlatformSpec.model_json_schema(ref_template="#/$defs/{model}")
    definitions = platform.pop("$defs", {})
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": TITLE,
        "type": "object",
        "required": ["config"],
        "properties": {"config": {"type": "object", "required": [KEY], "properties": {KEY: platform}}},
        "$defs": definitions,
    }


def text() -> str:
    """Return the schema as it lies beside stack files."""
    return json.dumps(stack_schema(), indent=2) + "\n"


def renew(folder: Path) -> list[str]:
    """Write the schema anew where an older one of mlplat lies in a folder; return the name of what was written."""
    path = folder / NAME
    try:
        ours = json.loads(path.read_bytes()).get("title") == TITLE
    except (OSError, ValueError, AttributeError):
        return []
    return [f"{folder.name}/{NAME}"] if ours and write_if_changed(path, text()) else []
