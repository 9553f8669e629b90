"""Locks between processes that say who holds them.

The lock is the operating system's, on an open file: it goes when its holder does, however that ends. What stands in the
file is only for people who wait.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

from mlplat.errors import StateError
from mlplat.uptime import told, uptime

POLL_SECONDS = 0.05


@contextlib.contextmanager
def lock(path: Path, who: str, *, timeout: float, waiting: Callable[[str], None] | None = None) -> Iterator[None]:
    """Hold the lock at `path`.

    Where somebody else holds it, `waiting` is told so once, and `timeout` seconds are waited. Raises `StateError`
    naming the holder when that was in vain, or the folder when it cannot be written.
    """
    descriptor = _acquire(path, time.monotonic() + timeout, waiting)
    try:
        _sign(descriptor, who)
        yield
    finally:
        os.close(descriptor)


def holder(path: Path) -> str:
    """Return who holds a lock: `mlplat up (pid 7) since 12:30:05, 3 min ago`."""
    try:
        seen = json.loads(path.read_bytes())
        ago = told(max(0.0, uptime() - float(seen["uptime"])))
        return f"{seen['who']} (pid {seen['pid']}) since {seen['since']}, {ago} ago"
    except (OSError, ValueError, TypeError, KeyError):
        return "another process"


def held(path: Path) -> str | None:
    """Return who holds a lock, as `holder` does; None when nobody does."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        # Shared, so that two who ask do not see each other.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return holder(path)
    finally:
        os.close(descriptor)
    return None


def _acquire(path: Path, deadline: float, waiting: Callable[[str], None] | None) -> int:
    while (descriptor := _try(path)) is None:
        if waiting:
            waiting(f"waiting for {holder(path)}")
            waiting = None
        if time.monotonic() >= deadline:
            raise StateError(f"{path.parent} is locked by {holder(path)}", hint="wait for it to end, and try again")
        time.sleep(POLL_SECONDS)
    return descriptor


def _try(path: Path) -> int | None:
    descriptor = _open(path)
    with contextlib.suppress(BlockingIOError, FileNotFoundError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Whoever held it may have removed the folder: then this is a lock that nobody else will ever look at.
        if os.fstat(descriptor).st_ino == path.stat().st_ino:
            return descriptor
    os.close(descriptor)
    return None


def _open(path: Path) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StateError(
            f"{path.parent}: cannot be written: {error.strerror}",
            hint="make it writable, free some space there, or set MLPLAT_STATE_DIR to another folder",
        ) from error


def _sign(descriptor: int, who: str) -> None:
    since = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
    text = json.dumps({"who": who, "pid": os.getpid(), "since": since, "uptime": uptime()}) + "\n"
    # On a full disk the lock still holds; only its name is missing.
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, text.encode(), 0)
