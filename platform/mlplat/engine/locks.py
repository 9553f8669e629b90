"""The locks of a stack on a backend of files: who holds them, and whether that process lives."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass
from pathlib import Path

from mlplat.engine.backend import Backend


@dataclass(frozen=True)
class Lock:
    """One process that works on a stack, or did when it was killed."""

    user: str
    host: str
    pid: int
    since: str

    def __str__(self) -> str:
        return f"{self.user}@{self.host} (pid {self.pid}) since {self.since}"

    def lives(self) -> bool | None:
        """Tell whether it still runs; None where only another computer knows."""
        import psutil

        if self.host != socket.gethostname():
            return None
        if self.pid < 1:
            return False
        try:
            holder = psutil.Process(self.pid)
            # A process id is used again: its name tells. One that ended may still wait for its parent to notice.
            return "pulumi" in holder.name() and holder.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False


def read(backend: Backend, project: str, stack: str) -> list[Lock] | None:
    """Return a stack's locks; None for a backend that keeps them elsewhere than in files here."""
    folder = backend.folder()
    if folder is None:
        return None
    found = (folder / ".pulumi" / "locks" / "organization" / project / stack).glob("*.json")
    return [_lock(path) for path in sorted(found)]


def _lock(path: Path) -> Lock:
    try:
        written = json.loads(path.read_bytes())
        return Lock(str(written["username"]), str(written["hostname"]), int(written["pid"]), str(written["timestamp"]))
    except (OSError, ValueError, KeyError, TypeError):
        # A process that was killed while it wrote its lock leaves an empty file.
        return Lock("unknown", socket.gethostname(), -1, "an unknown time")
