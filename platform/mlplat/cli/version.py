"""`mlplat version`: what this is."""

from __future__ import annotations

import platform
import sys

import click

import mlplat
from mlplat.cli.console import emit_json
from mlplat.cli.options import json_option


@click.command()
@json_option
def command(as_json: bool) -> None:
    """Print the version.

    \b
    Example:
      mlplat version
      mlplat version --json
    """
    if as_json:
        emit_json({"mlplat": mlplat.__version__, "python": platform.python_version(), "system": sys.platform})
    else:
        click.echo(mlplat.__version__)
