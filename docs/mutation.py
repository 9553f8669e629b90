"""The tables of `concepts/mutation.md`, from what `make mutate` has found and people have judged."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
PAGE, DATA = "docs/concepts/mutation.md", "docs/concepts/mutation.json"
BEGIN, END = "<!-- results: written by `make docs` from mutation.json -->", "<!-- end of results -->"


def pages() -> dict[str, str]:
    """Return the page with its tables, by its path in the repository."""
    text = (ROOT / PAGE).read_text()
    before, rest = text.split(BEGIN)
    stored = json.loads((ROOT / DATA).read_text())["modules"]
    return {PAGE: f"{before}{BEGIN}\n\n{table(stored)}\n\n{survivors(stored)}\n\n{END}{rest.split(END)[1]}"}


def table(stored: dict[str, Any]) -> str:
    """Return how many changes of each module were noticed."""
    lines = ["| module | changes | noticed | survivors |", "|---|---:|---:|---:|"]
    lines += [
        f"| `{name}` | {found['changes']} | {found['noticed']} | {len(found['survivors'])} |"
        for name, found in stored.items()
    ]
    changes, noticed = (sum(found[key] for found in stored.values()) for key in ("changes", "noticed"))
    return "\n".join([*lines, f"| together | {changes} | {noticed} | {changes - noticed} |"])


def survivors(stored: dict[str, Any]) -> str:
    """Return every change that no test notices, with what was judged of it."""
    return "\n\n".join(part for name, found in stored.items() for part in _of(name, found["survivors"]))


def _of(name: str, found: list[dict[str, str]]) -> Iterator[str]:
    if found:
        yield f"### `{name}`"
    for each in found:
        yield f"`{each['function']}`: {each['judgement']}\n\n```diff\n- {each['was']}\n+ {each['became']}\n```"
