"""The copy of mlplat's own package that services and projects run.

The command line may live in a throw-away environment (`uvx mlplat`) or in a checkout that is being edited; what it
starts goes on for weeks. So that runs a copy under the data folder, named by its content: complete or not there, never
changed, compiled once. `folder()` is a PYTHONPATH entry, and the one line of a project's `mlplat.pth`.
"""

from __future__ import annotations

import compileall
import hashlib
import shutil
import tempfile
from pathlib import Path

from mlplat.errors import StateError
from mlplat.files import data_dir

PACKAGE = Path(__file__).parent
_LEFT_OUT = {"__pycache__", "templates"}  # templates are read by the command line only


def folder(package: Path = PACKAGE) -> Path:
    """Return the folder `<data>/code/<hash>` that holds `mlplat/` as it is now; make it when it is not there.

    Raises `StateError` when it cannot be written.
    """
    files = _read(package)
    target = _place(files)
    if not _is_made(target):
        try:
            _make(files, target)
        except OSError as error:
            raise StateError(f"cannot copy mlplat's code to {target}: {error.strerror or error}") from error
    return target


def place(package: Path = PACKAGE) -> Path:
    """Return where `folder` lies or would lie, making nothing: what a preview may look at."""
    return _place(_read(package))


def _place(files: dict[Path, bytes]) -> Path:
    return data_dir() / "code" / digest(files)[:16]


def digest(files: dict[Path, bytes]) -> str:
    """Return the hex SHA-256 over the names and bytes of a package's files."""
    total = hashlib.sha256()
    for path, content in files.items():
        total.update(f"{path.as_posix()} {len(content)}\n".encode())
        total.update(content)
    return total.hexdigest()


def _read(package: Path) -> dict[Path, bytes]:
    # Read once: what is hashed is what is copied, even while somebody edits the checkout.
    found = (path.relative_to(package) for path in package.rglob("*") if path.is_file())
    kept = sorted(path for path in found if not _LEFT_OUT.intersection(path.parts) and path.suffix != ".pyc")
    return {path: (package / path).read_bytes() for path in kept}


def _is_made(target: Path) -> bool:
    return (target / PACKAGE.name / "__init__.py").is_file()


def _make(files: dict[Path, bytes], target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
    try:
        for path, content in files.items():
            copy = temporary / PACKAGE.name / path
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(content)
        temporary.chmod(0o755)
        compileall.compile_dir(temporary, quiet=2, stripdir=str(temporary), prependdir=str(target))
        _publish(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _publish(temporary: Path, target: Path) -> None:
    try:
        temporary.rename(target)
    except OSError:
        # Another process was first: a folder that is not empty is never replaced.
        if not _is_made(target):
            raise
