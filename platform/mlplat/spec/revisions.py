"""A stack file as another revision of its repository has it."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from mlplat.errors import UsageError
from mlplat.spec.platform import PlatformSpec, read_platform

GIT_SECONDS = 30


def platform(revision: str, path: Path | None) -> PlatformSpec:
    """Return a stack's platform as a git revision has it. Raises `UsageError` where the revision has none."""
    if path is None:
        raise UsageError("a stack without a file has no other revision", hint="`mlplat init` makes its repository")
    # What comes first must not be taken for an option of git's.
    if revision.startswith("-"):
        raise UsageError(f"`{revision}` is neither a file nor a git revision")
    text = _shown(revision, path.absolute())
    with tempfile.TemporaryDirectory(prefix="mlplat-revision-") as folder:
        copy = Path(folder) / path.name
        copy.write_text(text)
        return read_platform(copy)


def _shown(revision: str, path: Path) -> str:
    command = ["git", "-C", str(path.parent), "show", f"{revision}:./{path.name}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=GIT_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(f"`{revision}` is no file here, and git cannot be asked: {error}") from error
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["git says no"])[-1]
        raise UsageError(
            f"`{revision}` is no file here, and no git revision that has {path.name}: {said}",
            hint="name a branch, a tag or a commit, such as `main`, or another stack file",
        )
    return done.stdout
