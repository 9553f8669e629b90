"""What `status` and `outputs` print of a stack that stands elsewhere: what its engine remembers."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from mlplat.cli import stacks
from mlplat.cli.console import emit_json, leaves, say, table

if TYPE_CHECKING:
    from mlplat.spec.platform import PlatformSpec


def status(spec: PlatformSpec, stack: str, file: Path, *, as_json: bool) -> int:
    """Print a stack's components; return 1 where an interrupted `up` left something half-done."""
    from mlplat.engine.summary import parts

    found = parts(stacks.existing(spec, stack, file).resources())
    if as_json:
        emit_json([asdict(each) for each in found])
    else:
        rows = [(each.component, each.resources, each.protected, each.pending) for each in found]
        table(rows, ["component", "resources", "protected", "half-done"])
    if half := sum(each.pending for each in found):
        say(f"{half} resources are half-done: `mlplat up -s {stack}` goes on from there")
    return 1 if half else 0


def outputs(spec: PlatformSpec, stack: str, file: Path, *, as_json: bool) -> None:
    """Print a stack's outputs, one leaf a line."""
    found = stacks.existing(spec, stack, file).outputs()
    if as_json:
        emit_json(found)
    else:
        table(sorted(leaves(found)), ["output", "value"])
