"""What an image is built from: a few files with known bytes, and the tag that stands for them.

The tag holds a hash of everything that the image is made of, so that it never means two things, and so that nobody has
to ask a registry or a builder what an image ought to be called.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path, PurePosixPath

import mlplat
from mlplat.codebase import PACKAGE
from mlplat.images.catalogue import Image
from mlplat.images.imports import closure

DOCKERFILE = "Dockerfile"
HASH_SIGNS = 12
MOMENT = 315_532_800
"""Time of every file, in seconds: 1 January 1980, the first that every archive can say."""


def files(image: Image, package: Path = PACKAGE) -> dict[PurePosixPath, bytes]:
    """Return the bytes of every file of an image's context by its path, sorted."""
    found = {
        PurePosixPath(DOCKERFILE): image.dockerfile.read_bytes(),
        PurePosixPath("requirements.txt"): image.requirements.read_bytes(),
    }
    for path in closure(image.modules, package):
        found[PurePosixPath("code", package.name, path.as_posix())] = (package / path).read_bytes()
    return dict(sorted(found.items()))


def tag(image: Image, base: str, platform: str, package: Path = PACKAGE) -> str:
    """Return the tag of an image on a base for a platform such as `linux/amd64`: version and hash of its content."""
    total = hashlib.sha256(f"{base}\n{platform}\n".encode())
    for path, content in files(image, package).items():
        total.update(f"{path} {len(content)}\n".encode())
        total.update(content)
    # A tag has no `+`, which begins the local part of a version.
    return f"{mlplat.__version__.replace('+', '-')}-{total.hexdigest()[:HASH_SIGNS]}"


def write(image: Image, folder: Path, package: Path = PACKAGE) -> None:
    """Write an image's context into an empty folder; the same bytes, modes and times wherever it is written."""
    for path, content in files(image, package).items():
        at = folder / path
        at.parent.mkdir(parents=True, exist_ok=True)
        at.write_bytes(content)
        at.chmod(0o644)
        os.utime(at, (MOMENT, MOMENT))
    for inner in sorted(each for each in folder.rglob("*") if each.is_dir()):
        inner.chmod(0o755)
        os.utime(inner, (MOMENT, MOMENT))
