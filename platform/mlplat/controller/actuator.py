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
from mlplat.errors import NotReadyError
from mlplat.labels import Name


@dataclass(frozen=True)
class Condition:
    """How a revision's process is."""

    state: Literal["starting", "ready", "dead"]
    pid: int = 0
    """0 when nothing runs."""
    detail: str = ""
    """For a dead one, what is known of its end; for one that starts, what it waits for."""
    silent: bool = False
    """Whether its process gave no answer at all."""
    age: float = 0.0
    """Seconds since the process was started."""


class UndirectedError(NotReadyError):
    """The gateway does not hold what some endpoints ask for; it does for all others."""

    def __init__(self, troubles: Mapping[Name, str]) -> None:
        super().__init__("; ".join(f"{name}: {trouble}" for name, trouble in troubles.items()))
        self.troubles = troubles


@dataclass(frozen=True)
class Limits:
    """How long things take where revisions run, in seconds."""

    start: float = 90.0
    """From start to ready. Loading scikit-learn and a model takes 1-3 s; a busy computer many times that."""
    drain_least: float = 1.0
    """Envoy's threads follow new routes within milliseconds of each other; a request may be on its way meanwhile."""
    drain_most: float = 35.0
    """Longer than the gateway lets any request take."""


class Actuator(Protocol):
    """Runs revisions and sends traffic to them. Each call may be repeated: it makes things so, or leaves them so."""

    def owners(self) -> list[Name]:
        """Return the endpoints that have processes here."""

    def run(self, endpoint: Name, revisions: Sequence[Revision]) -> None:
        """Keep exactly these revisions' processes alive; those that run already are not touched."""

    def is_whole(self, revision: Revision) -> bool:
        """Tell whether what a revision is started from is what was fetched for it."""

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

    def publish(self, endpoint: Name, folder: Path, digest: str) -> None:
        """Bring a fetched bundle to where the endpoint's revisions run; it may take long."""

    def direct(self, plan: Plan) -> None:
        """Make the gateway hold exactly this, and return when it does.

        Raises `UndirectedError` when it holds what concerns other endpoints, and not all that concerns some.
        """

    def counts(self, upstreams: Iterable[Upstream]) -> dict[str, Window]:
        """Return what revisions have answered, by cluster: counters that only grow, until the gateway starts anew."""

    def active(self, upstream: Upstream) -> int:
        """Return how many predictions a revision is making."""
