"""`mlplat explain`: what a key means."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mlplat.cli.console import emit_json, say, table
from mlplat.cli.options import json_option

if TYPE_CHECKING:
    from mlplat.spec.explain import Key


@click.command()
@click.argument("path", default="")
@click.option("--project", "of_project", is_flag=True, help="Explain mlplat.yaml instead of the stack file.")
@json_option
def command(path: str, of_project: bool, as_json: bool) -> None:
    """Say what the key at PATH means, its type and its default, and list the keys below it.

    \b
    Example:
      mlplat explain
      mlplat explain serving.prediction_log
      mlplat explain --project gate
    """
    from mlplat.spec.explain import explain, sentence
    from mlplat.spec.platform import PlatformSpec
    from mlplat.spec.project import ProjectSpec

    model = ProjectSpec if of_project else PlatformSpec
    key, below = explain(model, path)
    if as_json:
        emit_json({"key": _plain(key) if key else None, "keys": [_plain(each) for each in below]})
        return
    say(f"{path}: {key.shape}. {key.sentence}" if key else sentence(model))
    if key and not below:
        say("It is required." if key.required else f"Default: {key.default}")
    if below:
        say()
        table([(each.name, each.shape, _default(each), each.sentence) for each in below], HEADERS)


HEADERS = ("key", "type", "default", "meaning")


def _plain(key: Key) -> dict[str, object]:
    return {
        "name": key.name, "type": key.shape, "default": key.default, "required": key.required, "meaning": key.sentence,
    }  # fmt: skip


def _default(key: Key) -> str:
    return "required" if key.required else key.default or ""
