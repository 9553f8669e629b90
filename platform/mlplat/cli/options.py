"""Options that several verbs share, and what they stand for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from mlplat.errors import UsageError

if TYPE_CHECKING:
    from mlplat.spec.project import ProjectSpec

F = TypeVar("F", bound=Callable[..., Any])
PROJECT_FILE = "mlplat.yaml"
WAIT_SECONDS = 300.0
"""An `up` that makes all environments takes a few minutes."""


def stack_option(function: F) -> F:
    """Add `-s/--stack`."""
    return click.option(
        "-s", "--stack", default="local", show_default=True, envvar="MLPLAT_STACK", help="Stack of the platform."
    )(function)


def here_option(function: F) -> F:
    """Add `--here`."""
    return click.option("--here", is_flag=True, help="Runs on this computer, also where the platform is on a cluster.")(
        function
    )


def json_option(function: F) -> F:
    """Add `--json`, as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON for a program.")(function)


def yes_option(function: F) -> F:
    """Add `--yes`."""
    return click.option("-y", "--yes", is_flag=True, help="Do not ask.")(function)


def wait_option(function: F) -> F:
    """Add `--wait`, in seconds."""
    return click.option(
        "--wait",
        type=click.FloatRange(min=0),
        default=WAIT_SECONDS,
        show_default=True,
        metavar="SECONDS",
        help="Longest time to wait for another `up` or `down` of this platform.",
    )(function)


def project_option(function: F) -> F:
    """Add `--project`, a folder."""
    return click.option(
        "--project",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        default=None,
        help="The project's folder, instead of this one or the nearest above it.",
    )(function)


def read_pairs(pairs: Sequence[str]) -> dict[str, str]:
    """Read the `NAME=VALUE` of a repeated `--set`; the last one for a name counts. Raises `UsageError` without `=`."""
    for pair in pairs:
        if "=" not in pair:
            raise UsageError(f"`--set {pair}` has no value", hint="write it as `--set NAME=VALUE`")
    return dict(pair.split("=", 1) for pair in pairs)


def find_project(start: Path | None = None) -> Path | None:
    """Return the nearest folder, from `start` upward, that holds a mlplat.yaml."""
    begin = (start or Path.cwd()).absolute()
    return next((folder for folder in [begin, *begin.parents] if (folder / PROJECT_FILE).is_file()), None)


def current_project(start: Path | None = None) -> tuple[Path, ProjectSpec]:
    """Return the project's folder and what its mlplat.yaml says. Raises `UsageError` outside a project."""
    from mlplat.spec.project import read

    folder = find_project(start)
    if folder is None:
        raise UsageError(
            f"there is no {PROJECT_FILE} in {(start or Path.cwd()).absolute()} or above it",
            hint="go to a project's folder, or make one with `mlplat new NAME`",
        )
    return folder, read(folder / PROJECT_FILE)
