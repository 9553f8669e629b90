"""Write the pages and the schema that the code itself is the source of; `--check` only says what is stale."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import click

from mlplat import targets
from mlplat.cli import GROUPS, Verbs, cli
from mlplat.spec import schema
from mlplat.spec.base import Spec
from mlplat.spec.explain import Key, keys, sentence
from mlplat.spec.platform import KEY, PlatformSpec
from mlplat.spec.project import ProjectSpec

# Importing pulumi_aws raises two dozen.
warnings.filterwarnings("ignore", category=DeprecationWarning)
import abstention  # noqa: E402 - beside this file
import aws  # noqa: E402 - likewise
import curves  # noqa: E402 - likewise
import drift  # noqa: E402 - likewise
import mutation  # noqa: E402 - likewise
import retraining  # noqa: E402 - likewise
import watching  # noqa: E402 - likewise

ROOT = Path(__file__).parent.parent
NOTE = "<!-- Written by `make docs` from the code; do not edit. -->"


def pages() -> dict[str, str]:
    """Return every generated file's content, by its path in the repository."""
    return {
        "stacks/schema.json": schema.text(),
        "docs/reference/stack.md": spec_page(
            "The stack file", PlatformSpec, f"The object `{KEY}` under `config` of `stacks/Pulumi.<stack>.yaml`."
        ),
        "docs/reference/project.md": spec_page("mlplat.yaml", ProjectSpec, "What a project says about itself."),
        "docs/reference/targets.md": targets_page(),
        "docs/reference/cli.md": cli_page(),
        **abstention.pages(),
        **aws.pages(),
        **watching.pages(),
        **curves.pages(),
        **drift.pages(),
        **mutation.pages(),
        **retraining.pages(),
    }


def spec_page(title: str, model: type[Spec], lead: str) -> str:
    """Return the page of a written document: a table a group of keys."""
    blocks = [NOTE, f"# {title}", lead, *_tables(model, "")]
    return "\n\n".join(blocks) + "\n"


def _tables(model: type[Spec], path: str) -> Iterator[str]:
    found = keys(model)
    if path:
        yield f"## `{path}`"
    yield sentence(model).replace("\n\n", "\n")
    yield "\n".join(["| key | type | default | meaning |", "|---|---|---|---|", *(_row(key) for key in found)])
    for key in found:
        if key.group:
            yield from _tables(key.group, f"{path}.{key.name}".lstrip("."))


def _row(key: Key) -> str:
    default = "required" if key.required else f"`{key.default}`" if key.default is not None else ""
    cells = (f"`{key.name}`", key.shape, default, key.sentence)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def targets_page() -> str:
    """Return the page of what each target does not do, and why."""
    lead = "One stack file and one command line serve every target. What one of them does not do:"
    blocks = [NOTE, "# Targets", lead]
    for name in targets.NAMES:
        rows = [(f"`{key}` in the stack file", why) for key, why in sorted(targets.unsupported(name).items())]
        lines = [f"| {what} | {why} |" for what, why in [*rows, *sorted(targets.LESS[name].items())]]
        blocks += [f"## `{name}`", "\n".join(["| what | why not |", "|---|---|", *lines])]
    blocks.append("A stack file that has such a key is refused before anything is touched.")
    return "\n\n".join(blocks) + "\n"


def cli_page() -> str:
    """Return the page of the command line: the help of every verb."""
    blocks = [NOTE, "# Commands"]
    for group, verbs in GROUPS.items():
        blocks.append(f"## {group}")
        for verb in verbs:
            blocks += _command(cli, verb)
    return "\n\n".join(blocks) + "\n"


def _command(verbs: Verbs | click.Group, name: str) -> list[str]:
    parent = click.Context(cli, info_name="mlplat", terminal_width=100)
    found = [("mlplat " + name, _load(verbs, name, parent))]
    top = found[0][1]
    if isinstance(top, click.Group):
        found += [(f"mlplat {name} {below}", command) for below, command in sorted(top.commands.items())]
    return [f"### {title}\n\n```text\n{_help(command, title)}\n```" for title, command in found]


def _load(verbs: Verbs | click.Group, name: str, context: click.Context) -> click.Command:
    command = verbs.get_command(context, name)
    if command is None:
        raise LookupError(name)
    return command


def _help(command: click.Command, title: str) -> str:
    context = click.Context(command, info_name=title, terminal_width=100, max_content_width=100)
    return "\n".join(line.rstrip() for line in command.get_help(context).splitlines())


def main() -> int:
    """Write what differs, or list it."""
    check = "--check" in sys.argv[1:]
    stale = {name: text for name, text in pages().items() if not _same(ROOT / name, text)}
    if check:
        for name in stale:
            print(f"{name} is stale: `make docs` writes it again", file=sys.stderr)  # noqa: T201 - this is its output
        return 1 if stale else 0
    for name, text in stale.items():
        (ROOT / name).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / name).write_text(text)
    return 0


def _same(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text() == text


if __name__ == "__main__":
    sys.exit(main())
