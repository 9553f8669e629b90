"""Compiled modules that environments of the same requirements share.

To compile an environment takes ten times as long as to unpack it, and Python takes a compiled module wherever its
source has the size and the time that are written in it. uv links every environment's sources from one cache, so what
one environment has compiled fits the next. Where sources are unpacked anew (pip), nothing fits, and nothing is shared.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path

from mlplat.files import data_dir

KEPT = 8
"""Sets of requirements whose compiled modules are kept, the last used ones: an older one's are links to nothing."""
_HEADER = struct.Struct("<4sIII")  # magic, flags, the source's time and its size: PEP 552
_BITS = 0xFFFFFFFF


def folder(fingerprint: str) -> Path:
    """Return where the compiled modules of some requirements are kept."""
    return data_dir() / "bytecode" / fingerprint[:16]


def restore(store: Path, packages: Path) -> bool:
    """Give an environment's packages what is kept; tell whether that is all there was. Raises `OSError`."""
    whole = False
    for kept in _compiled(store):
        whole = True
        there = packages / kept.relative_to(store)
        if not _fits(kept, there):
            return False
        there.parent.mkdir(exist_ok=True)
        if not there.exists():
            _link(kept, there)
    if whole:
        os.utime(store)
    return whole


def keep(packages: Path, store: Path) -> None:
    """Keep what an environment's packages were compiled to, for the next one. Raises `OSError`."""
    store.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=store.parent, prefix=f".{store.name}."))
    try:
        for compiled in _compiled(packages):
            if _fits(compiled, compiled):
                there = made / compiled.relative_to(packages)
                there.parent.mkdir(parents=True, exist_ok=True)
                _link(compiled, there)
        shutil.rmtree(store, ignore_errors=True)
        with contextlib.suppress(OSError):  # another process was first
            made.rename(store)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    _forget(store.parent)


def _forget(stores: Path) -> None:
    oldest = sorted(
        (path for path in stores.iterdir() if not path.name.startswith(".")), key=lambda p: p.stat().st_mtime
    )
    for store in oldest[:-KEPT]:
        shutil.rmtree(store, ignore_errors=True)


def _compiled(root: Path) -> Iterator[Path]:
    return root.rglob("__pycache__/*.pyc")


def _fits(compiled: Path, there: Path) -> bool:
    """Tell whether a compiled module is of the source that its place stands for, as Python itself asks it."""
    source = there.parents[1] / f"{there.name.rsplit('.', 2)[0]}.py"
    with compiled.open("rb") as file:
        head = file.read(_HEADER.size)
    try:
        of = source.stat()
    except FileNotFoundError:
        return False
    if len(head) < _HEADER.size:
        return False
    _, flags, time, size = _HEADER.unpack(head)
    return bool(flags == 0 and time == int(of.st_mtime) & _BITS and size == of.st_size & _BITS)


def _link(source: Path, target: Path) -> None:
    # Nobody writes into a compiled module: Python replaces it.
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)
