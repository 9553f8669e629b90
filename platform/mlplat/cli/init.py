"""`mlplat init`: a platform's repository."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from mlplat.cli.console import say, warn
from mlplat.cli.options import yes_option
from mlplat.cli.questions import asker, shown


@click.command("init")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--name", default=None, help="Name of the platform; the folder's, unless it is asked or given.")
@yes_option
def command(folder: Path, name: str | None, yes: bool) -> None:
    """Make DIR a platform's repository, with its git repository, and print its folder.

    It holds configuration only: stack files, and the version of mlplat that they are for. The name is what projects
    find the platform by; it is asked on a terminal when it is not given.

    \b
    Example:
      mlplat init our-platform
      mlplat init our-platform --name acme
    """
    from mlplat.scaffold import platform, template

    given = {} if name is None else {"name": name}
    ask = None if yes else asker(flag="--{} …", quiet="--yes")
    made = platform.create(folder, template.find("platform", "platform"), given, ask=ask)
    for note in made.notes:
        warn(note)
    say(f"made {shown(made.folder)}, the platform {made.name}")
    here = made.folder == Path.cwd()
    say("next: `mlplat up`" if here else f"next: `cd {shlex.quote(shown(made.folder))}`, then `mlplat up`")
    click.echo(made.folder)
