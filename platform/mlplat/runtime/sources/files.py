"""Files that hold a project's rows: those of a path or pattern, and those that are brought from elsewhere."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mlplat.errors import UsageError
from mlplat.files import hide_from_git
from mlplat.spec.project import DataSpec

FETCHED = Path(".mlplat", "fetched")
SUFFIXES = (".csv", ".parquet")


@dataclass(frozen=True)
class Unit:
    """A file with rows."""

    name: str
    """How people know it: its path in the project, or its address."""
    path: Path
    size: int
    """Bytes."""
    etag: str
    """What changes when its content does: its SHA-256, or what the object store says."""
    watermark: str | None = None
    """Of a database: the last value that it reaches to."""
    below: tuple[str, Any] | None = None
    """Column and value: rows from that value on are in a later file."""

    def described(self) -> dict[str, Any]:
        """Return it as JSON, for a snapshot's record."""
        kept = {name: value for name, value in asdict(self).items() if name in ("name", "size", "etag", "watermark")}
        return {name: value for name, value in kept.items() if value is not None}


def fetch(data: DataSpec, project: Path) -> list[Unit]:
    """Return the source's files, in a fixed order, having brought those that are new. Raises `UsageError`."""
    from mlplat.runtime.sources import buckets, sql

    if not isinstance(data.source, str):
        return sql.fetch(data.source.sql, project / FETCHED)
    if data.source.startswith("s3://"):
        return buckets.fetch(data.source, project / FETCHED)
    return local(data.source, project)


def local(source: str, project: Path) -> list[Unit]:
    """Return the files of a path or pattern; a folder means all files below it. Raises `UsageError` without any."""
    named = project / source
    if any(letter in source for letter in "*?["):
        anchor = Path(named.anchor)
        paths = sorted(path for path in anchor.glob(str(named.relative_to(anchor))) if path.is_file())
    elif named.is_dir():
        paths = sorted(path for path in named.rglob("[!.]*") if path.suffix.lower() in SUFFIXES)
    else:
        paths = [named]
    if not paths:
        raise UsageError(f"there is no data file {named}", hint="`data.source` of mlplat.yaml names it")
    return [_unit(path, project) for path in paths]


def _unit(path: Path, project: Path) -> Unit:
    try:
        with path.open("rb") as file:
            etag = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
        size = path.stat().st_size
    except FileNotFoundError as error:
        raise UsageError(f"there is no data file {path}", hint="`data.source` of mlplat.yaml names it") from error
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error}") from error
    return Unit(str(path.relative_to(project) if path.is_relative_to(project) else path), path, size, etag)


def place_of(fetched: Path, address: str) -> Path:
    """Return the folder of what is brought from one address, made where there is none."""
    hide_from_git(fetched)
    made = fetched / hashlib.sha256(address.encode()).hexdigest()[:16]
    made.mkdir(parents=True, exist_ok=True)
    return made


def keep_only(folder: Path, wanted: set[str]) -> None:
    """Remove what the source holds no longer, and what an interrupted run left half brought."""
    for path in folder.iterdir():
        if path.name not in wanted:
            path.unlink()
