"""What `mlplat down` does on a stack of a cloud's: the cluster is drained, what holds data stays, the rest is ended."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlplat.cli import clusters, stacks
from mlplat.cli.console import progress, say
from mlplat.errors import MlplatError, UsageError

if TYPE_CHECKING:
    from mlplat.engine.ending import Ending
    from mlplat.engine.stack import Stack
    from mlplat.spec.platform import PlatformSpec
    from mlplat.targets.aws.site import Site

LINES = 12
"""Kinds that are said by name; the rest is a number."""


def standing(
    spec: PlatformSpec, stack: str, file: Path, *, delete_data: bool
) -> tuple[Stack, list[dict[str, Any]], Ending] | None:
    """Return a stack, what it holds, and what of it would go; None, and said, where nothing would."""
    from mlplat.engine import ending as endings

    say(f"stack {stack}: {file}, by the engine")
    found = stacks.find(spec, stack, file)
    if found is None:
        say("the stack is nowhere yet, so the engine has nothing to end")
        return None
    found.refuse_locked()
    resources = found.resources()
    ending = endings.of(resources, delete_data=delete_data)
    if not endings.counted(resources, ending.goes):
        say("there is nothing to end" + (": what holds data stays, `--delete-data` removes it" if ending.stays else ""))
        return None
    return found, resources, ending


def down(
    spec: PlatformSpec,
    stack: str,
    file: Path,
    *,
    yes: bool,
    confirm: str | None,
    delete_data: bool,
    skip_drain: bool,
) -> int:
    """Show what would go and what stays, ask, drain the cluster, end it; return 1 where something is left over."""
    there = standing(spec, stack, file, delete_data=delete_data)
    if there is None:
        clusters.disconnect(spec, stack)
        return 0
    found, resources, ending = there
    show(resources, ending)
    agree(spec, ending, yes=yes, confirm=confirm, delete_data=delete_data)
    _end(found, ending, delete_data=delete_data, skip_drain=skip_drain)
    return _leftovers(found, delete_data=delete_data)


def show(resources: list[dict[str, Any]], ending: Ending) -> None:
    """Say what would go, and what would stay."""
    from mlplat.engine import ending as endings

    say(f"  ends    {_listed(endings.counted(resources, ending.goes))}")
    if ending.stays:
        say(f"  keeps   {_listed(endings.counted(resources, ending.stays))}")
    for name in endings.names(resources, ending.stays):
        say(f"          {name}")


def _listed(counted: Mapping[str, int]) -> str:
    shown = [f"{number} {kind}" for kind, number in list(counted.items())[:LINES]]
    rest = sum(list(counted.values())[LINES:])
    return ", ".join(shown) + (f" and {rest} more" if rest else "")


def agree(spec: PlatformSpec, ending: Ending, *, yes: bool, confirm: str | None, delete_data: bool) -> None:
    """Ask: for what is protected, and for data, by the platform's name, which no habit types."""
    grave = delete_data or bool(ending.guarded)
    if not grave and not yes:
        if not sys.stdin.isatty():
            raise UsageError("the platform would be ended, and nobody can be asked", hint="say `--yes`")
        click.confirm("end it?", abort=True, err=True)
    if not grave:
        return
    what = "everything, data included," if delete_data else "a protected platform"
    if confirm is None and sys.stdin.isatty():
        confirm = click.prompt(f"{what} would go: type the platform's name", err=True)
    if confirm is None:
        raise UsageError(f"{what} would go, and nobody can be asked", hint=f"say `--confirm {spec.name}`")
    if confirm != spec.name:
        raise UsageError(
            f"`{confirm}` is not the platform's name, so nothing was done", hint="`mlplat status` shows it"
        )


def _end(found: Stack, ending: Ending, *, delete_data: bool, skip_drain: bool) -> None:
    from mlplat.targets.aws import ends, session

    site = _site(found)
    account = session.open(site.aws)
    if not skip_drain:
        _drain(found, site, account)
    ends.unlock(account, ending.locked, stacks.indented)
    if delete_data:
        with progress("letting go of what is protected"):
            found.let_go(ending, stacks.indented)
    with progress(f"ending `{found.spec.name}`"):
        found.end(ending, stacks.indented)
    clusters.disconnect(found.spec, found.name)
    say("ended; what stays is in the state, and `mlplat up` goes on with it" if ending.stays else "ended")


def _drain(found: Stack, site: Site, account: Any) -> None:
    from mlplat.targets.aws import drain, ends

    name = ends.cluster_of(found.resources())
    if name is None:
        return
    with ends.reached(account, site, name) as cluster:
        if cluster is None:
            say(f"the cluster {name} is gone, so there is nothing to drain")
            return
        with progress(f"draining {name}"):
            drained = drain.drain(cluster, stacks.indented)
    say(f"drained {name}: {len(drained)} things" if drained else f"nothing ran on {name} that had to go first")


def _leftovers(found: Stack, *, delete_data: bool) -> int:
    """Look for what is left in the account, and say it. That looking fails undoes nothing that was done."""
    from mlplat.targets.aws import leftovers, session

    site = _site(found)
    known = leftovers.known(found.resources())
    try:
        with progress("looking for what is left over"):
            left = leftovers.find(session.open(site.aws), site, known=known, data=delete_data)
    except MlplatError as error:
        say(f"could not look for leftovers: {error.told()}")
        return 1
    for each in left:
        say(f"  {each}")
    if any(each.counts for each in left):
        say(f"something is left: `mlplat aws leftovers -s {found.name}` says what to do")
        return 1
    say("nothing is left over")
    return 0


def _site(found: Stack) -> Site:
    from mlplat import deployment
    from mlplat.targets.aws.site import Site

    return Site.of(found.spec, found.name, deployment.read(found.file))
