"""`mlplat up`: bring the platform to what its stack file says."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlplat.cli import stacks
from mlplat.cli.console import emit_json, progress, say, table
from mlplat.cli.interrupts import held, in_order
from mlplat.cli.options import json_option, stack_option, wait_option, yes_option
from mlplat.errors import UsageError

if TYPE_CHECKING:
    from mlplat.contracts import Platform
    from mlplat.targets.local.install import Plan
    from mlplat.targets.local.plan import Change

LEFT = "what was started until now stays; `mlplat status` shows it, `mlplat up` goes on, `mlplat down` ends it"


@click.command()
@stack_option
@click.option("--preview", is_flag=True, help="Print what would be done, and change nothing.")
@yes_option
@wait_option
@json_option
def command(stack: str, preview: bool, yes: bool, wait: float, as_json: bool) -> None:
    """Stand the platform up, or bring it to what its stack file says.

    Without a stack file, the stack `local` is a platform with all its defaults. Running services that no change
    concerns are not touched, and neither are endpoints. A stack file of an older version is brought to the newest form
    after its diff was shown and agreed to. On a stack with an engine it says what other versions of parts than those
    that are there migrate, replace or restart, and refuses steps that nobody supports.

    \b
    Example:
      mlplat up --preview
      mlplat up
    """
    with held():
        from mlplat.spec.platform import read_stack
        from mlplat.targets import refuse_unsupported
        from mlplat.targets.local import plan
        from mlplat.targets.local.install import commanding

    spec, path = read_stack(stack, Path.cwd())
    refuse_unsupported(spec, f"stack {stack}")
    if path:
        _renew_file(path, preview=preview, yes=yes)
    if path and spec.engine:
        with in_order(LEFT):
            stacks.up(spec, stack, path, preview=preview, yes=yes, as_json=as_json)
        return
    if preview:
        planned = plan(spec, stack)
        _announce(planned, path)
        _print(planned.changes, None, as_json)
        return
    with in_order(LEFT), commanding(spec, stack, "mlplat up", wait, say):
        planned = plan(spec, stack)
        _announce(planned, path)
        _apply(planned, yes, as_json)


def _apply(planned: Plan, yes: bool, as_json: bool) -> None:
    from mlplat.targets.local.install import await_ready, install

    made, started = None, time.monotonic()
    if planned.changes:
        _ask(planned.changes, yes)
        with progress(f"standing `{planned.spec.name}` up") as tell:
            made = install(planned, _teller(tell))
        say(f"up after {time.monotonic() - started:.1f} s")
    else:
        # An `up` that was interrupted leaves services that run and are not ready yet.
        await_ready(planned, say)
    _print(planned.changes, made, as_json)


def _renew_file(path: Path, *, preview: bool, yes: bool) -> None:
    """Write a stack file of an older version in the newest form, once a person has seen what changes in it."""
    from mlplat.spec.platform import newest_form
    from mlplat.spec.schema import renew

    rewrite = newest_form(path)
    if rewrite is None:
        return
    say(rewrite.diff())
    if preview:
        return
    if not yes and not sys.stdin.isatty():
        raise UsageError(
            f"{rewrite.shown} would be written in a newer form, and nobody can be asked",
            hint="say `--yes`, or look with `--preview`",
        )
    if not yes:
        click.confirm(f"write {rewrite.shown}?", abort=True, err=True)
    rewrite.write()
    for written in [rewrite.shown, *renew(path.parent)]:
        say(f"wrote {written}")


def _announce(planned: Plan, path: Path | None) -> None:
    say(f"stack {planned.stack}: {path or 'no stack file, so all defaults'}")
    for line in planned.chosen():
        say(f"  {line}")
    for change in planned.changes:
        say(f"  {change}")
    if not planned.changes:
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
