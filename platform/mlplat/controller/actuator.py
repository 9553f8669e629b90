"""What the controller needs of the place where revisions run: the port that a target's actuator implements."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from mlplat.bundle import Row
from mlplat.controller.document import Revision
from mlplat.controller.gateway import Plan, Upstream
from mlplat.controller.window import Window
from mlplat.labels import Name


@dataclass(frozen=True)
class Condition:
    """How a revision's process is."""

    state: Literal["starting", "ready", "dead"]
    pid: int = 0
    """0 when nothing runs."""
    detail: str = ""
    """For a dead one, what is known of its end."""
    silent: bool = False
    """Whether its process gave no answer at all."""
    age: float = 0.0
    """Seconds since the process was started."""


class Actuator(Protocol):
    """Runs revisions and sends traffic to them. Each call may be repeated: it makes things so, or leaves them so."""

    def owners(self) -> list[Name]:
        """Return the endpoints that have processes here."""

    def run(self, endpoint: Name, revisions: Sequence[Revision]) -> None:
        """Keep exactly these revisions' processes alive; those that run already are not touched."""

    def revive(self, endpoint: Name, revision: Revision) -> None:
        """Start a process again that was given up."""

    def restart(self, endpoint: Name, revision: Revision) -> None:
        """End a process that hangs, at once and without a plea, and have it started again."""

    def free_port(self, taken: Iterable[int]) -> int:
        """Return a port for a new revision."""

    def condition(self, endpoint: Name, revision: Revision) -> Condition:
        """Look at a revision."""

    def last_words(self, endpoint: Name, revision: Revision) -> str:
        """Return the error a revision's process wrote last, or the end of its log."""

    def predict(self, endpoint: Name, revision: Revision, rows: Sequence[Row]) -> list[Mapping[str, Any]]:
        """Ask a revision itself, past the gateway. Raises `RefusedError` when it refuses, `UnreachableError`."""

    def bundle(self, revision: Revision) -> Path:
        """Return where a revision's bundle can be read."""

    def direct(self, plan: Plan) -> None:
        """Make the gateway hold exactly this, and return when it does."""

    def counts(self, upstreams: Iterable[Upstream]) -> dict[str, Window]:
        """Return what revisions have answered, by cluster: counters that only grow, until the gateway starts anew."""

    def active(self, upstream: Upstream) -> int:
        """Return how many requests a revision is answering."""
