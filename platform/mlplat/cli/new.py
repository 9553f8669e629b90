"""`mlplat new`: a project from a template."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlplat.cli.console import say, warn
from mlplat.cli.options import read_pairs
from mlplat.errors import UsageError

if TYPE_CHECKING:
    from mlplat.scaffold.template import Question, Template


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
    made = project.create(name, chosen, given, into=into, ask=_asker(defaults=defaults))
    for note in made.notes:
        warn(note)
    say(f"made {_shown(made.folder)} from the template {chosen.name} {chosen.manifest.version}")
    say(f"the same without questions: `{equivalent(name, chosen, made.typed, into)}`")
    say(f"next: `cd {shlex.quote(_shown(made.folder))}`, then `mlplat run train`")
    click.echo(made.folder)


def equivalent(name: str, template: Template, typed: Mapping[str, str], into: Path) -> str:
    """Write the command that makes the same project from the same folder and asks nothing."""
    parts = ["mlplat", "new", name]
    parts += [] if template.name == "tabular" else ["--template", template.name]
    parts += [] if into == Path() else ["--into", str(into)]
    parts += ["--defaults", *(part for pair in typed.items() for part in ("--set", "=".join(pair)))]
    return shlex.join(parts)


def _asker(*, defaults: bool) -> Callable[[Question, str | None, Callable[[str], str]], str] | None:
    if defaults:
        return None
    return _ask if sys.stdin.isatty() and sys.stderr.isatty() else _refuse


def _refuse(question: Question, default: str | None, _check: Callable[[str], str]) -> str:
    also = "" if default is None else ", or take all defaults with `--defaults`"
    raise UsageError(
        f"`{question.name}` is not set and there is no terminal to ask on: {question.message}",
        hint=f"give it with `--set {question.name}=…`{also}",
    )


def _ask(question: Question, default: str | None, check: Callable[[str], str]) -> str:
    def checked(text: str) -> str:
        try:
            return check(text)
        except UsageError as error:
            raise click.BadParameter(
                " ".join(filter(None, [error.message, error.hint and f"({error.hint})"]))
            ) from error

    answer: str = click.prompt(question.message, default=default, value_proc=checked, err=True)
    return answer


def _shown(folder: Path) -> str:
    """Write a folder as one would type it from here."""
    near = os.path.relpath(folder)
    return str(folder) if near.startswith("..") else near
