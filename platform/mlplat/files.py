"""Files that are never half-written, and the folders mlplat keeps them in.

`MLPLAT_STATE_DIR`, `MLPLAT_DATA_DIR` and `MLPLAT_CONFIG_DIR` move the three folders; without them they are the
operating system's own for a user's applications (platformdirs).
"""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import platformdirs

from mlplat.errors import StateError

PRIVATE = 0o600


def state_dir() -> Path:
    """Return the folder of what platforms are and hold: plans, databases, artifacts, logs."""
    return _folder("MLPLAT_STATE_DIR", platformdirs.user_state_path("mlplat"))


def data_dir() -> Path:
    """Return the folder of what can be made again: environments of services, copies of the code."""
    return _folder("MLPLAT_DATA_DIR", platformdirs.user_data_path("mlplat"))


def config_dir() -> Path:
    """Return the folder of what projects look up: connection documents."""
    return _folder("MLPLAT_CONFIG_DIR", platformdirs.user_config_path("mlplat"))


def _folder(variable: str, default: Path) -> Path:
    return Path(os.environ.get(variable) or default).expanduser().absolute()


def write_atomic(path: Path, content: str | bytes, *, mode: int = 0o644) -> None:
    """Put `content` at `path` in one step: a reader sees the old file or the new one, never a part.

    The temporary file lies in the same folder, which is what Envoy's watched folders need. Raises `OSError`, and then
    the old file is still there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode() if isinstance(content, str) else content
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)
        raise


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Say a write below `folder` that fails as people can mend it: with the file, why, and what to do.

    Raises `StateError` in place of `OSError`. Files are replaced whole, so whatever was there before still is.
    """
    try:
        yield
    except OSError as error:
        place = error.filename or folder
        hint = "make it writable, or set MLPLAT_STATE_DIR to another folder"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            hint = f"free some space where {folder} lies, then run it again; what was there before is unchanged"
        raise StateError(f"{place}: cannot be written: {error.strerror or error}", hint=hint) from error


def hide_from_git(folder: Path) -> None:
    """Keep a folder out of the repository that it lies in, whatever that repository's own rules say."""
    write_if_changed(folder / ".gitignore", "*\n")


def write_if_changed(path: Path, content: str | bytes, *, mode: int = 0o644) -> bool:
    """Write `content` unless it is there already; tell whether anything was written."""
    data = content.encode() if isinstance(content, str) else content
    if path.is_file() and path.read_bytes() == data:
        return False
    write_atomic(path, data, mode=mode)
    return True
