"""What moved each answer, as `mlplat predict --explain` shows it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from mlplat.cli.console import table

SHOWN = 5
"""Columns of a row; the others are added up."""


def show(answer: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
    """Print a table for each of the rows that a model server explained, what moved its answer most on top."""
    for row, each in zip(rows, answer["explanations"], strict=True):
        click.echo(f"{_answered(each)}; {answer['base']:.3g} on average{_unknown(each)}")
        table([*_lines(row, each["contributions"])], ["column", "value", "moves it by", "error"])
        click.echo()


def _answered(explained: Mapping[str, Any]) -> str:
    if "value" in explained:
        return f"value {explained['value']:.3g}"
    said = f"probability {explained['probability']:.3g}"
    if explained.get("abstained"):
        return f"{said}, no label: left to a person"
    return f"{said}, label {explained['label']}" if "label" in explained else said


def _unknown(explained: Mapping[str, Any]) -> str:
    groups = explained.get("unknown", ())
    return f"; nothing is known of {', '.join(f'`{group}`' for group in groups)}" if groups else ""


def _lines(row: Mapping[str, Any], contributions: Mapping[str, Mapping[str, float]]) -> Iterator[Sequence[str]]:
    """Yield a line for each of the first contributions, which the server has sorted, and one for the others."""
    found = [*contributions.items()]
    for name, share in found[:SHOWN]:
        yield name, _cell(row, name), f"{share['value']:+.3g}", f"{share['error']:.2g}"
    if others := found[SHOWN:]:
        yield f"{len(others)} others", "", f"{sum(share['value'] for _, share in others):+.3g}", ""


def _cell(row: Mapping[str, Any], name: str) -> str:
    """Return a column's value as it was sent; of one that the server looked up, nothing is known here."""
    value = row.get(name, "")
    return "null" if value is None else str(value)
