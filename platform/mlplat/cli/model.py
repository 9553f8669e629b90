"""`mlplat model`: what is registered, what the gate said of it, and where else it may go."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlplat.cli import promotion
from mlplat.cli.console import emit_json, say, table
from mlplat.cli.options import json_option, stack_option

if TYPE_CHECKING:
    from mlplat.labels import Name
    from mlplat.runs.catalogue import Catalogue, Version

METRICS = 2  # of a run's metrics in one line of a terminal


@click.group("model", no_args_is_help=True)
def command() -> None:
    """List and show registered models, take them elsewhere, and promote them to another stack.

    \b
    Example:
      mlplat model list
      mlplat model show flights/late --version champion
      mlplat model export flights/late --version champion --as onnx late-model
      mlplat model promote --version champion --from dev --to staging
    """


command.add_command(promotion.command)


@command.command("list")
@click.argument("model", required=False)
@stack_option
@json_option
def list_(model: str | None, *, stack: str, as_json: bool) -> None:
    """List the versions of MODEL, or of every model on the platform.

    \b
    Example:
      mlplat model list
      mlplat model list flights/late --json
    """
    with _open(stack) as (catalogue, project):
        versions = catalogue.versions(_name(model, project) if model else None)
    if as_json:
        emit_json([asdict(version) for version in versions])
    elif not versions:
        say("no model is registered yet: `mlplat run train` registers one that passes its gate")
    else:
        headers = ["model", "version", "aliases", "gate", "digest", "created", "metrics"]
        table([_row(version) for version in versions], headers)


def _row(version: Version) -> list[str]:
    from mlplat.runs.result import score, short, with_intervals

    metrics = [f"{name} {score(value)}" for name, value in with_intervals(version.metrics).items()]
    shown = ", ".join(metrics[:METRICS]) + (" …" if len(metrics) > METRICS else "")
    aliases = ", ".join(version.aliases) or "-"
    digest = short(version.digest) or "-"
    return [version.model, version.version, aliases, version.gate or "-", digest, version.created, shown or "-"]


@command.command("show")
@click.argument("model", required=False)
@click.option("--version", "wanted", metavar="N|ALIAS", help="Version or alias; without it the newest.")
@click.option("--card", "page", flag_value="md", help="Print its model card, as Markdown.")
@click.option("--html", "page", flag_value="html", help="Print its model card, as one HTML page.")
@stack_option
@json_option
def show(model: str | None, *, wanted: str | None, page: str | None, stack: str, as_json: bool) -> None:
    """Show a version of MODEL, which is by default the project's own, and its gate report; or its model card.

    \b
    Example:
      mlplat model show
      mlplat model show flights/late --version 2
      mlplat model show --version champion --html > card.html
    """
    from mlplat.runs.result import describe_gate, score, with_intervals

    with _open(stack) as (catalogue, project):
        version = catalogue.find(_name(model, project), wanted)
        if page:
            click.echo(_card(catalogue, version, page), nl=False)
            return
        report = catalogue.report(version)
    if as_json:
        emit_json({**asdict(version), "report": report})
        return
    facts = {**asdict(version), "aliases": ", ".join(version.aliases) or "-"}
    metrics, _ = with_intervals(facts.pop("metrics")), (facts.pop("source"), facts.pop("tags"))
    click.echo("\n".join(f"{name:<13} {value or '-'}" for name, value in facts.items()))
    click.echo("\nmetrics")
    click.echo("\n".join(f"  {name:<20} {score(value)}" for name, value in metrics.items()))
    click.echo("\n" + ("\n".join(describe_gate(report)) if report else "no gate report is kept with its run"))


def _card(catalogue: Catalogue, version: Version, ending: str) -> str:
    from mlplat.errors import MlplatError

    if content := catalogue.page(version, f"card/card.{ending}"):
        return content.decode()
    raise MlplatError(
        f"no card is kept with {version.model} version {version.version}",
        hint="versions have one since mlplat writes cards: train again",
    )


@command.command("export")
@click.argument("model")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--version", "wanted", required=True, metavar="N|ALIAS", help="Version or alias.")
@click.option(
    "--as",
    "form",
    required=True,
    type=click.Choice(["onnx", "image"]),
    help="The graph with what calls it, or what a server's image is built from, the model inside.",
)
@stack_option
@json_option
def export(model: str, folder: Path, *, wanted: str, form: str, stack: str, as_json: bool) -> None:
    """Write a version of MODEL into the folder DIR, for use without the platform.

    The files are those that the gate judged, checked by digest; a README.md beside them says how to use them. A version
    that is not served as ONNX has no graph, and is refused.

    \b
    Example:
      mlplat model export late --version champion --as onnx late-model
      mlplat model export flights/late --version 2 --as image late-image
    """
    from mlplat.runs.export import README
    from mlplat.runs.export import export as write

    with _open(stack) as (catalogue, project):
        version = catalogue.find(_name(model, project), wanted)
        files = write(catalogue, version, form, folder)
    if as_json:
        emit_json({"model": version.model, "version": version.version, "digest": version.digest, "folder": folder})
        return
    say(f"{version.model} version {version.version}, {version.digest}: {len(files)} files")
    click.echo(str(folder / README))


@contextlib.contextmanager
def _open(stack: str) -> Iterator[tuple[Catalogue, tuple[str, str] | None]]:
    """Yield the registry of the project's platform, or of `mlplat`; and the project's name and model inside one."""
    from mlplat.cli import endpoints
    from mlplat.runs.catalogue import Catalogue

    where = endpoints.place(stack)
    with where.reach(where.connection.tracking) as tracking:
        yield Catalogue(tracking), (where.project.project, where.project.model) if where.project else None


def _name(model: str | None, project: tuple[str, str] | None) -> Name:
    from mlplat.errors import UsageError
    from mlplat.labels import Name

    if model:
        return Name.parse(model, project=project[0] if project else None)
    if project:
        return Name(*project)
    raise UsageError("no model was named", hint="name one as `project/model`; `mlplat model list` lists them")
