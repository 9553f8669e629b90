"""`mlplat data`: the training sets that a project has learned from."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlplat.cli import dataplaces, review
from mlplat.cli.console import emit_json, leaves, say, table, warn
from mlplat.cli.options import current_project, json_option, project_option, stack_option
from mlplat.errors import MlplatError, NotReadyError, UsageError

if TYPE_CHECKING:
    from mlplat.cli.dataplaces import Here, There
    from mlplat.contracts import Connection
    from mlplat.spec.project import ProjectSpec

SHORT = 12
"""Digits of a hash that people are shown."""


@click.group("data", no_args_is_help=True)
def command() -> None:
    """List, show and compare the training sets of a project, and erase what must be forgotten.

    Every run keeps what it learns from as a snapshot, known by the hash of its content: its record for good, and its
    rows while `data.keep_snapshots` of mlplat.yaml keeps them; `mlplat run train --snapshot HASH` learns from it again.
    Those of runs on a cluster are in its bucket: name its stack with `-s`.

    \b
    Example:
      mlplat data list
      mlplat data diff 5f2c1a9e 88d0e1b7
      mlplat data erase customer=1042 --reason "asked for it" --dry-run
    """


@command.command("list")
@project_option
@stack_option
@json_option
def list_(project: Path | None, *, stack: str, as_json: bool) -> None:
    """List this project's snapshots, the one that was used last first, with the model versions that learned from each.

    \b
    Example:
      mlplat data list
      mlplat data list --json
    """
    folder, spec = current_project(project)
    known, _ = _versions(spec, stack)
    found = [{**each, "models": _learned(each["hash"], known)} for each in _ask(folder, spec, stack, verb="list")]
    if as_json:
        emit_json(found)
    elif not found:
        say("no snapshots yet: `mlplat run train` keeps what it learns from as one")
    else:
        rows = [[_short(each["hash"]), each["used"], each["rows"], _kept(each), _models(each)] for each in found]
        table(rows, ["snapshot", "used", "rows", "kept", "models"])


@command.command("show")
@click.argument("snapshot", required=False)
@project_option
@stack_option
@json_option
def show(snapshot: str | None, project: Path | None, *, stack: str, as_json: bool) -> None:
    """Show a SNAPSHOT, by default the one that was used last: its sources, its columns, and their quality.

    \b
    Example:
      mlplat data show
      mlplat data show 5f2c1a9e --json
    """
    folder, spec = current_project(project)
    known, _ = _versions(spec, stack)
    found = _ask(folder, spec, stack, verb="show", snapshot=snapshot)
    found["models"] = _learned(found["hash"], known)
    if as_json:
        emit_json(found)
        return
    facts = found["facts"]
    head = {name: found[name] for name in ("hash", "created", "used", "rows")} | {"kept": _kept(found)}
    told = {**head, "models": _models(found), **{name: facts.get(name) for name in ("commit", "mlplat")}}
    click.echo("\n".join(f"{name:<10} {value}" for name, value in told.items()))
    _show_sources(facts.get("sources", []))
    _show_quality(found, facts.get("quality", {}))
    rule = dict(leaves(facts.get("availability", {})))
    click.echo("\navailability\n" + "\n".join(f"  {name:<24} {value}" for name, value in rule.items() if value))


def _show_sources(sources: list[dict[str, Any]]) -> None:
    if sources:
        click.echo()
        rows = [[each["name"], each["size"], _short(each["etag"]), each.get("watermark", "-")] for each in sources]
        table(rows, ["source", "bytes", "hash", "watermark"])


def _show_quality(found: dict[str, Any], quality: dict[str, Any]) -> None:
    figures = quality.get("columns", {})
    click.echo()
    table([_column(name, kind, figures.get(name, {})) for name, kind in found["columns"].items()], COLUMN)
    if not quality:
        say("rows were erased: there are no figures of what is left")
        return
    aged = quality["freshness_hours"]
    age = "" if aged is None else f", the newest row {aged:.0f} hours old"
    click.echo(f"\n{quality['duplicates']} rows twice, {quality['quarantined']} in quarantine{age}")


COLUMN = ["column", "type", "complete", "distinct", "least", "most"]


def _column(name: str, kind: str, figures: dict[str, Any]) -> list[str]:
    complete = f"{figures['completeness']:.1%}" if figures else "-"
    ends = [f"{each:g}" if isinstance(each, float) else str(each) for each in map(figures.get, ("min", "max"))]
    return [name, kind, complete, str(figures.get("distinct", "-")), *(end.replace("None", "-") for end in ends)]


@command.command("diff")
@click.argument("before")
@click.argument("after")
@project_option
@stack_option
@json_option
def diff(before: str, after: str, project: Path | None, *, stack: str, as_json: bool) -> None:
    """Compare the snapshots BEFORE and AFTER: rows, columns and distributions.

    Rows are matched by `data.keys` and `data.time` where these tell them apart.

    \b
    Example:
      mlplat data diff 5f2c1a9e 88d0e1b7
    """
    folder, spec = current_project(project)
    found = _ask(folder, spec, stack, verb="diff", before=before, after=after)
    if as_json:
        emit_json(found)
        return
    rows, columns = found["rows"], found["columns"]
    by = ", ".join(rows["by"]) or "all columns"
    changed = "" if rows["changed"] is None else f", {rows['changed']} changed"
    counts = f"{rows['added']} added, {rows['removed']} removed{changed}"
    click.echo(f"rows: {rows['before']} and then {rows['after']}: {counts} (by {by})")
    for name, count in rows.get("changed_by_column", {}).items():
        click.echo(f"  `{name}` in {count} rows")
    for what in ("added", "removed"):
        if columns[what]:
            click.echo(f"columns {what}: {', '.join(columns[what])}")
    for name, (was, now) in columns["retyped"].items():
        click.echo(f"`{name}`: {was} and then {now}")
    click.echo("\n".join(found["distributions"]) or "no distribution has changed")


@command.command("erase")
@click.argument("entity", metavar="COLUMN=VALUE")
@click.option("--reason", default="", help="Why; kept with the tombstone: write nothing personal.")
@click.option("--dry-run", is_flag=True, help="Say what would be erased, and erase nothing.")
@project_option
@stack_option
@json_option
def erase(entity: str, *, reason: str, dry_run: bool, project: Path | None, stack: str, as_json: bool) -> None:
    """Erase the rows of an entity from this project's snapshots, quarantine, reviews, fetched files, prediction logs
    and the values of the feature server.

    What is left is a tombstone without the value: content hashes before and after, counts, and the model versions that
    learned from the rows. Rows that a source gives again are dropped from then on, and not pushed. An erasure that was
    interrupted goes on when it is given again. It does not touch the source, nor models: what they learned stays until
    they are retired.

    \b
    Example:
      mlplat data erase customer=1042 --dry-run
      mlplat data erase customer=1042 --reason "request of 3 May"
    """
    column, found, value = entity.partition("=")
    if not (column and found and value):
        raise UsageError(f"`{entity}` names no entity", hint="write it as COLUMN=VALUE, such as `customer=1042`")
    if not (reason or dry_run):
        raise UsageError("an erasure has a reason", hint="give it with `--reason`, or look first with `--dry-run`")
    folder, spec = current_project(project)
    versions, unreached = _versions(spec, stack)
    with dataplaces.reach(spec, stack) as places, places.features(unreached) as features:
        log = places.log(unreached)
        told = asked(
            places,
            folder,
            spec,
            stack,
            verb="erase",
            column=column,
            value=value,
            reason=reason,
            dry_run=dry_run,
            versions=versions,
            unreached=unreached,
            project=spec.project,
            log=log.address,
            log_key=base64.b64encode(log.key).decode() if log.key else None,
            features=features,
        )
    if as_json:
        emit_json(told)
    else:
        _show_erasure(told, dry_run=dry_run)
    if told["unreached"] and not dry_run:
        raise NotReadyError(
            "\n".join(["what was reached is done; what was not:", *(f"  {each}" for each in told["unreached"])]),
            hint="give the same command again when it can be: it goes on",
        )


def _show_erasure(told: dict[str, Any], *, dry_run: bool) -> None:
    held = told["held"]
    if held:
        rows = [[_item(each["item"]), each["rows"], _short(each["before"]), _short(each["after"])] for each in held]
        table(
            [[each["holder"], *row] for each, row in zip(held, rows, strict=True)],
            ["where", "item", "rows", "before", "after"],
        )
    else:
        say("nothing holds rows of it")
    seen = ", ".join(each["version"] for each in told["models"])
    click.echo(f"model versions that learned from them: {seen or 'none that is known'}")
    if not dry_run:
        click.echo(f"tombstone {told['id']}")
        return
    for each in told["unreached"]:
        warn(f"not looked into: {each}")


def _item(name: str) -> str:
    return name if len(name) != 64 else name[:SHORT]  # noqa: PLR2004 - digits of a SHA-256


def _ask(folder: Path, spec: ProjectSpec, stack: str, **request: Any) -> Any:
    with dataplaces.reach(spec, stack) as places:
        return asked(places, folder, spec, stack, **request)


def asked(places: Here | There, folder: Path, spec: ProjectSpec, stack: str, **request: Any) -> Any:
    """Return the answer of a project's own code about its data. Raises `MlplatError` with what was refused."""
    from mlplat.runs import data
    from mlplat.runs.prepare import prepare

    clock = None
    with contextlib.suppress(MlplatError):  # without a platform there is no other clock than this computer's
        clock = _connection(spec, stack).clock
    return data.ask(folder, prepare(folder, progress=say), request, at=clock, variables=places.variables)


def _connection(spec: ProjectSpec, stack: str) -> Connection:
    from mlplat.contracts import Connection

    return Connection.read(spec.platform, stack)


@contextlib.contextmanager
def _noted(unreached: list[str], what: str) -> Iterator[None]:
    try:
        yield
    except MlplatError as error:
        unreached.append(f"{what}: {error.message}")


def _versions(spec: ProjectSpec, stack: str) -> tuple[list[dict[str, str]], list[str]]:
    """Return the project's model versions, and in place of them why the registry could not be asked."""
    from dataclasses import replace

    from mlplat.cli.endpoints import Place
    from mlplat.labels import Name
    from mlplat.runs import data

    found: list[dict[str, str]] = []
    unreached: list[str] = []
    with _noted(unreached, "the registry"):
        connection = _connection(spec, stack)
        with Place(connection, spec).reach(connection.tracking) as tracking:
            found = data.versions(replace(connection, tracking=tracking), Name(spec.project, spec.model))
    for each in unreached:
        warn(f"{each}: which versions learned from what is not known")
    return found, unreached


def _learned(snapshot: str, versions: list[dict[str, str]]) -> list[str]:
    return [each["version"] for each in versions if each["data"] == snapshot]


def _kept(found: dict[str, Any]) -> str:
    if found["replaced_by"]:
        return f"rows were erased: {_short(found['replaced_by'])}"
    return "yes" if found["kept"] else "no"


def _models(found: dict[str, Any]) -> str:
    return ", ".join(found["models"]) or "-"


def _short(digest: str | None) -> str:
    return digest.removeprefix("sha256:")[:SHORT] if digest else "-"


command.add_command(review.command)
