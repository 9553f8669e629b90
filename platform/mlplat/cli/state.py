"""`mlplat state`: where an engine's stack is remembered, and making, mending and moving that."""

from __future__ import annotations

import os
import shlex
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlplat.cli import stacks
from mlplat.cli.console import emit_json, progress, say
from mlplat.cli.options import json_option, stack_option, yes_option
from mlplat.errors import RefusedError, UsageError

if TYPE_CHECKING:
    from mlplat.engine.stack import Stack
    from mlplat.spec.platform import PlatformSpec


@click.group("state", no_args_is_help=True)
def command() -> None:
    """Make where an engine's stack is remembered, say it, unlock it, move it.

    \b
    Example:
      eval "$(mlplat state env)"
      mlplat state unlock
    """


@command.command()
@stack_option
@yes_option
def init(stack: str, yes: bool) -> None:
    """Make what a stack's state is kept in, and begin the stack there; what is there already stays as it is.

    On AWS that is the bucket of `engine.backend` (versions, encrypted, nobody's but the account's) and the key of
    `engine.secrets`. The stack file then names the deployment by which the state is known.

    \b
    Example:
      mlplat state init -s dev
    """
    spec, file = _read(stack)
    if spec.target == "aws" and ((spec.engine and spec.engine.backend) or "").startswith("s3://"):
        _make_place(spec)
    engine = stacks.binary(file, yes=yes)
    from mlplat.engine.stack import opened

    found = opened(spec, stack, file, say, engine=engine)
    say(f"the stack `{stack}` is kept at {found.backend.url}; `mlplat up -s {stack}` goes on from there")


def _make_place(spec: PlatformSpec) -> None:
    from mlplat.engine import awsstate
    from mlplat.targets.aws import session

    if spec.aws is None:
        return
    with progress("looking at the bucket and the key"):
        made = awsstate.init(spec, session.open(spec.aws), say)
    if not made:
        say("the bucket and the key are there, as they are to be")


@command.command()
@stack_option
@json_option
def env(stack: str, *, as_json: bool) -> None:
    """Print shell lines after which plain `pulumi` works on the same stack.

    \b
    Example:
      eval "$(mlplat state env)"
      pulumi preview -s local
    """
    spec, file = _read(stack)
    from mlplat.engine import backend

    chosen = backend.of(spec, stack)
    chosen.refuse_without_passphrase(file)
    for line in chosen.prepare():
        say(line)
    variables = chosen.environment()
    if as_json:
        emit_json(variables)
        return
    ahead = variables.pop("PATH").removesuffix(os.environ.get("PATH", os.defpath)).rstrip(os.pathsep)
    for name, value in variables.items():
        click.echo(f"export {name}={shlex.quote(value)}")
    click.echo(f'export PATH={shlex.quote(ahead)}"{os.pathsep}$PATH"')


@command.command()
@stack_option
@click.option("--force", is_flag=True, help="Unlock even while its holder works.")
@yes_option
def unlock(stack: str, *, force: bool, yes: bool) -> None:
    """Remove the lock that a killed engine left, and forget what it had begun.

    The next `up` finds what was made until then and makes nothing twice.

    \b
    Example:
      mlplat state unlock
    """
    spec, file = _read(stack)
    found = stacks.existing(spec, stack, file)
    held = found.locks()
    if held or held is None:
        _agree(found, force=force, yes=yes)
        found.unlock()
        say("unlocked")
    with progress("looking at what had begun"):
        dropped = found.forget_pending()
    if dropped:
        say(f"forgot {dropped} that had begun; `mlplat up` goes on from there")
    elif not held and held is not None:
        say("it was not locked")


@command.command()
@stack_option
@click.option("--to", "url", required=True, metavar="URL", help="Backend, such as `s3://bucket` or `file:///folder`.")
@json_option
def migrate(stack: str, url: str, *, as_json: bool) -> None:
    """Move a stack's state to another backend, and name that in the stack file.

    The old state stays where it is, marked as moved. A move that is interrupted leaves it in force.

    \b
    Example:
      mlplat state migrate --to s3://acme-platform-state
    """
    spec, file = _read(stack)
    found = stacks.existing(spec, stack, file)
    engine = stacks.binary(file, yes=False)
    from mlplat.engine.migrate import migrate as move

    with progress(f"moving to {url}"):
        moved = move(found, url, say, engine)
    say(f"moved {moved.resources} resources to {moved.target}, and wrote {file}")
    say(f"{moved.source} keeps its copy, marked as moved")
    if as_json:
        emit_json(asdict(moved))


def _read(stack: str) -> tuple[PlatformSpec, Path]:
    from mlplat.spec.platform import read_stack

    spec, file = read_stack(stack, Path.cwd())
    if spec.engine is None or file is None:
        raise UsageError(
            f"the stack `{stack}` has no engine, so nothing remembers it but its own files",
            hint="`engine: {}` in its stack file gives it one",
        )
    return spec, file


def _agree(found: Stack, *, force: bool, yes: bool) -> None:
    """Let a person say that a stack's holder is gone where that cannot be known."""
    held = found.locks()
    lives = [lock for lock in held or [] if lock.lives()]
    if lives and not force:
        raise RefusedError(
            f"the stack is locked by {lives[0]}, which still works",
            hint="wait for it, or end it; `--force` unlocks it all the same, and two engines may then undo each other",
        )
    if force or (held and all(lock.lives() is False for lock in held)):
        return
    who = f"{held[0]}, on another computer" if held else "somebody"
    if not yes and not sys.stdin.isatty():
        raise UsageError(
            f"the stack is locked by {who}, and nobody can be asked", hint="say `--yes` if that was killed"
        )
    if not yes:
        click.confirm(f"the stack is locked by {who}: has that ended?", abort=True, err=True)
