"""What the tests' providers have made, and every call they got: files, so that processes may share them.

A kind that moto emulates really stands in the emulated account; the record here then holds only what the provider was
told of it. Every other kind stands here alone.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Values = dict[str, Any]
FOLDER = "FAKECLOUD_FOLDER"
BEGINS, ENDS = "begins", "ends"


@dataclass(frozen=True)
class Call:
    """One call of the engine that changed something, or was to."""

    phase: str
    """`begins` or `ends`; a call that failed never ends."""
    action: str
    """`create`, `update` or `delete`."""
    type: str
    name: str
    """Logical name."""
    identity: str

    @property
    def key(self) -> str:
        """Return `<type>::<name>`."""
        return f"{self.type}::{self.name}"


@dataclass(frozen=True)
class World:
    """A folder of records and a log of calls."""

    folder: Path

    @classmethod
    def here(cls) -> World:
        """Return the world of this process's environment."""
        return cls(Path(os.environ[FOLDER]))

    def put(self, kind: str, identity: str, record: Mapping[str, Any]) -> None:
        """Keep a record, whole or not at all."""
        path = self._path(kind, identity)
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps({"type": kind, "id": identity, **record}))
        fresh.replace(path)

    def get(self, kind: str, identity: str) -> Values | None:
        """Return a record; None where there is none."""
        path = self._path(kind, identity)
        return json.loads(path.read_text()) if path.exists() else None

    def drop(self, kind: str, identity: str) -> None:
        """Forget a record."""
        self._path(kind, identity).unlink(missing_ok=True)

    def all(self) -> list[Values]:
        """Return every record."""
        return [json.loads(path.read_text()) for path in sorted((self.folder / "records").glob("*.json"))]

    def note(self, call: Call) -> None:
        """Write a call down: one line, appended at once."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "calls").open("a") as log:
            log.write(json.dumps(vars(call)) + "\n")

    def calls(self) -> list[Call]:
        """Return every call since the beginning or the last `forget_calls`, in order."""
        log = self.folder / "calls"
        return [Call(**json.loads(line)) for line in log.read_text().splitlines()] if log.exists() else []

    def forget_calls(self) -> None:
        """Begin the log anew."""
        (self.folder / "calls").unlink(missing_ok=True)

    def _path(self, kind: str, identity: str) -> Path:
        mark = hashlib.sha256(f"{kind} {identity}".encode()).hexdigest()[:32]
        return self.folder / "records" / f"{mark}.json"
