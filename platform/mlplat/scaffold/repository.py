"""A new folder's git repository: made with its first commit, which later upgrades start from.

Nothing of the person's set-up that runs programs takes part: no hooks, no signing, no template folder.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mlplat.errors import MlplatError

FALLBACK = ("mlplat", "mlplat@localhost")
_QUIET = ("-c", "core.hooksPath=/dev/null", "-c", "init.defaultBranch=main", "-c", "core.autocrlf=false")


@dataclass(frozen=True)
class Place:
    """What git there is where a folder will lie."""

    git: str | None
    """The program, or None without one."""
    around: Path | None
    """The work tree that already covers it, or None; one that ignores it does not."""


def look(folder: Path) -> Place:
    """Find git, and the repository around the nearest existing folder at or above `folder`."""
    git = shutil.which("git")
    near = next(path for path in [folder, *folder.parents] if path.is_dir())
    if git is None:
        return Place(None, None)
    done = _git(git, near, "rev-parse", "--show-toplevel")
    covered = done.returncode == 0 and _git(git, near, "check-ignore", "--quiet", str(folder)).returncode != 0
    return Place(git, Path(done.stdout.strip()) if covered else None)


def begin(git: str, folder: Path, message: str) -> bool:
    """Make a repository of `folder` and commit everything in it; tell whether the person's own identity was used.

    Files that some ignore rule hides are committed too: they are the template's. Raises `MlplatError` when git fails.
    """
    _must(git, folder, "init", "--quiet", "--template=")
    own = _git(git, folder, "-c", "user.useConfigOnly=true", "var", "GIT_COMMITTER_IDENT").returncode == 0
    name, mail = FALLBACK
    identity = () if own else ("-c", f"user.name={name}", "-c", f"user.email={mail}")
    _must(git, folder, "add", "--all", "--force", ".")
    _must(git, folder, *identity, "commit", "--quiet", "--no-verify", "--no-gpg-sign", "--message", message)
    return own


def committer(place: Place, message: str, notes: list[str]) -> Callable[[Path], None]:
    """Return what gives a new folder its repository and first commit; what a person should know goes to `notes`."""

    def finish(folder: Path) -> None:
        if place.git is None:
            notes.append("git is not installed, so there is no repository; `mlplat` needs one to upgrade it later")
        elif place.around:
            notes.append(f"no repository of its own: it lies in the one of {place.around}")
        elif not begin(place.git, folder, message):
            notes.append("git knows no identity of yours, so the first commit is by mlplat <mlplat@localhost>")

    return finish


def _must(git: str, folder: Path, *arguments: str) -> None:
    done = _git(git, folder, *arguments)
    if done.returncode:
        command = next(each for each in arguments if each in {"init", "add", "commit"})
        raise MlplatError(f"`git {command}` failed: {done.stderr.strip() or done.returncode}")


def _git(git: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # A repository named by the environment (as inside a git hook) is not the project's.
    names = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR", "GIT_NAMESPACE")
    variables = {name: value for name, value in os.environ.items() if name not in names}
    command = [git, *_QUIET, *arguments]
    variables |= {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    return subprocess.run(
        command, cwd=folder, env=variables, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
