"""`mlplat down`: end the platform's processes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlplat.cli import stacks
from mlplat.cli.console import progress, say
from mlplat.cli.interrupts import held, in_order
from mlplat.cli.options import stack_option, wait_option, yes_option
from mlplat.errors import UsageError

if TYPE_CHECKING:
    from mlplat.spec.platform import PlatformSpec

LEFT = "what has not ended yet may go on; `mlplat status` shows it, `mlplat down` ends it"


@click.command()
@stack_option
@click.option("--delete-data", is_flag=True, help="Remove runs, models, logs and endpoints as well.")
@yes_option
@wait_option
@click.option("--skip-drain", is_flag=True, help="On a cluster, a cloud: do not wait for what runs there, or is stuck.")
@click.option(
    "--confirm", metavar="NAME", help="On a cluster, a cloud: the platform's name, where nobody can be asked."
)
def command(stack: str, delete_data: bool, yes: bool, wait: float, skip_drain: bool, confirm: str | None) -> int | None:
    """End the platform's processes, endpoints' included; data stays unless you say otherwise.

    On a cluster it is the whole platform: endpoints first, while their controller lives, then all that `up` has made.
    On a cloud, then the cluster and all below it too. What holds data stays, and the next `up` goes on with it; a
    database leaves a last snapshot. Exits with 1 where the cluster or the account still holds something.

    \b
    Example:
      mlplat down
      mlplat down --delete-data
    """
    with held():
        from mlplat.spec.platform import read_stack
        from mlplat.targets.local.folders import state_folder
        from mlplat.targets.local.install import commanding

    spec, path = read_stack(stack, Path.cwd())
    if path and spec.target != "local":
        from mlplat.cli import clouds, clusterdown

        end = clusterdown.down if spec.target == "kubernetes" else clouds.down
        with in_order(LEFT):
            return end(spec, stack, path, yes=yes, confirm=confirm, delete_data=delete_data, skip_drain=skip_drain)
    if skip_drain or confirm:
        raise UsageError("`--skip-drain` and `--confirm` are for a platform on a cluster or a cloud")
    state = state_folder(spec, stack)
    if delete_data:
        _ask(state, yes)
    if path and spec.engine:
        with in_order(LEFT):
            stacks.down(spec, stack, path, yes=yes)
        if not delete_data:
            return None
    if not state.exists():
        say("nothing ran")
        return None
    with in_order(LEFT), commanding(spec, stack, "mlplat down", wait, say):
        _end(spec, stack, state, delete_data)
    return None


def _end(spec: PlatformSpec, stack: str, state: Path, delete_data: bool) -> None:
    from mlplat.targets.local.install import delete_data as remove
    from mlplat.targets.local.install import end

    with progress(f"ending `{spec.name}`"):
        ended = end(spec, stack)
    say(f"ended {', '.join(ended)}" if ended else "nothing ran")
    if delete_data:
        remove(spec, stack)
        say(f"removed {state}")
    elif ended:
        say(f"data stays in {state}; `mlplat up` goes on from there")


def _ask(state: Path, yes: bool) -> None:
    if yes or not state.exists():
        return
    if not sys.stdin.isatty():
        raise UsageError(f"everything in {state} would be removed, and nobody can be asked", hint="say `--yes`")
    click.confirm(f"remove everything in {state}?", abort=True, err=True)
