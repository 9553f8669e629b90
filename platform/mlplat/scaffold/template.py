"""A template: `template.yaml` with its questions, and the files under `project/` that it renders.

Templates ship inside the wheel (`mlplat/templates`); in a checkout they lie in `templates/`. There are no hooks,
extensions or includes: a template is text, and rendering it runs nothing of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

import mlplat
from mlplat.errors import MlplatError, UsageError
from mlplat.scaffold.tree import File
from mlplat.spec.base import Spec, parse, read_text, read_yaml

MANIFEST = "template.yaml"
FILES = "project"
GIVEN = ("project", "package", "mlplat_version", "template_version", "python_version")
"""Variables that every template gets; the others are its questions' names."""

Kind = Literal["project", "platform"]

# What tools leave in a checkout's template when it is linted or tried there.
_LEFTOVERS = {"__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".venv", ".DS_Store"}


class Question(Spec):
    """One thing that a template wants to know."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")] = Field(
        description="Name of the variable, and of `--set NAME=VALUE`."
    )
    type: Literal["text", "choice", "path"] = Field(
        "text", description="`choice` takes one of `choices`; `path` takes one of them or a file's path."
    )
    message: str = Field(description="What a person is asked.")
    default: str | None = Field(
        None,
        description="Answer of `--defaults`, rendered with the answers before it; without one it has to be given.",
    )
    choices: tuple[str, ...] = Field((), description="Words that are answers.")
    pattern: str | None = Field(None, description="Regular expression that the whole answer matches.")
    hint: str | None = Field(None, description="What an answer has to be like, for the error.")
    when: str | None = Field(
        None,
        description="Expression over the answers before it; where it is false the answer is `otherwise`.",
    )
    otherwise: str = Field("", description="The answer where `when` is false.")
    ask: bool = Field(True, description="Whether a person is asked on a terminal; otherwise it is for `--set` only.")

    @model_validator(mode="after")
    def _holds(self) -> Question:
        if self.name in GIVEN:
            raise ValueError(f"`{self.name}` is given to every template and cannot be asked")
        if (self.type == "choice") != bool(self.choices) and self.type != "path":
            raise ValueError("`choices` belong to a question of type `choice` or `path`, and `choice` needs them")
        try:
            re.compile(self.pattern or "")
        except re.error as error:
            raise ValueError(f"`pattern` is no regular expression: {error}") from error
        return self


class Manifest(Spec):
    """`template.yaml`."""

    version: Annotated[str, StringConstraints(pattern=r"^\d+\.\d+\.\d+$")] = Field(
        description="Version of the template."
    )
    description: str = Field(description="One line on what it makes.")
    makes: Kind = Field(
        "project", description="A project, by `mlplat new`, or a platform's repository, by `mlplat init`."
    )
    questions: tuple[Question, ...] = Field((), description="In the order in which they are asked.")
    reserved: tuple[str, ...] = Field(
        (),
        description="Packages that a project imports under other names than its requirements'; none can be its own.",
    )

    @model_validator(mode="after")
    def _unique(self) -> Manifest:
        names = [question.name for question in self.questions]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"`{min(twice)}` is asked twice")
        return self


@dataclass(frozen=True)
class Template:
    """A template in a folder."""

    name: str
    folder: Path
    manifest: Manifest

    @classmethod
    def load(cls, folder: Path) -> Template:
        """Read a template's folder. Raises `SpecError` with every problem of its template.yaml."""
        path = folder / MANIFEST
        document = read_yaml(read_text(path), str(path))
        return cls(folder.name, folder, parse(Manifest, document, str(path), document=document))

    def files(self) -> Iterator[tuple[str, File]]:
        """Yield the files under `project/` as they are, sorted by path. Raises `MlplatError` for links and devices."""
        root = self.folder / FILES
        for path in sorted(root.rglob("*")):
            relative = path.relative_to(root)
            if _LEFTOVERS.intersection(relative.parts):
                continue
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                raise MlplatError(f"the template `{self.name}` holds {relative}, which is no plain file")
            if path.is_file():
                yield relative.as_posix(), File(path.read_bytes(), executable=bool(path.stat().st_mode & 0o100))


def folders() -> dict[str, Path]:
    """Return every template's folder by name: those of the wheel, or of the checkout that mlplat runs from."""
    package = Path(mlplat.__file__).parent
    roots = [package.parents[1] / "templates", package / "templates"]
    return {path.parent.name: path.parent for root in roots for path in sorted(root.glob(f"*/{MANIFEST}"))}


def find(name: str, makes: Kind = "project") -> Template:
    """Return a template of a kind by name. Raises `UsageError` with the names there are."""
    known = {each.name: each for each in map(Template.load, folders().values()) if each.manifest.makes == makes}
    if name not in known:
        listed = ", ".join(f"`{each}`" for each in known) or "none"
        raise UsageError(f"there is no template `{name}`", hint=f"templates here: {listed}")
    return known[name]
