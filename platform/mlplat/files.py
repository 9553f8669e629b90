"""Files that are never half-written, and the folders mlplat keeps them in.

`MLPLAT_STATE_DIR`, `MLPLAT_DATA_DIR` and `MLPLAT_CONFIG_DIR` move the three folders; without them they are the
operating system's own for a user's applications (platformdirs).
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

import platformdirs

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
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise


def write_if_changed(path: Path, content: str | bytes, *, mode: int = 0o644) -> bool:
    """Write `content` unless it is there already; tell whether anything was written."""
    data = content.encode() if isinstance(content, str) else content
    if path.is_file() and path.read_bytes() == data:
        return False
    write_atomic(path, data, mode=mode)
    return True
