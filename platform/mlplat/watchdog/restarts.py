"""How often programs ended and came back since supervisord was started: a small file, for `mlplat status`."""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from mlplat.files import write_atomic

VERSION = 1


@dataclass(frozen=True)
class Restarts:
    """What happened to one program."""

    count: int
    last: str
    """When it last ended, ISO 8601."""
    why: str


def path(state: Path) -> Path:
    """Return the file of a platform."""
    return state / "watchdog" / "restarts.json"


def read(state: Path, supervisord: int | None) -> dict[str, Restarts]:
    """Return the restarts by program, as far as they are of the supervisord with this process id."""
    try:
        kept = json.loads(path(state).read_bytes())
        if kept["version"] == VERSION and kept["supervisord"] == supervisord:
            return {name: Restarts(**item) for name, item in kept["programs"].items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        pass  # figures for people: counted from none again
    return {}


class Counter:
    """The one writer of that file."""

    def __init__(self, state: Path, supervisord: int) -> None:
        self.state, self.supervisord = state, supervisord
        self.programs = read(state, supervisord)

    def add(self, program: str, why: str) -> None:
        """Count one restart."""
        before = self.programs.get(program)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self.programs[program] = Restarts(before.count + 1 if before else 1, now, why)
        self.write()

    def write(self) -> None:
        """Put the figures on disk; a full disk must not end the watchdog."""
        programs = {name: asdict(item) for name, item in sorted(self.programs.items())}
        document = {"version": VERSION, "supervisord": self.supervisord, "programs": programs}
        with contextlib.suppress(OSError):
            write_atomic(path(self.state), json.dumps(document, indent=2) + "\n")
