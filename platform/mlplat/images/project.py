"""A project's own image, in which its pipelines run: its Dockerfile, what that copies, and the mlplat it is built with.

Only what the Dockerfile copies is sent to the builder and counts for the tag: an edited test makes no new image.
"""

from __future__ import annotations

import hashlib
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import mlplat
from mlplat import codebase
from mlplat.errors import MlplatError, UsageError
from mlplat.images.context import DOCKERFILE, HASH_SIGNS
from mlplat.images.references import LOCAL

CODE = "code"
"""Folder of the context that holds mlplat's package."""
_LEFT_OUT = {"__pycache__", ".git", ".venv", ".metaflow"}


def tag(project: Path, base: str, platform: str) -> str:
    """Return the tag of a project's image: the version of mlplat in it, and a hash of all that it is made of."""
    total = hashlib.sha256(f"{base}\n{platform}\n{codebase.place().name}\n".encode())
    for path in files(project):
        content = (project / path).read_bytes()
        total.update(f"{path.as_posix()} {len(content)}\n".encode())
        total.update(content)
    return f"{mlplat.__version__.replace('+', '-')}-{total.hexdigest()[:HASH_SIGNS]}"


def reference(project: Path, name: str, *, registry: str | None, base: str, platform: str) -> str:
    """Return registry, name and tag of a project's image."""
    return f"{registry or LOCAL}/projects/{name}:{tag(project, base, platform)}"


def write(project: Path, folder: Path) -> None:
    """Write the context of a project's image into an empty folder."""
    for path in files(project):
        at = folder / path
        at.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(project / path, at)
    shutil.copytree(codebase.folder(), folder / CODE, ignore=shutil.ignore_patterns("__pycache__"))


def files(project: Path) -> list[Path]:
    """Return the files that a project's Dockerfile copies, itself included, relative to the project, sorted.

    Raises `UsageError` for a project without a Dockerfile, `MlplatError` for one that copies what is not there.
    """
    dockerfile = project / DOCKERFILE
    if not dockerfile.is_file():
        raise UsageError(
            f"{dockerfile} is missing", hint="`mlplat new` puts one into a project; any that copies `code/` will do"
        )
    found = {Path(DOCKERFILE)}
    for source in copied(dockerfile.read_text(encoding="utf-8")):
        if source.split("/")[0] != CODE:
            found.update(_below(project, source))
    return sorted(found)


def copied(dockerfile: str) -> list[str]:
    """Return what a Dockerfile copies from its context, as it is written there; not what it copies from a stage."""
    whole = re.sub(r"\\\n", " ", dockerfile)
    found: list[str] = []
    for line in whole.splitlines():
        if re.match(r"\s*(COPY|ADD)\s", line, re.IGNORECASE):
            words = shlex.split(line)[1:]
            if not any(word.startswith("--from") for word in words):
                found += [word for word in words if not word.startswith("--")][:-1]
    return found


def _below(project: Path, source: str) -> Iterator[Path]:
    matches = sorted(project.glob(source.rstrip("/"))) if source.strip("./") else [project]
    if not matches:
        raise MlplatError(f"{project / DOCKERFILE} copies `{source}`, and there is none")
    for match in matches:
        for path in [match] if match.is_file() else match.rglob("*"):
            relative = path.relative_to(project)
            if path.is_file() and not _LEFT_OUT.intersection(relative.parts) and path.suffix != ".pyc":
                yield relative
