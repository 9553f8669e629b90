"""What one revision answered in a stretch of time: requests, errors, and how long they took."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict


class Window(BaseModel):
    """Counts of one revision. Taken from counters since the gateway started, or the difference of two such."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    requests: int = 0
    errors: int = 0
    """Answers with a status of 500 or above, the gateway's own for a server that cannot be reached included."""
    timed: int = 0
    """Requests that a response time is known of."""
    buckets: tuple[tuple[float, int], ...] = ()
    """(milliseconds, requests that took at most that), growing; empty when nothing was timed."""

    def since(self, earlier: Self) -> Self:
        """Return what was counted after `earlier`; all of it where the counters began anew in between."""
        before = dict(earlier.buckets)
        buckets = tuple((edge, count - before.get(edge, 0)) for edge, count in self.buckets)
        found = (self.requests - earlier.requests, self.errors - earlier.errors, self.timed - earlier.timed)
        if min(*found, *(count for _, count in buckets), 0) < 0:
            return self
        return type(self)(requests=found[0], errors=found[1], timed=found[2], buckets=buckets)

    def __add__(self, other: Self) -> Self:
        """Return both windows as one."""
        mine, theirs = dict(self.buckets), dict(other.buckets)
        edges = sorted(mine.keys() | theirs.keys())
        return type(self)(
            requests=self.requests + other.requests,
            errors=self.errors + other.errors,
            timed=self.timed + other.timed,
            buckets=tuple((edge, mine.get(edge, 0) + theirs.get(edge, 0)) for edge in edges),
        )
