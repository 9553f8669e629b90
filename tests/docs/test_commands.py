"""Every command that README, docs and templates show exists, with the options it is shown with."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from mlplat.cli import cli

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "templates").rglob("*.md*")),
]
PLACEHOLDERS = {"PATH", "NAME", "STEP", "FILE", "SERVICE", "MODEL"}


def shown() -> list[tuple[str, str]]:
    """Return each `mlplat …` line of a code block or in backticks, by its page."""
    found = []
    for page in PAGES:
        if page.parent.name == "reference":
            continue
        text = page.read_text()
        blocks = "\n".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL))
        lines = [line.partition("#")[0].strip() for line in blocks.splitlines()]
        quoted = re.findall(r"`((?:mlplat|make) [^`]+)`", text)
        found += [(page.name, line) for line in [*lines, *quoted] if line.startswith(("mlplat ", "make "))]
    return sorted(set(found))


def make_tasks(page: str) -> set[str]:
    makefile = ROOT / ("templates/tabular/project/Makefile" if page.endswith(".jinja") else "Makefile")
    return set(re.findall(r"^([a-z0-9-]+):", makefile.read_text(), re.MULTILINE))


@pytest.mark.parametrize(("page", "line"), shown(), ids=lambda value: value)
def test_a_shown_command_exists_with_its_options(page: str, line: str) -> None:
    program, *words = shlex.split(line.replace("\n", " "))
    if program == "make":
        assert words[0] in make_tasks(page)
        return
    command: click.Command = cli
    context = click.Context(cli, info_name="mlplat")
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        # `mlplat run FLOW` is the hidden `start` with that flow.
        word = words[0] if command is cli or words[0] in command.commands else "start"
        below = command.get_command(context, word)
        assert below is not None, f"there is no command `{word}`"
        command, words = below, words[1:]
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    known |= {"--help", "-h"}
    assert [word for word in words if word.startswith("-") and word.partition("=")[0] not in known] == []


def test_the_two_commands_are_shown() -> None:
    lines = {line for page, line in shown() if page == "README.md"}
    assert {"make demo", "make test"} <= lines


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target
