"""Windows of whole days, counted from a Monday, and when violations of theirs are an alarm.

A window's place hangs on the calendar alone, so that a monitor that runs every hour looks at each window once: looking
at it again can raise no further alarm, and the published rate of false ones holds however often it runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

MONDAY = pd.Timestamp("1970-01-05")


@dataclass(frozen=True)
class Calendar:
    """How time is divided."""

    days: int
    """Of a window."""
    zone: str
    """In which days begin."""

    def numbers(self, times: pd.Series) -> NDArray[np.int64]:
        """Return the window of each time (n, with a zone)."""
        # Without the zone: not every day has a midnight.
        local = times.dt.tz_convert(self.zone).dt.tz_localize(None)
        return np.asarray((local.dt.normalize() - MONDAY).dt.days // self.days, dtype=np.int64)

    def start(self, number: int) -> pd.Timestamp:
        """Return when a window begins, in UTC; the one before it ends there."""
        local = MONDAY + pd.Timedelta(days=number * self.days)
        return local.tz_localize(self.zone, ambiguous=True, nonexistent="shift_forward").tz_convert("UTC")

    def number(self, time: pd.Timestamp) -> int:
        """Return the window of one time."""
        return int(self.numbers(pd.Series([time]))[0])

    def complete(self, until: pd.Timestamp, count: int) -> list[int]:
        """Return the last windows that are over at a time, the oldest first."""
        present = self.number(until)
        return list(range(present - count, present))


@dataclass(frozen=True)
class Rule:
    """An alarm is so many violated windows of the last ones, the latest among them."""

    violations: int
    windows: int

    def holds(self, violated: Sequence[bool]) -> bool:
        """Tell whether there is an alarm, by the windows so far, the oldest first."""
        return bool(violated) and violated[-1] and sum(violated[-self.windows :]) >= self.violations

    def since(self, violated: Sequence[bool]) -> int | None:
        """Return the place of the window with which the present alarm began; None without one."""
        if not self.holds(violated):
            return None
        place = len(violated) - 1
        while place and self.holds(violated[:place]):
            place -= 1
        return place
