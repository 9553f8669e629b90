"""The graphs of this repository's stacks as they are meant to be, one file each; `make golden` writes them again.

A review of a change shows by them what the change does to an account. Names and tokens follow from a fixed deployment
id, so that the same program always gives the same file.
"""

from __future__ import annotations

import difflib
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import awsprogram
import clusterprogram
from capture import Graph
from commands import ROOT
from mlplat.spec.platform import PlatformSpec

FOLDER = ROOT / "tests" / "golden"
FOUNDATION = "prod-foundation"
"""The stack on which `prod` stands where the two are apart."""
MOST_LINES = 200
"""A longer difference is cut: its beginning says what happened."""


def apart(**foundation: Any) -> PlatformSpec:
    """Return production's spec as one of two stacks."""
    whole = json.loads(awsprogram.spec("prod").model_dump_json(exclude_unset=True))
    return PlatformSpec.model_validate_json(json.dumps({**whole, "foundation": foundation}))


GRAPHS: Mapping[str, Callable[[], Graph]] = {
    "dev": lambda: awsprogram.graph("dev"),
    "prod": lambda: awsprogram.graph("prod"),
    FOUNDATION: lambda: awsprogram.of(apart(only=True), FOUNDATION),
    "prod-platform": lambda: awsprogram.of(apart(stack=FOUNDATION), "prod"),
    "staging": lambda: clusterprogram.graph("staging"),
}
"""What is written, by the name of its file."""


def text(graph: Graph) -> str:
    """Return a graph as its file holds it: sorted, and with the documents inside it as JSON too."""
    value = {"exports": graph.exports, "resources": graph.document()}
    return json.dumps(_opened(value), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _opened(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _opened(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_opened(each) for each in value]
    if isinstance(value, str) and value.startswith(("{", "[")):
        try:
            return _opened(json.loads(value))
        except ValueError:
            return value
    return value


def path(name: str) -> Path:
    """Return the file of a graph."""
    return FOLDER / f"{name}.json"


def difference(name: str) -> str:
    """Return how a graph differs from its file, as a diff; empty where it does not."""
    was = path(name).read_text() if path(name).exists() else ""
    now = text(GRAPHS[name]())
    lines = list(difflib.unified_diff(was.splitlines(), now.splitlines(), f"{name}.json", "the program", lineterm=""))
    left = len(lines) - MOST_LINES
    return "\n".join([*lines[:MOST_LINES], *([f"… and {left} lines more"] if left > 0 else [])])


def main() -> None:
    """Write every file again, and say which have changed."""
    FOLDER.mkdir(exist_ok=True)
    for name, graph in GRAPHS.items():
        now = text(graph())
        if not path(name).exists() or path(name).read_text() != now:
            path(name).write_text(now)
            sys.stderr.write(f"{path(name).relative_to(ROOT)} is written again\n")


if __name__ == "__main__":
    main()
