"""The time a platform and its projects go by.

Replayed data must not look years stale, so nothing that judges age asks the computer's clock: it asks one of these.
A set clock is written as `START` or `START=ANCHOR`, both ISO 8601: it read START when the computer's clock read ANCHOR,
and runs at the same pace. Durations (time-outs, the time a rollout step takes) use the monotonic clock and are not
affected.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from mlplat.errors import UsageError

VARIABLE = "MLPLAT_CLOCK"


@dataclass(frozen=True)
class Clock:
    """The computer's clock, moved by `offset`."""

    offset: timedelta = timedelta(0)

    def now(self) -> datetime:
        """Return the present, in UTC."""
        return datetime.now(UTC) + self.offset

    @classmethod
    def parse(cls, text: str) -> Clock:
        """Read a clock from `START` or `START=ANCHOR`. Raises `UsageError` when either is no time."""
        start, _, anchor = text.partition("=")
        try:
            begin = moment(start)
            since = moment(anchor) if anchor else datetime.now(UTC)
        except ValueError as error:
            raise UsageError(
                f"{VARIABLE}: `{text}` is no time", hint="write it as 2013-07-01T00:00:00Z (ISO 8601)"
            ) from error
        return cls(begin - since)

    @classmethod
    def of(cls, text: str | None) -> Clock:
        """Return the clock that is written so, or the computer's own for None. Raises `UsageError`."""
        return cls.parse(text) if text else cls()

    @classmethod
    def from_environment(cls) -> Clock:
        """Return the clock that `MLPLAT_CLOCK` sets, or the computer's own."""
        return cls.of(os.environ.get(VARIABLE))


def moment(text: str) -> datetime:
    """Read an ISO 8601 date or time; without a zone it is UTC. Raises `ValueError`."""
    read = datetime.fromisoformat(text.strip())
    return read if read.tzinfo else read.replace(tzinfo=UTC)
