"""A project's files as a value, the rules for their paths, and the one step in which they appear on disk.

The tree is written to a new folder and renamed when it is whole, so a target is absent, or complete. Where the target
is an empty folder already, which may be the one that a shell stands in, the whole tree's entries are moved into it.
Nothing is ever written through a link: the new folder is empty when it is made, and a target that is a link is refused.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mlplat.errors import MlplatError, UsageError


@dataclass(frozen=True)
class File:
    """One file of a tree."""

    content: bytes
    executable: bool = False


Tree = Mapping[str, File]
"""Files by their path inside the project, with `/`."""

# `.git` and the other spellings under which some file systems find it: any case, trailing dots and spaces, `git~1`.
_GIT = re.compile(r"(\.git|git~\d+)[. ]*", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def check_path(path: str) -> str:
    """Return `path` when a file may be written there inside a project. Raises `MlplatError` saying why not."""
    if why := _fault(path):
        raise MlplatError(f"the template holds the path {path!r}, which {why}", hint="use another template")
    return path


def _fault(path: str) -> str | None:
    parts = path.split("/")
    rules = {
        "is empty": not path,
        "holds a control character": _CONTROL.search(path),
        "is absolute": PurePosixPath(path).is_absolute() or re.match(r"[A-Za-z]:", path),
        "holds a backslash": "\\" in path,
        "leaves the project": ".." in parts,
        "is not plain": "." in parts or "" in parts,
        "lies in git's own folder": any(_GIT.fullmatch(part) for part in parts),
    }
    return next((why for why, broken in rules.items() if broken), None)


def digest(tree: Tree) -> str:
    """Return `sha256:…` over the paths, executable bits and bytes of a tree, independent of their order."""
    lines = (
        f"{'x' if file.executable else '-'} {hashlib.sha256(file.content).hexdigest()}  {path}\n"
        for path, file in sorted(tree.items())
    )
    return "sha256:" + hashlib.sha256("".join(lines).encode()).hexdigest()


def write(tree: Tree, target: Path, *, finish: Callable[[Path], None] = lambda _: None) -> None:
    """Put a tree at `target`, which must be absent or an empty folder; `finish` is called before it appears there.

    Raises `UsageError` when something is in the way and `MlplatError` when it cannot be written; then nothing is left,
    neither of the tree nor of folders made for it.
    """
    check_free(target)
    for path in tree:
        check_path(path)
    try:
        with _made(target.parent), _beside(target) as temporary:
            for path, file in tree.items():
                _write_file(temporary / path, file)
            finish(temporary)
            _place(temporary, target)
    except OSError as error:
        raise MlplatError(f"cannot write {target}: {error.strerror or error}") from error


def check_free(target: Path, hint: str = "choose another name, or another place with `--into DIR`") -> None:
    """Raise `UsageError` unless `target` is absent or an empty folder, and no link."""
    if target.is_symlink():
        raise UsageError(f"{target} is a link", hint="name the folder it leads to, or another")
    if target.is_dir() and any(target.iterdir()):
        raise UsageError(f"{target} is not empty", hint=hint)
    if target.exists() and not target.is_dir():
        raise UsageError(f"{target} is a file", hint=hint)


def _place(made: Path, target: Path) -> None:
    if not target.exists():
        made.rename(target)
        return
    entries = sorted(made.iterdir())
    try:
        for entry in entries:
            entry.rename(target / entry.name)
    except BaseException:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):
                (target / entry.name).rename(entry)
        raise


@contextlib.contextmanager
def _made(folder: Path) -> Iterator[None]:
    missing = [path for path in [folder, *folder.parents] if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        for path in missing:
            with contextlib.suppress(OSError):
                path.rmdir()
        raise


@contextlib.contextmanager
def _beside(target: Path) -> Iterator[Path]:
    # Inside an empty folder that is there: it may be a mount, or lie where nothing else may be made.
    temporary = (target if target.is_dir() else target.parent) / f".{target.name}.{secrets.token_hex(4)}"
    temporary.mkdir()
    try:
        yield temporary
    finally:
        if temporary.exists():
            shutil.rmtree(temporary)


def _write_file(path: Path, file: File) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o777 if file.executable else 0o666)
    with os.fdopen(handle, "wb") as opened:
        opened.write(file.content)
