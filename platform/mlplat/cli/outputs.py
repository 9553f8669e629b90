"""`mlplat outputs`: the platform's addresses."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from mlplat.cli import running, standing
from mlplat.cli.console import emit_json, table
from mlplat.cli.options import json_option, stack_option
from mlplat.errors import MlplatError


@click.command()
@stack_option
@json_option
def command(stack: str, as_json: bool) -> None:
    """Print the platform's addresses and where projects find it; on a cloud's target, what its foundation is.

    \b
    Example:
      mlplat outputs
      mlplat outputs --json
    """
    from mlplat.contracts import Connection
    from mlplat.spec.platform import read_stack
    from mlplat.targets.local.install import is_installed, platform

    spec, path = read_stack(stack, Path.cwd())
    if spec.target == "kubernetes":
        running.outputs(spec, stack, as_json=as_json)
        return
    if path and spec.target != "local":
        standing.outputs(spec, stack, path, as_json=as_json)
        return
    if not is_installed(spec, stack):
        raise MlplatError(f"the platform `{spec.name}` was never stood up here", hint=f"`mlplat up -s {stack}` does")
    made = platform(spec, stack)
    if as_json:
        emit_json({**asdict(made), "connection": Connection.read(spec.name, stack).document()})
        return
    table([*sorted(made.endpoints.items()), ("connection", Connection.path(spec.name, stack))], ["output", "value"])
