"""Making a project: name and answers are checked, the files rendered, and all of it put in place in one step."""

from __future__ import annotations

import keyword
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import mlplat
from mlplat.errors import UsageError
from mlplat.labels import check_label
from mlplat.scaffold import answers, dataset, repository, tree
from mlplat.scaffold.render import render
from mlplat.scaffold.template import Template

# Folders of a project, and mlplat itself: a package of that name would hide or be hidden by them.
_OURS = frozenset({"mlplat", "tests", "flows", "src", "conftest", "setup"})


@dataclass(frozen=True)
class Project:
    """A project that was made."""

    name: str
    folder: Path
    answers: Mapping[str, str]
    """As they are recorded in it."""
    typed: Mapping[str, str]
    """Those that `--defaults` alone would not give, as they were given."""
    notes: tuple[str, ...]
    """What a person should know: about git, the data file, the identity of the first commit."""


def create(name: str, template: Template, given: Mapping[str, str], *, into: Path, ask: answers.Ask | None) -> Project:
    """Make the project `into`/`name`.

    `given` holds answers that were set; `ask` asks for the others, and is None where defaults are to be taken. Raises
    `UsageError` for a name, an answer, a place or a data file that cannot be, and `MlplatError` when it cannot be
    written; nothing is left then.
    """
    target = into.resolve() / name
    known = _variables(name, template)
    tree.check_free(target)
    given_replies = answers.collect(template, given, known=known, ask=ask)
    replies, notes = _own_data(template, given_replies, target)
    files = dict(render(template, {**known, **replies}))
    _refuse_taken(name, known["package"], template, files)
    files[answers.RECORD] = tree.File(answers.record(template, known, replies, tree.digest(files)))
    message = f"New project from the template {template.name} {template.manifest.version}"
    tree.write(files, target, finish=repository.committer(repository.look(target), message, notes))
    typed = answers.beyond_defaults(template, given_replies, known=known)
    return Project(name, target, replies, typed, tuple(notes))


def package_name(name: str) -> str:
    """Return the importable name of a project. Raises `UsageError` when it has none."""
    check_label(name, "project")
    package = name.replace("-", "_")
    why = None
    if not package.isidentifier():
        why = f"`{package}` is no Python name: it starts with a digit"
    elif keyword.iskeyword(package):
        why = f"`{package}` is a Python keyword"
    elif package in sys.stdlib_module_names:
        why = f"`{package}` is a module of Python's standard library"
    elif package in _OURS:
        why = f"`{package}` is taken in every project"
    if why:
        raise UsageError(f"`{name}` cannot be the name of a project: {why}", hint=f"try `{name}-model` or `my-{name}`")
    return package


def _variables(name: str, template: Template) -> dict[str, str]:
    return {
        "project": name,
        "package": package_name(name),
        "mlplat_version": mlplat.__version__,
        "template_version": template.manifest.version,
        "python_version": f"{sys.version_info.major}.{sys.version_info.minor}",
    }


def _refuse_taken(name: str, package: str, template: Template, files: tree.Tree) -> None:
    """Refuse a name under which the project would import something else, or hide something it imports."""
    locked = files["requirements.txt"].content.decode() if "requirements.txt" in files else ""
    required = {line.lower().partition("==")[0].replace("-", "_") for line in locked.splitlines() if "==" in line}
    if package in required or package in template.manifest.reserved:
        raise UsageError(
            f"`{name}` cannot be the name of a project: it imports a package `{package}`", hint=f"try `{name}-model`"
        )


def _own_data(template: Template, replies: dict[str, str], target: Path) -> tuple[dict[str, str], list[str]]:
    """Check a person's own file, and write its path so that it is right inside the project."""
    notes: list[str] = []
    for question in template.manifest.questions:
        text = replies[question.name]
        if question.type != "path" or text in question.choices:
            continue
        path = Path(text).expanduser()
        note = dataset.check(path, task=replies["task"], target=replies["target"], time=replies["time"])
        notes += [note] if note else []
        # An absolute path stays what the person wrote; a relative one is counted from the project's folder.
        replies = {
            **replies,
            question.name: str(path) if path.is_absolute() else os.path.relpath(path.resolve(), target),
        }
    return replies, notes
