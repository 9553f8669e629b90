"""`mlplat version`: what this is, and what it would put on a cluster."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import click

import mlplat
from mlplat.cli.console import emit_json, table
from mlplat.cli.options import json_option


@click.command()
@click.option("--all", "every", is_flag=True, help="Show each chart, add-on and image of a cluster too.")
@json_option
def command(every: bool, as_json: bool) -> None:
    """Print the version.

    `--all` adds what a cluster would get of others, with the versions of Kubernetes that each is known to work on;
    `--json` also says why it is that version and where it comes from.

    \b
    Example:
      mlplat version
      mlplat version --all
    """
    parts = list(_parts()) if every else []
    if as_json:
        own = {"mlplat": mlplat.__version__, "python": platform.python_version(), "system": sys.platform}
        emit_json({**own, **({"parts": parts} if every else {})})
    elif every:
        rows = [(each["name"], each["version"], each["app"], ", ".join(each["kubernetes"])) for each in parts]
        table([("mlplat", mlplat.__version__, "", ""), *rows], ["part", "version", "installs", "kubernetes"])
    else:
        click.echo(mlplat.__version__)


def _parts() -> Iterator[dict[str, Any]]:
    from mlplat import versions

    for chart in versions.CHARTS:
        yield {"kind": "chart", **asdict(chart)}
    for files in versions.DEFINITIONS:
        yield {"kind": "definitions", **asdict(files), "app": ""}
    for addon in versions.ADDONS:
        by_version: dict[str, list[str]] = {}
        for kubernetes, version in addon.versions.items():
            by_version.setdefault(version, []).append(kubernetes)
        for version, minors in by_version.items():
            yield {"kind": "addon", "name": addon.name, "version": version, "app": "", "kubernetes": minors}
    images = {"machine image": versions.MACHINE_IMAGE, "kubectl": versions.KUBECTL.rpartition(":")[2]}
    for name, version in images.items():
        yield {"kind": "image", "name": name, "version": version, "app": "", "kubernetes": list(versions.KUBERNETES)}
