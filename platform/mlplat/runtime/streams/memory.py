"""A set of events out of deliveries in any order and any number.

Time is what the newest event knows: its watermark lies a horizon before that, and whatever was known earlier is late.
So an event may be forgotten once it lies behind the watermark: delivered again, it is late, and never used twice. What
is remembered is therefore always the same function of what was ever delivered: all events not behind the watermark.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from mlplat.clock import Clock
from mlplat.runtime.streams.event import Event

AHEAD = timedelta(minutes=5)
"""How far other computers' clocks may be ahead. One event of tomorrow would make all of today late."""


class Memory:
    """Events of the last hours, each once."""

    def __init__(self, horizon: timedelta, clock: Clock | None = None) -> None:
        self.horizon = horizon
        self.newest: datetime | None = None
        """The latest time at which something became known."""
        self.counts: Counter[str] = Counter()
        """Of deliveries: `taken`, `repeated`, `late` (behind the watermark), `early` (not known yet), `broken`."""
        self._clock = clock or Clock.from_environment()
        self._events: dict[str, Event] = {}

    @property
    def watermark(self) -> datetime | None:
        """Return the time before which nothing counts any more; None before the first event."""
        return None if self.newest is None else self.newest - self.horizon

    def events(self) -> list[Event]:
        """Return what is remembered, in the order in which it became known."""
        return sorted(self._events.values(), key=lambda event: (event.known, event.id))

    def take(self, deliveries: Iterable[bytes]) -> list[Event]:
        """Remember events that are new, count all others, and return the new ones."""
        taken = [event for data in deliveries if (event := self._decoded(data)) and self._take(event)]
        if (watermark := self.watermark) is not None:
            self._events = {name: event for name, event in self._events.items() if event.known >= watermark}
        return taken

    def _decoded(self, data: bytes) -> Event | None:
        try:
            return Event.decode(data)
        except ValueError:
            self.counts["broken"] += 1
            return None

    def _take(self, event: Event) -> bool:
        what = self._judge(event)
        self.counts[what] += 1
        if what != "taken":
            return False
        self._events[event.id] = event
        self.newest = max(self.newest or event.known, event.known)
        return True

    def _judge(self, event: Event) -> str:
        watermark = self.watermark
        if watermark is not None and event.known < watermark:
            return "late"
        if event.id in self._events:
            return "repeated"
        return "early" if event.known > self._clock.now() + AHEAD else "taken"

    def described(self) -> dict[str, Any]:
        """Return it as JSON, from which `restore` makes the same."""
        return {
            "newest": self.newest.isoformat() if self.newest else None,
            "counts": dict(self.counts),
            "events": [json.loads(event.encoded()) for event in self.events()],
        }

    def restore(self, document: dict[str, Any]) -> None:
        """Become what was described. Raises `ValueError` or `KeyError` for what is no description."""
        self.newest = datetime.fromisoformat(document["newest"]) if document["newest"] else None
        self.counts = Counter({str(name): int(count) for name, count in document["counts"].items()})
        events = [Event.decode(json.dumps(each).encode()) for each in document["events"]]
        self._events = {event.id: event for event in events}
