"""When times of cron have come: pure functions of a schedule and of two moments.

An hour that clocks skip is not lost and one that they repeat counts once, for times that name an hour: those that come
every so many minutes go on at their pace (cronsim, which does as Debian's cron).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from mlplat.errors import UsageError
from mlplat.spec.pipelines import TimesSpec

LATE = timedelta(days=7)
"""A time that is longer past is waited for anew: what was meant for then is not meant for now."""
SHIFT = timedelta(hours=3)
"""More than any zone puts its clocks forward or back at once."""


@dataclass(frozen=True)
class Come:
    """The newest time of a schedule that has come."""

    time: datetime
    """UTC."""
    passed: int
    """Others that came before it, after the moment from which one looked."""


def check(times: TimesSpec, where: str) -> None:
    """Raise `UsageError` for a line that no clock ever reads, such as `0 25 * * *`; `where` is its key."""
    for line in times.cron:
        try:
            next(CronSim(line, datetime(2000, 1, 1, tzinfo=UTC)))
        except (CronSimError, StopIteration) as error:
            why = str(error) or "no day is ever one of these"
            raise UsageError(
                f"`{where}`: `{line}` is no time of cron: {why[:1].lower()}{why[1:]}",
                hint="five fields: minute, hour, day of the month, month, day of the week, as in `30 4 * * mon`",
            ) from error


def come(times: TimesSpec, after: datetime, until: datetime) -> Come | None:
    """Return the newest time after one moment and not after another; None where there is none within `LATE`.

    However far the two lie apart, no more than `LATE` is looked through.
    """
    after = max(after, until - LATE)
    found = {time for line in times.cron for time in _between(line, ZoneInfo(times.timezone), after, until)}
    return Come(max(found), len(found) - 1) if found else None


def following(times: TimesSpec, after: datetime) -> datetime | None:
    """Return the first time after a moment, in UTC; None where none ever comes."""
    zone = ZoneInfo(times.timezone)
    firsts = (next((time for time in _from(line, zone, after) if time > after), None) for line in times.cron)
    return min((time for time in firsts if time is not None), default=None)


def _between(line: str, zone: ZoneInfo, after: datetime, until: datetime) -> Iterator[datetime]:
    for time in _from(line, zone, after):
        # In a repeated hour they are not in the order of time.
        if time > until + SHIFT:
            return
        if after < time <= until:
            yield time


def _from(line: str, zone: ZoneInfo, after: datetime) -> Iterator[datetime]:
    """Yield a line's times from a while before a moment on: cronsim begins at a wall clock, which may read it twice."""
    try:
        for time in CronSim(line, (after - SHIFT).astimezone(zone)):
            yield time.astimezone(UTC)
    except CronSimError:
        return  # said where it was published (`check`)
