"""Definitions of others' kinds as documents: fetched once, kept by their digest, never taken for anything else.

The engine's own class for files is made by its provider, which only a cluster that is there can ask. The first `up` of
an account makes its cluster too: then nothing of the files was in the plan, and applying them breaks it.
"""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlplat import files
from mlplat.errors import MlplatError, RefusedError, StateError, UnreachableError
from mlplat.versions import Definitions, File

if TYPE_CHECKING:
    import httpx

SECONDS = 30
MOST_BYTES = 4 * 1024 * 1024
"""Three times the largest of them: more is no definition that an API server would take."""
TRIES = 3


def documents(definitions: Definitions) -> list[dict[str, Any]]:
    """Return the objects of some definitions, in the order of their files.

    Raises `UnreachableError` for a file that is neither kept nor to be had, `RefusedError` for one that is not what
    its digest says, and `StateError` where it cannot be kept.
    """
    return [each for file in definitions.files for each in parsed(content(file))]


def folder() -> Path:
    """Return the folder in which files are kept."""
    return files.data_dir() / "definitions"


def place(file: File) -> Path:
    """Return where a file is kept, or put by hand on a computer without a way out."""
    return folder() / f"{file.sha256}.yaml"


def content(file: File) -> bytes:
    """Return a file's bytes, which are those of its digest. Raises what `documents` does."""
    kept = place(file)
    if not kept.is_file():
        return _kept(file, _fetched(file))
    data = kept.read_bytes()
    if digest(data) != file.sha256:
        raise RefusedError(f"{kept}: is not what {file.address} was", hint="remove it, then it is fetched again")
    return data


def digest(data: bytes) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def parsed(data: bytes) -> list[dict[str, Any]]:
    """Return the documents of a file, without empty ones."""
    # The reader of what people write keeps positions, in Python: 20 s for 4 MB, at each preview and each `up`. This
    # one, which the engine's SDK brings, takes less than one; and nothing here is written by a person.
    import yaml  # type: ignore[import-untyped]

    class Reader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc] # whichever there is
        """Reads a bare `=`, an operator of matchers, as the text that it is."""

    Reader.add_constructor("tag:yaml.org,2002:value", lambda loader, node: loader.construct_scalar(node))
    return [each for each in yaml.load_all(data, Reader) if each]


def _kept(file: File, data: bytes) -> bytes:
    found = digest(data)
    if found != file.sha256:
        raise RefusedError(
            f"{file.address}: has the SHA-256 {found}, not {file.sha256}",
            hint="something on the way changed it, or its tag was moved: nothing of it is used",
        )
    try:
        files.write_atomic(place(file), data)
    except OSError as error:
        raise StateError(
            f"{place(file)}: cannot be written: {error.strerror or error}",
            hint="make it writable, or set MLPLAT_DATA_DIR to another folder",
        ) from error
    return data


def _fetched(file: File) -> bytes:
    if not file.address.startswith("https://"):
        raise RefusedError(f"{file.address}: is fetched by https only")
    # A fresh name server, or a proxy, drops one connection of twenty files now and then.
    for _ in range(TRIES - 1):
        with contextlib.suppress(UnreachableError):
            return _asked(file)
    return _asked(file)


def _asked(file: File) -> bytes:
    import httpx

    try:
        # Nothing leads on from here: a page to sign in on would, and is no definition.
        with httpx.stream("GET", file.address, timeout=SECONDS, follow_redirects=False) as answer:
            return _read(file, answer)
    except httpx.HTTPError as error:
        raise _missing(file, str(error) or type(error).__name__) from error


def _read(file: File, answer: httpx.Response) -> bytes:
    if not answer.is_success:
        raise _missing(file, f"{answer.status_code} {answer.reason_phrase}")
    data = bytearray()
    for part in answer.iter_bytes():
        data += part
        if len(data) > MOST_BYTES:
            raise RefusedError(f"{file.address}: is larger than {MOST_BYTES} bytes")
    return bytes(data)


def _missing(file: File, why: str) -> MlplatError:
    return UnreachableError(
        f"{file.address}: cannot be fetched: {why}",
        hint=f"where there is no way out, fetch it elsewhere and put it here as {place(file)}",
    )
