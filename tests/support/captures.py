"""Graphs of whole programs, captured once for each state of the sources: each takes seconds, and every worker asks.

A test that runs a program for what it refuses, or twice to compare, captures for itself (`awsprogram.of`).
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import os
import pickle
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

from capture import Graph
from commands import ROOT

FOLDER = ROOT / ".cache" / "captures"
SOURCES = ("platform/mlplat", "tests/support", "requirements/dev.txt", "pyproject.toml")
"""All that a program's graph follows from, but for the spec."""
OLD_SECONDS = 3 * 3600.0
"""Longer than any run of the tests: the graphs of sources that are no more go then."""


def _sums() -> str:
    sums = hashlib.sha256(sys.version.encode())
    for source in SOURCES:
        for path in sorted((ROOT / source).rglob("*")) or [ROOT / source]:
            # Bytecode is no source, and other workers write theirs there under names that are gone a moment later.
            if path.is_file() and "__pycache__" not in path.parts:
                sums.update(f"{path}\n".encode() + path.read_bytes())
    return sums.hexdigest()[:24]


BEGUN = _sums()
"""The sources that this process has read, or is about to."""


def kept(key: str, make: Callable[[], Graph]) -> Graph:
    """Return the graph of a key, made by whoever asks first of all the processes that ask."""
    file = _folder() / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.pickle"
    with file.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if file.exists():
            found: Graph = pickle.loads(file.read_bytes())  # noqa: S301 - of our own making
            return found
        made = make()
        # Of sources that were edited meanwhile nobody knows which this is a graph of.
        if _sums() == BEGUN:
            part = file.with_suffix(".part")
            part.write_bytes(pickle.dumps(made))
            part.rename(file)
        return made


@functools.cache
def _folder() -> Path:
    folder = FOLDER / BEGUN
    folder.mkdir(parents=True, exist_ok=True)
    os.utime(folder)
    for former in FOLDER.iterdir():
        # Tests of a moment ago may still read theirs; what is gone already, another worker has removed.
        with contextlib.suppress(FileNotFoundError):
            if former.stat().st_mtime < time.time() - OLD_SECONDS:
                shutil.rmtree(former, ignore_errors=True)
    return folder
