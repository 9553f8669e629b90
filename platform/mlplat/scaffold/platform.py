"""Making a platform's repository: configuration only, rendered as projects are and put in place in one step."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import mlplat
from mlplat.scaffold import answers, repository, tree
from mlplat.scaffold.render import render
from mlplat.scaffold.template import Template
from mlplat.spec import schema
from mlplat.spec.platform import VERSION


@dataclass(frozen=True)
class Platform:
    """A platform's repository that was made."""

    name: str
    target: str
    stack: str
    folder: Path
    notes: tuple[str, ...]
    """What a person should know: about git, and the identity of the first commit."""


def create(folder: Path, template: Template, given: Mapping[str, str], *, ask: answers.Ask | None) -> Platform:
    """Make the repository `folder`.

    `given` holds answers that were set; `ask` asks for the others, and is None where defaults are to be taken. Raises
    `UsageError` for an answer or a place that cannot be, and `MlplatError` when it cannot be written; nothing is left
    then.
    """
    target = folder.absolute().parent.resolve() / folder.absolute().name if folder.name else folder.resolve()
    tree.check_free(target, hint="name another folder")
    known = _variables(target, template)
    replies = answers.collect(template, given, known=known, ask=ask)
    files = dict(render(template, {**known, **replies}))
    # Of the mlplat that is pinned, like the version of the stack file's form.
    files["stacks/schema.json"] = tree.File(schema.text().encode())
    record = answers.record(template, {**known, "project": replies["name"]}, replies, tree.digest(files))
    files[answers.RECORD] = tree.File(record)
    notes: list[str] = []
    message = f"New platform from the template {template.name} {template.manifest.version}"
    tree.write(files, target, finish=repository.committer(repository.look(target), message, notes))
    return Platform(replies["name"], replies["target"], replies["stack"], target, tuple(notes))


def _variables(target: Path, template: Template) -> dict[str, str]:
    return {
        "folder": target.name,
        "mlplat_version": mlplat.__version__,
        "spec_version": str(VERSION),
        "template_version": template.manifest.version,
        "python_version": f"{sys.version_info.major}.{sys.version_info.minor}",
    }
