"""One voice: data on stdout, everything for people on stderr."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import click


def say(text: str = "") -> None:
    """Tell a person something."""
    click.echo(text, err=True)


def warn(text: str) -> None:
    """Tell a person something that may need a hand."""
    click.echo(click.style("warning: ", fg="yellow") + text, err=True)


def emit_json(value: Any) -> None:
    """Print a value for a program."""
    click.echo(json.dumps(value, indent=2, default=str))


def table(rows: Sequence[Sequence[Any]], headers: Sequence[str]) -> None:
    """Print rows in aligned columns, with a head in capitals."""
    lines = [[str(cell) for cell in row] for row in [[header.upper() for header in headers], *rows]]
    widths = [max(len(line[index]) for line in lines) for index in range(len(headers))]
    for line in lines:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


@contextlib.contextmanager
def progress(text: str) -> Iterator[Callable[[str], None]]:
    """Show what is waited for; the value is a function that changes the text.

    On a terminal it is one line that moves; elsewhere each text is a line of its own.
    """
    if not (sys.stderr.isatty() and os.environ.get("TERM") != "dumb"):
        say(text)
        yield say
        return
    from rich.console import Console

    with Console(stderr=True).status(text) as status:
        yield status.update


def leaves(value: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    """Yield each leaf of nested maps by its dotted path; what is empty has none."""
    for name, each in value.items():
        at = f"{path}.{name}".lstrip(".")
        if isinstance(each, Mapping):
            yield from leaves(each, at)
        elif each is not None:
            yield at, ", ".join(map(str, each)) if isinstance(each, list) else str(each)
