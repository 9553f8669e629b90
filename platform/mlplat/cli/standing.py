"""What `status` and `outputs` print of a stack that stands elsewhere: what its engine remembers."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlplat.cli import stacks
from mlplat.cli.console import emit_json, leaves, say, table

if TYPE_CHECKING:
    from mlplat.spec.platform import PlatformSpec


def status(spec: PlatformSpec, stack: str, file: Path, *, as_json: bool) -> int:
    """Print a stack's components; return 1 where there is none, or an interrupted `up` left something half-done."""
    from mlplat.engine.summary import parts

    found = parts(stacks.existing(spec, stack, file).resources())
    if as_json:
        emit_json([asdict(each) for each in found])
    else:
        rows = [(each.component, each.resources, each.protected, each.pending) for each in found]
        table(rows, ["component", "resources", "protected", "half-done"])
    if not found:
        say(f"nothing of the stack stands: `mlplat up -s {stack}` makes it")
    if half := sum(each.pending for each in found):
        say(f"{half} resources are half-done: `mlplat up -s {stack}` goes on from there")
    return 1 if half or not found else 0


def outputs(spec: PlatformSpec, stack: str, file: Path, *, as_json: bool) -> None:
    """Print a stack's outputs and where its platform answers, one leaf a line."""
    found = {**_platform(spec, stack), **stacks.existing(spec, stack, file).outputs()}
    if as_json:
        emit_json(found)
    else:
        table(sorted(leaves(found)), ["output", "value"])


def _platform(spec: PlatformSpec, stack: str) -> dict[str, Any]:
    """Return what the last `up` wrote down of a platform; its name alone where its services are still to come."""
    from mlplat.contracts import Connection

    named = {"name": spec.name, "stack": stack, "target": spec.target}
    if not Connection.path(spec.name, stack).exists():
        return named
    made = Connection.read(spec.name, stack)
    endpoints = {"tracking": made.tracking, "gateway": made.gateway}
    return {**named, "endpoints": endpoints, "connection": made.document()}
