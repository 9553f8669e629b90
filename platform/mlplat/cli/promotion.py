"""`mlplat model promote`: exactly one version from one stack's registry into another's, judged again there."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlplat.cli.console import emit_json, say
from mlplat.cli.options import current_project, json_option, project_option
from mlplat.errors import MlplatError, RefusedError, UsageError

if TYPE_CHECKING:
    from mlplat.contracts import Connection
    from mlplat.runs.catalogue import Version
    from mlplat.runs.promotion import Promotion
    from mlplat.runs.store import Run
    from mlplat.spec.project import ProjectSpec


@click.command("promote")
@click.argument("model", required=False)
@click.option("--version", "wanted", required=True, metavar="N|ALIAS", help="Version or alias on the first stack.")
@click.option("--from", "source", required=True, metavar="STACK", help="Stack whose registry has it.")
@click.option("--to", "target", required=True, metavar="STACK", help="Stack whose registry gets it.")
@click.option("--until", metavar="DATE", help="Present of the judgement there: rows and labels known by then.")
@project_option
@json_option
def command(
    model: str | None,
    *,
    wanted: str,
    source: str,
    target: str,
    until: str | None,
    project: Path | None,
    as_json: bool,
) -> None:
    """Bring a version of MODEL, by default the project's own, into another stack's registry.

    Its bytes come along under the same digest, with its gate report, card and lineage; nothing is trained again. The
    project judges it there as it judges what it trains: on that stack's rows, against that stack's champion. What the
    gate refuses is registered nowhere. A version that is there already is left as it is.

    \b
    Example:
      mlplat model promote --version champion --from dev --to staging
      mlplat model promote flights/late --version 3 --from dev --to staging --until 2013-06-01
    """
    from mlplat.labels import Name
    from mlplat.runs import promotion
    from mlplat.runs.catalogue import Catalogue
    from mlplat.runs.flow import check_time

    folder, spec = current_project(project)
    name = Name.parse(model, project=spec.project) if model else Name(spec.project, spec.model)
    _refuse(spec, name, source, target)
    check_time(until, "--until")
    with _reached(spec, source) as there, _reached(spec, target) as here:
        version = Catalogue(there.tracking).find(name, wanted)
        promotion.refuse_unjudged(Catalogue(there.tracking), version)
        if known := promotion.already(Catalogue(here.tracking), version):
            _tell(known, target, as_json=as_json, new=False)
            return
        run = _carried_out(promotion.Promotion(version, there, here), folder, spec, until)
        made = _registered(run)
        _tell(Catalogue(here.tracking).find(name, made), target, as_json=as_json, new=True)


def _refuse(spec: ProjectSpec, name: object, source: str, target: str) -> None:
    if str(name) != f"{spec.project}/{spec.model}":
        raise UsageError(
            f"this project's model is `{spec.project}/{spec.model}`, and only it can judge its own",
            hint=f"go to the project of `{name}`, or name its folder with `--project`",
        )
    if source == target:
        raise UsageError(f"`--from` and `--to` are both `{source}`", hint="a version is promoted to another stack")


@contextlib.contextmanager
def _reached(spec: ProjectSpec, stack: str) -> Iterator[Connection]:
    """Yield the connection to a stack of the project's platform, by addresses that reach it from here."""
    from mlplat.cli.endpoints import Place
    from mlplat.contracts import Connection
    from mlplat.runs.start import check_answers

    connection = Connection.read(spec.platform, stack)
    with Place(connection, spec).reach(connection.tracking) as tracking:
        reached = replace(connection, tracking=tracking)
        check_answers(reached)
        yield reached


def _carried_out(wanted: Promotion, folder: Path, spec: ProjectSpec, until: str | None) -> Run:
    from mlplat.runs.prepare import prepare

    python = prepare(folder, progress=say)
    version, to = wanted.version, wanted.target.stack
    say(f"judging {version.model} version {version.version} on `{to}`")
    run = wanted.carry_out(folder, spec.project.replace("-", "_"), python, until=until)
    say(f"run {run.record.id}, log in {run.log}")
    return run


def _registered(run: Run) -> str:
    """Return the version that a run has registered. Raises `RefusedError` with the rules that refused it."""
    from mlplat.runs.result import failed_rules

    result, status = run.result() or {}, run.record.status
    if status == "registered":
        return str(result["version"])
    if status == "cancelled":
        raise click.Abort
    said = result.get("message") or "\n".join(run.log.read_text(errors="replace").splitlines()[-5:])
    hint = f"whole log: {run.log}"
    if status == "refused":
        raise RefusedError("\n".join([f"it is registered nowhere: {said}", *failed_rules(result)]), hint=hint)
    raise MlplatError(f"the promotion failed, and nothing is registered: {said}", hint=hint)


def _tell(version: Version, stack: str, *, as_json: bool, new: bool) -> None:
    if as_json:
        emit_json({**asdict(version), "stack": stack, "new": new})
        return
    say("passed the gate there" if new else f"`{stack}` has it already")
    click.echo(f"{version.model} version {version.version} on {stack}  {version.digest}")
