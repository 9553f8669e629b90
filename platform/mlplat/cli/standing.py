"""What `status` and `outputs` print of a stack that stands elsewhere: what its engine remembers."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlplat.cli import running, stacks
from mlplat.cli.console import emit_json, leaves, say, table

if TYPE_CHECKING:
    from mlplat.engine.summary import Part
    from mlplat.spec.platform import PlatformSpec


def status(spec: PlatformSpec, stack: str, file: Path, *, as_json: bool) -> int:
    """Print a stack's components and what runs on its cluster, each row with what every target's have.

    Return 1 where there is no component, an interrupted `up` left something half-done, or a part of the platform is not
    ready.
    """
    from mlplat.engine.summary import parts

    found = parts(stacks.existing(spec, stack, file).resources())
    if not as_json:
        rows = [(each.component, each.resources, each.protected, each.pending) for each in found]
        table(rows, ["component", "resources", "protected", "half-done"])
    half = sum(each.pending for each in found)
    if not found:
        say(f"nothing of the stack stands: `mlplat up -s {stack}` makes it")
    if half:
        say(f"{half} resources are half-done: `mlplat up -s {stack}` goes on from there")
    # Without anything of the account, there is no cluster to be asked.
    beside = running.beside(spec, stack) if found and not spec.foundation.only else []
    if as_json:
        emit_json([*map(_row, found), *map(asdict, beside)])
    elif beside:
        running.show(beside)
    return int(bool(half) or not found or running.is_broken(beside))


def _row(part: Part) -> dict[str, Any]:
    counted = {"resources": part.resources, "protected": part.protected, "pending": part.pending}
    state = f"{part.resources - part.pending}/{part.resources}"
    said = f"{part.pending} half-done" if part.pending else ""
    return {
        "group": "component",
        "name": part.component,
        "ready": not part.pending,
        "state": state,
        "said": said,
        **counted,
    }


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
