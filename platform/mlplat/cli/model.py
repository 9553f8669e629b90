"""`mlplat model`: what is registered, and what the gate said of it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from mlplat.cli.console import emit_json, say, table
from mlplat.cli.options import current_project, find_project, json_option, stack_option

if TYPE_CHECKING:
    from mlplat.labels import Name
    from mlplat.runs.catalogue import Catalogue, Version

METRICS = 2  # of a run's metrics in one line of a terminal


@click.group("model", no_args_is_help=True)
def command() -> None:
    """List and show registered models.

    \b
    Example:
      mlplat model list
      mlplat model show flights/late --version champion
    """


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
    catalogue, project = _open(stack)
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
@stack_option
@json_option
def show(model: str | None, *, wanted: str | None, stack: str, as_json: bool) -> None:
    """Show a version of MODEL, which is by default the project's own, and its gate report.

    \b
    Example:
      mlplat model show
      mlplat model show flights/late --version 2
    """
    from mlplat.runs.result import describe_gate, score, with_intervals

    catalogue, project = _open(stack)
    version = catalogue.find(_name(model, project), wanted)
    report = catalogue.report(version)
    if as_json:
        emit_json({**asdict(version), "report": report})
        return
    facts = {**asdict(version), "aliases": ", ".join(version.aliases) or "-"}
    metrics = with_intervals(facts.pop("metrics"))
    click.echo("\n".join(f"{name:<13} {value or '-'}" for name, value in facts.items()))
    click.echo("\nmetrics")
    click.echo("\n".join(f"  {name:<20} {score(value)}" for name, value in metrics.items()))
    click.echo("\n" + ("\n".join(describe_gate(report)) if report else "no gate report is kept with its run"))


def _open(stack: str) -> tuple[Catalogue, tuple[str, str] | None]:
    """Return the registry of the project's platform, or of `mlplat`; and the project's name and model inside one."""
    from mlplat.contracts import Connection
    from mlplat.runs.catalogue import Catalogue

    spec = current_project()[1] if find_project() else None
    connection = Connection.read(spec.platform if spec else "mlplat", stack)
    return Catalogue(connection.tracking), (spec.project, spec.model) if spec else None


def _name(model: str | None, project: tuple[str, str] | None) -> Name:
    from mlplat.errors import UsageError
    from mlplat.labels import Name

    if model:
        return Name.parse(model, project=project[0] if project else None)
    if project:
        return Name(*project)
    raise UsageError("no model was named", hint="name one as `project/model`; `mlplat model list` lists them")
