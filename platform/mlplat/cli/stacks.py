"""What the verbs do on a stack that has an engine: look first, ask, do exactly what was shown."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlplat.cli import clusters
from mlplat.cli.console import emit_json, leaves, progress, say, table
from mlplat.errors import MlplatError, UsageError

if TYPE_CHECKING:
    from mlplat.engine.binary import Binary
    from mlplat.engine.events import EngineChange, Listener
    from mlplat.engine.stack import Stack
    from mlplat.spec.platform import PlatformSpec
    from mlplat.upgrades import Consequence

GRAVE = ("migrates", "replaces")
"""What another version does that nobody may do unasked: there is no way back from the one, and the other takes long."""


def binary(file: Path, *, yes: bool) -> Binary:
    """Return the engine's program, fetched if there is none and a person agrees. Raises `MlplatError`."""
    if find_spec("pulumi") is None:
        raise MlplatError("this stack has an engine, and Pulumi's SDK is not here", hint="install `mlplat[engine]`")
    from mlplat.engine import binary as binaries

    try:
        return binaries.find(file.absolute().parent)
    except binaries.MissingError:
        if not yes and not sys.stdin.isatty():
            raise
        if not yes:
            click.confirm(f"there is no `pulumi` here: fetch it into {binaries.installed()}?", abort=True, err=True)
        with progress("fetching Pulumi"):
            return binaries.install()


def existing(spec: PlatformSpec, stack: str, file: Path) -> Stack:
    """Open a stack that is there. Raises `UsageError` for one that is nowhere yet."""
    found = find(spec, stack, file)
    if found is None:
        raise UsageError(f"the stack `{stack}` is nowhere yet", hint="`mlplat up` makes it")
    return found


def find(spec: PlatformSpec, stack: str, file: Path) -> Stack | None:
    """Open a stack; None where there is none yet. Raises `MlplatError`."""
    engine = binary(file, yes=False)
    from mlplat.engine import stack as stacks

    return stacks.existing(spec, stack, file, say, engine=engine)


def up(spec: PlatformSpec, stack: str, file: Path, *, preview: bool, yes: bool, as_json: bool) -> None:
    """Bring a stack to what its file says, or only show what that would do."""
    say(f"stack {stack}: {file}, by the engine")
    clusters.refuse_unlocked(spec, file)
    clusters.guard(spec, file, write=not preview)
    clusters.refuse_removed(spec)
    if preview:
        _show(spec, stack, file, as_json=as_json)
    else:
        _bring(spec, stack, file, yes=yes, as_json=as_json)


def _show(spec: PlatformSpec, stack: str, file: Path, *, as_json: bool) -> None:
    engine = binary(file, yes=False)
    from mlplat.engine.stack import looked_at

    with looked_at(spec, stack, file, say, engine=engine) as found, tempfile.TemporaryDirectory() as folder:
        seen = _look(found, Path(folder) / "plan.json")
    _announce(seen)
    _tell_cost(spec)
    if as_json:
        _emit(seen, None)


def _bring(spec: PlatformSpec, stack: str, file: Path, *, yes: bool, as_json: bool) -> None:
    started, endpoints = time.monotonic(), None
    engine = binary(file, yes=yes)
    from mlplat.engine.stack import opened

    found = opened(spec, stack, file, say, engine=engine)
    found.refuse_locked()
    # A plan holds all inputs; the folder is nobody else's.
    with tempfile.TemporaryDirectory() as folder:
        plan = Path(folder) / "plan.json"
        seen = _look(found, plan)
        _announce(seen)
        if seen.changes:
            _tell_cost(spec)
            _ask(seen.changes, yes, seen.upgrades)
            with progress(f"standing `{spec.name}` up"):
                endpoints = found.up(plan, indented)
            say(f"up after {time.monotonic() - started:.1f} s")
    clusters.connect(spec, stack, file)
    if as_json:
        _emit(seen, endpoints)
    elif endpoints:
        table(sorted(leaves(_shown(endpoints))), ["output", "value"])


def down(spec: PlatformSpec, stack: str, file: Path, *, yes: bool) -> None:
    """Show what would be ended, ask, and end it."""
    from mlplat.engine import refusals

    say(f"stack {stack}: {file}, by the engine")
    found = find(spec, stack, file)
    if found is None:
        say("the stack is nowhere yet, so the engine has nothing to end")
        return
    found.refuse_locked()
    if kept := found.protected():
        raise refusals.protected(kept)
    with progress("looking at what there is"):
        seen = found.preview_destroy(lambda _: None)
    for change in seen.changes:
        say(f"  {change}")
    if not seen.changes:
        say("the engine has nothing to end")
        return
    _ask(seen.changes, yes)
    with progress(f"ending `{spec.name}`"):
        found.destroy(indented)
    say(f"ended {', '.join(dict.fromkeys(change.name for change in seen.changes))}")


def _look(found: Stack, plan: Path) -> Listener:
    with progress("looking at what differs"):
        seen = found.preview(plan, lambda _: None)
    for line in seen.seen:
        say(f"  {line}")
    return seen


def _announce(seen: Listener) -> None:
    for change in seen.changes:
        say(f"  {change}")
    if not seen.changes:
        say("nothing to do: everything is as written")
    if seen.upgrades:
        say("of another version than what is there:")
    for each in seen.upgrades:
        say(f"  {each}")


def _tell_cost(spec: PlatformSpec) -> None:
    if spec.aws is None:
        return
    from mlplat.targets.aws import cost

    found = cost.estimate(spec)
    known = f"{cost.money(found.idle_usd)} a month idle, {cost.money(found.full_usd)} at full use"
    say(f"  costs {known}, as far as is known: `mlplat cost` shows every part")


def _ask(changes: list[EngineChange], yes: bool, upgrades: Sequence[Consequence] = ()) -> None:
    from mlplat.engine.events import DISTURBING

    disturbing = [change.name for change in changes if change.action in DISTURBING]
    disturbing += [each.part for each in upgrades if each.kind in GRAVE and each.part not in disturbing]
    if yes or not disturbing:
        return
    if not sys.stdin.isatty():
        raise UsageError(
            f"{', '.join(disturbing)}: would be restarted, replaced, migrated or deleted, and nobody can be asked",
            hint="say `--yes`, or look with `--preview`",
        )
    click.confirm("go on?", abort=True, err=True)


def indented(text: str) -> None:
    """Tell a person one thing of several."""
    say(f"  {text}")


def _shown(outputs: dict[str, object]) -> dict[str, object]:
    from mlplat import deployment, upgrades

    return {name: value for name, value in outputs.items() if name not in (deployment.OUTPUT, upgrades.OUTPUT)}


def _emit(seen: Listener, outputs: dict[str, object] | None) -> None:
    made = None if outputs is None else {"endpoints": _shown(outputs)}
    changes, upgrades = ([asdict(each) for each in found] for found in (seen.changes, seen.upgrades))
    emit_json({"changes": changes, "upgrades": upgrades, "platform": made})
