"""The clock that durations go by: seconds since the epoch as they would be, had nobody ever set the computer's clock.

It is what has passed since the computer started (sleep included), plus a fixed number of seconds that is written down
with the name of that start. So setting the clock moves no bake time and no time-out, whether the controller runs then
or not. Only over a restart of the computer is its clock believed for the time it was off, and never backwards.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Anchor:
    """What makes seconds since a start of the computer seconds since the epoch."""

    boot: str
    """Which start (`mlplat.boot`)."""
    offset: float
    """Seconds from the epoch to that start."""

    def at(self, uptime: float) -> float:
        """Return the time `uptime` seconds after the start."""
        return self.offset + uptime


def anchor(kept: Anchor | None, boot: str, uptime: Callable[[], float], wall: Callable[[], float]) -> Anchor:
    """Return the anchor for this start of the computer: the one that was kept, unless that is another start's."""
    if kept is not None and kept.boot == boot:
        return kept
    return Anchor(boot, wall() - uptime())


def not_before(found: Anchor, latest: float, uptime: float) -> Anchor:
    """Return an anchor by which it is at least `latest`: the newest time that was ever written down."""
    return found if found.at(uptime) >= latest else Anchor(found.boot, latest - uptime)
