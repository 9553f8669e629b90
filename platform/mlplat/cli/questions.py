"""Asking a template's questions on a terminal, for the verbs that make something of one."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlplat.errors import UsageError

if TYPE_CHECKING:
    from mlplat.scaffold.answers import Ask
    from mlplat.scaffold.template import Question


def asker(*, flag: str, quiet: str) -> Ask:
    """Return what asks on a terminal, and elsewhere refuses naming the flag that answers.

    `flag` is that flag, with `{}` where the question's name belongs; `quiet` is the one that takes all defaults.
    """

    def refuse(question: Question, default: str | None, _check: Callable[[str], str]) -> str:
        also = "" if default is None else f", or take all defaults with `{quiet}`"
        raise UsageError(
            f"`{question.name}` is not set and there is no terminal to ask on: {question.message}",
            hint=f"give it with `{flag.format(question.name)}`{also}",
        )

    return _ask if sys.stdin.isatty() and sys.stderr.isatty() else refuse


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


def shown(folder: Path) -> str:
    """Write a folder as one would type it from here."""
    near = os.path.relpath(folder)
    return str(folder) if near.startswith("..") else near
