"""`mlplat up`: bring the platform to what its stack file says."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlplat.cli.console import emit_json, progress, say, table
from mlplat.cli.options import json_option, stack_option, yes_option
from mlplat.errors import UsageError

if TYPE_CHECKING:
    from mlplat.contracts import Platform
    from mlplat.targets.local.plan import Change


@click.command()
@stack_option
@click.option("--preview", is_flag=True, help="Print what would be done, and change nothing.")
@yes_option
@json_option
def command(stack: str, preview: bool, yes: bool, as_json: bool) -> None:
    """Stand the platform up, or bring it to what its stack file says.

    Without a stack file, the stack `local` is a platform with all its defaults. Running services that no change
    concerns are not touched, and neither are endpoints.

    \b
    Example:
      mlplat up --preview
      mlplat up
    """
    from mlplat.spec.platform import read_stack
    from mlplat.targets.local import install, plan

    started = time.monotonic()
    spec, path = read_stack(stack, Path.cwd())
    planned = plan(spec, stack)
    _announce(planned.changes, path, stack)
    if preview or not planned.changes:
        _print(planned.changes, None, as_json)
        return
    _ask(planned.changes, yes)
    with progress(f"standing `{spec.name}` up") as tell:
        made = install(planned, _teller(tell))
    say(f"up after {time.monotonic() - started:.1f} s")
    _print(planned.changes, made, as_json)


def _announce(changes: list[Change], path: Path | None, stack: str) -> None:
    say(f"stack {stack}: {path or 'no stack file, so all defaults'}")
    for change in changes:
        say(f"  {change}")
    if not changes:
        say("nothing to do: everything runs as written")


def _ask(changes: list[Change], yes: bool) -> None:
    """Ask before anything that runs is restarted or deleted."""
    disturbing = [change for change in changes if change.action in ("restart", "delete")]
    if yes or not disturbing:
        return
    if not sys.stdin.isatty():
        raise UsageError(
            f"{len(disturbing)} running services would be restarted or deleted, and nobody can be asked",
            hint="say `--yes`, or look with `--preview`",
        )
    click.confirm("go on?", abort=True, err=True)


def _teller(tell: Any) -> Any:
    """On a terminal, keep each line that says something is done; the moving line shows the present one."""

    def both(text: str) -> None:
        if tell is not say:
            say(f"  {text}")
        tell(text)

    return both


def _print(changes: list[Change], made: Platform | None, as_json: bool) -> None:
    if as_json:
        emit_json({"changes": [asdict(change) for change in changes], "platform": asdict(made) if made else None})
    elif made:
        table(sorted(made.endpoints.items()), ["service", "address"])
