"""Which services there are and whether one answers: read from the records that bringing a service leaves."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from pathlib import Path

GOOD = 400


@dataclass(frozen=True)
class Watched:
    """A service, and where it says that it is ready."""

    name: str
    port: int
    path: str
    start_seconds: float
    """In which it becomes ready."""


def watched(state: Path) -> list[Watched]:
    """Return the platform's services; one whose record cannot be read is left out."""
    found = (_read(path) for path in sorted((state / "services").glob("*.json")))
    return [each for each in found if each]


def _read(path: Path) -> Watched | None:
    try:
        record = json.loads(path.read_bytes())
        ready = record["ready"]
        return Watched(path.stem, int(record["ports"][ready["port"]]), str(ready["path"]), float(ready["timeout"]))
    except (OSError, ValueError, TypeError, KeyError):
        return None


def answers(service: Watched, seconds: float) -> bool:
    """Ask a service once whether it is ready."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=seconds)
    try:
        connection.request("GET", service.path, headers={"Connection": "close"})
        return connection.getresponse().status < GOOD
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
