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
@click.option("--target", default=None, help="Where it stands: `local`, the default, or `kubernetes`, on a cluster.")
@click.option("--stack", default=None, help="Name of its first stack; `local`, or `prod` on a cluster.")
@click.option("--context", default=None, help="Context of the cluster's kubeconfig; the stack's name, unless asked.")
@yes_option
def command(
    folder: Path, name: str | None, target: str | None, stack: str | None, context: str | None, yes: bool
) -> None:
    """Make DIR a platform's repository, with its git repository, and print its folder.

    It holds configuration only: stack files, and the version of mlplat that they are for. The name is what projects
    find the platform by; it is asked on a terminal when it is not given. For a cluster the stack file names a database,
    an object store and a registry as examples, to be replaced by one's own.

    \b
    Example:
      mlplat init our-platform
      mlplat init our-platform --name acme
      mlplat init our-platform --name acme --target kubernetes --context acme-prod
    """
    from mlplat.scaffold import platform, template
    from mlplat.spec.platform import LOCAL

    typed = {"name": name, "target": target, "stack": stack, "context": context}
    given = {question: answer for question, answer in typed.items() if answer is not None}
    ask = None if yes else asker(flag="--{} …", quiet="--yes")
    made = platform.create(folder, template.find("platform", "platform"), given, ask=ask)
    for note in made.notes:
        warn(note)
    say(f"made {shown(made.folder)}, the platform {made.name}")
    steps = [] if made.folder == Path.cwd() else [f"`cd {shlex.quote(shown(made.folder))}`"]
    on = "" if made.stack == LOCAL else f" -s {made.stack}"
    if made.target == LOCAL:
        steps.append(f"`mlplat up{on}`")
    else:
        steps += [f"write your own into stacks/Pulumi.{made.stack}.yaml", f"`mlplat doctor{on}`"]
    say(f"next: {', then '.join(steps)}")
    click.echo(made.folder)
