"""`mlplat data review`: what an endpoint left to a person, and the person's labels."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from mlplat.cli import dataplaces
from mlplat.cli.console import emit_json, say, table
from mlplat.cli.options import current_project, json_option, project_option, stack_option
from mlplat.errors import UnreachableError, UsageError

OWN = ("id", "label", "note", "time", "probability")
"""A file's columns that are no columns of the row; the label and the note are for the person."""
SHOWN = 20
"""Answers that people are shown; a file and `--json` have all."""


@click.group("review", invoke_without_command=True)
@click.option("--csv", "as_csv", is_flag=True, help="Print all of it as CSV, with an empty `label` to fill in.")
@project_option
@stack_option
@json_option
@click.pass_context
def command(context: click.Context, project: Path | None, *, stack: str, as_json: bool, as_csv: bool) -> None:
    """List the answers that a model left to a person, the oldest first, and take that person's labels.

    A model that abstains (`cost.review` in mlplat.yaml) answers some rows without a label. They wait for as long as the
    prediction log keeps them; what is labelled is kept, and learned from by the next training.

    \b
    Example:
      mlplat data review
      mlplat data review --csv > waiting.csv
      mlplat data review label 3f09a1c4d2e7 1 --note "called the crew"
    """
    if context.invoked_subcommand:
        return
    told = _asked(project, stack, verb="review")
    waiting = told["waiting"]
    if as_csv:
        _write(waiting)
    elif as_json:
        emit_json(told)
    elif not waiting:
        say(f"nothing waits for a person; {len(told['labelled'])} answers are labelled")
    else:
        rows = [[each["id"], each["time"][:16], f"{each['probability']:.3f}", each["version"]] for each in waiting]
        table(rows[:SHOWN], ["answer", "asked", "probability", "version"])
        more = f", of which the first {SHOWN} are shown" if len(waiting) > SHOWN else ""
        say(f"{len(waiting)} answers wait{more}; {len(told['labelled'])} are labelled")


@command.command("show")
@click.argument("answer")
@project_option
@stack_option
@json_option
def show(answer: str, project: Path | None, *, stack: str, as_json: bool) -> None:
    """Show the row of an ANSWER, and every label that it was given.

    \b
    Example:
      mlplat data review show 3f09a1c4d2e7
    """
    told = _asked(project, stack, verb="review")
    known = [*told["labelled"], *({"answer": each, "labels": []} for each in told["waiting"])]
    found = next((each for each in known if each["answer"]["id"] == answer), None)
    if found is None:
        raise UsageError(f"there is no answer `{answer}` without a label", hint="`mlplat data review` lists what waits")
    if as_json:
        emit_json(found)
        return
    head = {name: found["answer"][name] for name in ("time", "model", "version", "probability", "classes")}
    for name, value in (head | found["answer"]["row"]).items():
        click.echo(f"{name:<24} {value}")
    for each in found["labels"]:
        click.echo(f"label {each['value']} at {each['time']}{': ' * bool(each['note'])}{each['note']}")


@command.command("label")
@click.argument("answer", required=False)
@click.argument("label", required=False)
@click.option("--note", default="", help="Why; kept with the label: write nothing personal.")
@click.option("--csv", "file", metavar="FILE", help="Take the filled `label`s of a file of `--csv`; `-` reads them.")
@project_option
@stack_option
@json_option
def label(
    answer: str | None,
    label: str | None,
    *,
    note: str,
    file: str | None,
    project: Path | None,
    stack: str,
    as_json: bool,
) -> None:
    """Give an ANSWER its LABEL, or those of a whole file theirs.

    A further label corrects the one before, which is kept as well; the same one again changes nothing. Of a file in
    which one label cannot be, none is taken.

    \b
    Example:
      mlplat data review label 3f09a1c4d2e7 1
      mlplat data review label --csv waiting.csv
    """
    if (file is None) == (answer is None or label is None) or (file is not None and answer is not None):
        raise UsageError("give an answer and its label, or a file with `--csv`")
    labels = _read(file) if file else [{"id": answer, "label": label, "note": note}]
    told = _asked(project, stack, verb="label", labels=labels)
    if as_json:
        emit_json(told)
    else:
        say(f"labelled {told['labelled']}, {told['unchanged']} had that label already")


def _asked(project: Path | None, stack: str, **request: Any) -> Any:
    from mlplat.cli import data

    folder, spec = current_project(project)
    with dataplaces.reach(spec, stack) as places:
        unreached: list[str] = []
        log = places.log(unreached)
        if log.address is None:
            raise UnreachableError("\n".join(unreached), hint="`mlplat status` shows whether there is a platform")
        return data.asked(places, folder, spec, stack, project=spec.project, log=log.address, **request)


def _write(waiting: Sequence[Mapping[str, Any]]) -> None:
    """Print what waits as CSV: the name of an answer, room for a label, and the row that was asked."""
    columns = list(dict.fromkeys(name for each in waiting for name in each["row"]))
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow([*OWN, *(f"row.{name}" for name in columns)])
    for each in waiting:
        row = [_harmless(each["row"].get(name)) for name in columns]
        writer.writerow([each["id"], "", "", each["time"], each["probability"], *row])


def _harmless(value: Any) -> Any:
    """Return a cell that no spreadsheet takes for a formula: whoever asks the endpoint chooses its texts."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@")) else value


def _read(file: str) -> list[dict[str, str]]:
    """Return the labels of a file that are filled in. Raises `UsageError`."""
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "is not UTF-8"
        raise UsageError(f"{file}: {why}") from error
    reader = csv.DictReader(io.StringIO(text, newline=""))
    if missing := [name for name in ("id", "label") if name not in (reader.fieldnames or ())]:
        raise UsageError(f"{file}: has no column `{missing[0]}`", hint="`mlplat data review --csv` writes such a file")
    filled = list(_filled(reader))
    if not filled:
        raise UsageError(f"{file}: no `label` is filled in")
    return filled


def _filled(rows: Iterable[Mapping[str, str | None]]) -> Iterable[dict[str, str]]:
    for each in rows:
        if (each["label"] or "").strip():
            yield {"id": each["id"] or "", "label": (each["label"] or "").strip(), "note": each.get("note") or ""}
