"""Watching a wish being carried out."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from mlplat.controller.document import Endpoint, Event
from mlplat.controller.store import Store
from mlplat.labels import Name

LOOK_SECONDS = 0.1


@dataclass(frozen=True)
class Outcome:
    """What became of a wish."""

    fulfilled: bool
    text: str


@dataclass(frozen=True)
class Sight:
    """One look: what is new, and the outcome once there is one."""

    endpoint: Endpoint | None
    events: list[Event]
    outcome: Outcome | None


def follow(store: Store, wished: Endpoint, *, after: int = 0) -> Iterator[Sight]:
    """Look at an endpoint whenever somebody wrote, until the wish has an outcome. `after` is the last event known."""
    while True:
        seen = store.version()
        endpoint, events = store.get(wished.name), store.events(wished.name, after)
        result = outcome(endpoint, wished)
        yield Sight(endpoint, events, result)
        if result:
            return
        after = events[-1].number if events else after
        wait_for_change(store, seen, LOOK_SECONDS * 5)


def wait_for_change(store: Store, seen: int, seconds: float) -> None:
    """Wait until somebody wrote, at most `seconds`."""
    until = time.monotonic() + seconds
    while store.version() == seen and time.monotonic() < until:
        time.sleep(LOOK_SECONDS)


def outcome(endpoint: Endpoint | None, wished: Endpoint) -> Outcome | None:
    """Say what became of a wish, or None while it is being carried out."""
    spec = wished.spec
    if endpoint is None:
        return Outcome(spec.action == "delete", f"{spec.name} was deleted")
    now = endpoint.spec
    if now.generation != spec.generation and now.action in ("deploy", "delete"):
        return Outcome(False, f"superseded: {now.by} wished to {now.action} version {now.version} of {now.model}")
    if not endpoint.settled:
        return None
    if now.generation == spec.generation:
        return Outcome(endpoint.status.phase in _fulfilled(spec.action), endpoint.status.message)
    champion = endpoint.status.revision(endpoint.status.champion)
    return Outcome(champion is not None and champion.version == spec.version, endpoint.status.message)


def _fulfilled(action: str) -> tuple[str, ...]:
    return ("aborted",) if action == "abort" else ("baking", "serving")


def last_event(store: Store, name: Name) -> int:
    """Return the number of the newest event, 0 when there is none."""
    events = store.events(name)
    return events[-1].number if events else 0
