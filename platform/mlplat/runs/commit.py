"""The commit that a project stands at: what runs unattended comes from one, never from somebody's working folder."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mlplat.archive import extract
from mlplat.errors import MlplatError, RefusedError

SHOWN_SIGNS = 12
SHOWN_FILES = 5


@dataclass(frozen=True)
class Commit:
    """A commit of the repository that a project lies in."""

    id: str
    project: Path

    def __str__(self) -> str:
        return self.id[:SHOWN_SIGNS]

    @contextlib.contextmanager
    def unpacked(self) -> Iterator[Path]:
        """Write the project as the commit has it into a folder that is there for as long as the block lasts."""
        archive = _git(self.project, "archive", "--format=tar", self.id)
        with tempfile.TemporaryDirectory(prefix="mlplat-commit-") as folder:
            with tarfile.open(fileobj=io.BytesIO(archive)) as packed:
                extract(packed, Path(folder))
            yield Path(folder)


def commit(project: Path) -> Commit:
    """Return the commit that a project stands at.

    Raises `RefusedError` for a project without one, or with changes since.
    """
    try:
        found = Commit(_git(project, "rev-parse", "--verify", "--quiet", "HEAD").decode().strip(), project)
        changed = _git(project, "status", "--porcelain", "--", ".").decode().splitlines()
    except MlplatError as error:
        raise RefusedError(
            f"{project} is at no commit, and what runs unattended comes from one: {error.message}",
            hint="`git init`, `git add --all` and `git commit` in it",
        ) from error
    if changed:
        files = [line[3:] for line in changed[:SHOWN_FILES]]
        more = f" and {len(changed) - SHOWN_FILES} more" if len(changed) > SHOWN_FILES else ""
        raise RefusedError(
            f"{project} has changes that are in no commit: {', '.join(files)}{more}",
            hint="commit them first: what runs unattended comes from a commit",
        )
    return found


def _git(folder: Path, *arguments: str) -> bytes:
    # A repository named by the environment (as inside a git hook) is not the project's.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_") or "CONFIG" in name}
    command = ["git", "-c", "core.quotePath=false", *arguments]
    variables = {**kept, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            command, cwd=folder, env=variables, stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
    except FileNotFoundError as error:
        raise MlplatError("git is not installed") from error
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        raise MlplatError(lines[-1] if lines else f"`git {arguments[0]}` found nothing")
    return done.stdout
