"""`mlplat new`: a project from a template."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlplat.cli.console import say, warn
from mlplat.cli.options import read_pairs
from mlplat.cli.questions import asker, shown

if TYPE_CHECKING:
    from mlplat.scaffold.template import Template


@click.command("new")
@click.argument("name")
@click.option("--template", "template_name", default="tabular", show_default=True, help="Template to use.")
@click.option("--into", type=click.Path(path_type=Path), default=Path(), help="Folder in which NAME is made.")
@click.option("--defaults", is_flag=True, help="Ask nothing: take the defaults for all that is not set.")
@click.option("--set", "pairs", multiple=True, metavar="NAME=VALUE", help="Answer a question; may be repeated.")
@click.option(
    "--answers", "file", type=click.Path(path_type=Path), default=None, help="File of answers; `--set` goes before it."
)
def command(
    name: str, template_name: str, into: Path, *, defaults: bool, pairs: tuple[str, ...], file: Path | None
) -> None:
    """Make a project NAME from a template, with its git repository, and print its folder.

    What is not given is asked, at most three questions, on a terminal only. The command that makes the same project
    without questions is shown at the end.

    \b
    Example:
      mlplat new flights
      mlplat new churn --defaults --set data=customers.csv --set target=left
      mlplat new churn --answers ../other/.mlplat/answers.json
    """
    from mlplat.scaffold import answers, project, template

    chosen = template.find(template_name)
    given = {**(answers.read_file(file) if file else {}), **read_pairs(pairs)}
    ask = None if defaults else asker(flag="--set {}=…", quiet="--defaults")
    made = project.create(name, chosen, given, into=into, ask=ask)
    for note in made.notes:
        warn(note)
    say(f"made {shown(made.folder)} from the template {chosen.name} {chosen.manifest.version}")
    say(f"the same without questions: `{equivalent(name, chosen, made.typed, into)}`")
    say(f"next: `cd {shlex.quote(shown(made.folder))}`, then `mlplat run train`")
    click.echo(made.folder)


def equivalent(name: str, template: Template, typed: Mapping[str, str], into: Path) -> str:
    """Write the command that makes the same project from the same folder and asks nothing."""
    parts = ["mlplat", "new", name]
    parts += [] if template.name == "tabular" else ["--template", template.name]
    parts += [] if into == Path() else ["--into", str(into)]
    parts += ["--defaults", *(part for pair in typed.items() for part in ("--set", "=".join(pair)))]
    return shlex.join(parts)
