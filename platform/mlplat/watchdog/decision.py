"""When a service counts as hung: pure functions of what was seen, on clocks that nobody sets."""

from __future__ import annotations

from dataclasses import dataclass, replace

IDLE_FAILURES = 3
"""Unanswered checks in a row after which a process that did no work in between is hung."""
BUSY_FAILURES = 12
"""Likewise for one that uses the processor: slow, or on an overloaded computer, where a restart makes it worse."""
FIRST_PAUSE = 30.0
"""Seconds after a restart in which there is no second one; doubled with each further one."""
LONGEST_PAUSE = 600.0


@dataclass(frozen=True)
class Sight:
    """One look at a service."""

    pid: int
    """0 when no process runs."""
    ready: bool
    worked: bool = False
    """Whether its process has used the processor since the last look."""
    traced: bool = False
    """Whether a debugger holds its process."""
    late: bool = False
    """Whether the look itself took longer than it may: the computer slept, or is too busy to judge anything."""


@dataclass(frozen=True)
class Watch:
    """What is remembered of a service between two looks."""

    pid: int = 0
    since: float = 0.0
    """When the process was first seen, in seconds of a clock that is never set."""
    was_ready: bool = False
    failures: int = 0


@dataclass(frozen=True)
class Pauses:
    """How long to wait before a service is restarted again."""

    count: int = 0
    last: float = 0.0

    def allow(self, now: float) -> bool:
        """Tell whether a restart may be now."""
        return self.count == 0 or now - self.last >= self.seconds

    @property
    def seconds(self) -> float:
        """Seconds that lie between the last restart and the next one."""
        return float(min(FIRST_PAUSE * 2 ** (self.count - 1), LONGEST_PAUSE)) if self.count else 0.0

    def restarted(self, now: float) -> Pauses:
        """Return them after a restart. One that lies far back is forgotten."""
        long_ago = now - self.last > 2 * LONGEST_PAUSE
        return Pauses(1 if long_ago else self.count + 1, now)


def look(watch: Watch, sight: Sight, now: float, start_seconds: float) -> tuple[Watch, str | None]:
    """Return what is remembered after a look, and why the service has to be restarted if it has.

    A process has `start_seconds` to become ready. One that a debugger holds is never restarted.
    """
    if sight.pid != watch.pid:
        watch = Watch(sight.pid, now)
    if sight.ready:
        return replace(watch, was_ready=True, failures=0), None
    if not sight.pid or sight.traced or sight.late:
        return replace(watch, failures=0), None
    if not watch.was_ready and now - watch.since < start_seconds:
        return watch, None
    watch = replace(watch, failures=watch.failures + 1)
    if watch.failures < (BUSY_FAILURES if sight.worked else IDLE_FAILURES):
        return watch, None
    if watch.was_ready:
        return watch, f"did not answer {watch.failures} times in a row"
    return watch, f"was not ready {now - watch.since:.0f} s after its start"
