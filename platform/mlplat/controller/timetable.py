"""Schedules on this computer: what projects have published runs when its time has come, by the platform's clock.

What a flow's schedule has come to stands in the store: until when its times are settled, and the run of its newest one.
A time is written down before its run is begun, and the run has its name of that, so that a controller that ends at any
point goes on with the same run, and no time has two.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Protocol

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from mlplat.controller import schedules
from mlplat.controller.store import digest
from mlplat.controller.unattended import PUBLISHED, Result, published
from mlplat.errors import MlplatError, RefusedError
from mlplat.labels import is_label
from mlplat.spec.pipelines import ScheduleSpec

NOTES = "schedule"
"""Kind of the store's notes."""
REASON = "schedule"
"""Why such a run is begun, as clusters say it."""
BACK = timedelta(hours=1)
"""A clock that was set back by more begins anew; by less, and nothing happens until it has caught up."""
KEPT_RUNS = 30
"""Runs of a flow whose records and logs stay."""

log = logging.getLogger("mlplat.controller")


class Entry(BaseModel):
    """Where a flow's schedule stands. All times go by the platform's clock."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    project: str
    flow: str
    schedule: ScheduleSpec
    since: AwareDatetime
    """Whatever came until then is settled."""
    due: AwareDatetime | None = None
    """The newest time that is, or was, run."""
    taken: AwareDatetime | None = None
    """When that was written down."""
    passed: int = 0
    """Times before it that passed without a run."""
    run: str = ""
    """Its run, once that has begun."""
    status: str = ""
    """What came of it; empty while it is to begin or goes on."""
    message: str = ""

    @property
    def key(self) -> str:
        """What tells it from others'."""
        return f"{self.project}/{self.flow}"

    @property
    def goes_on(self) -> bool:
        """Whether a time waits for its run to begin or to end."""
        return self.due is not None and not self.status

    @property
    def has_failed(self) -> bool:
        """Whether the newest run came to nothing that a flow may come to."""
        return self.status == "failed"


class Notes(Protocol):
    """Where entries are kept."""

    def notes(self, kind: str) -> dict[str, str]:
        """See `SqliteStore.notes`."""

    def note(self, changes: Mapping[tuple[str, str], str | None]) -> None:
        """See `SqliteStore.note`."""


class Runs(Protocol):
    """What begins runs (`Unattended`)."""

    def begin(self, project: str, flow: str, run: str, *, key: str, reason: str) -> str:
        """See `Unattended.begin`."""

    def outcome(self, run: str) -> Result | None:
        """See `Unattended.outcome`."""

    def prune(self, begin: str, keep: int) -> None:
        """See `Unattended.prune`."""


def entries(notes: Notes) -> list[Entry]:
    """Return all schedules, by project and flow; one that cannot be read begins anew."""
    found = []
    for text in notes.notes(NOTES).values():
        try:
            found.append(Entry.model_validate_json(text))
        except ValidationError as error:
            log.warning("what was noted of a schedule cannot be read: %s", error.errors()[0]["msg"])
    return found


class Timetable:
    """Begins what is due and follows it; one run of a flow at a time."""

    def __init__(self, notes: Notes, runs: Runs, state: Path) -> None:
        self._notes, self._runs, self._published = notes, runs, state / PUBLISHED
        self._entries = {entry.key: entry for entry in entries(notes)}
        self._next: dict[str, datetime | None] = {}
        self._told: dict[str, str] = {}
        self.unreadable: dict[str, str] = {}
        """Why what a project has published cannot be read, by project."""

    @property
    def entries(self) -> list[Entry]:
        """Where each schedule stands."""
        return list(self._entries.values())

    @property
    def failing(self) -> dict[tuple[str, str], str]:
        """Why what was to run has failed, by project and flow."""
        found = {(each.project, each.flow): each for each in self.entries}
        failed = {key: each.message for key, each in found.items() if each.has_failed}
        return failed | {key: self.unreadable[key[0]] for key in found if key[0] in self.unreadable}

    def attend(self, now: datetime) -> None:
        """Make one pass. Whatever fails for one flow is told once, and tried again on the next pass."""
        wanted = {f"{project}/{flow}": (project, flow, each) for project, flow, each in self._wanted()}
        for key, (project, flow, schedule) in wanted.items():
            entry = self._entries.get(key)
            if entry is None or (entry.schedule != schedule and not entry.goes_on):
                self._anew(key, project, flow, schedule, entry, now)
        for entry in self.entries:
            if entry.goes_on or entry.project not in self.unreadable:
                self._tried(entry, partial(self._advance, entry, now, gone=entry.key not in wanted))

    def _wanted(self) -> Iterator[tuple[str, str, ScheduleSpec]]:
        unreadable = {}
        for path in sorted(self._published.glob("*.json")):
            project = path.stem
            try:
                found = published(self._published.parent, project) if is_label(project) else None
            except MlplatError as error:
                unreadable[project] = error.message
                continue
            yield from ((project, flow, each) for flow, each in found.schedules.items()) if found else ()
        for project, why in unreadable.items():
            if self.unreadable.get(project) != why:
                log.warning("%s: its schedules rest: %s", project, why)
        self.unreadable = unreadable

    def _tried(self, entry: Entry, step: partial[None]) -> None:
        try:
            step()
            self._told.pop(entry.key, None)
        except MlplatError as error:
            if self._told.get(entry.key) != error.message:
                log.warning("%s: schedule: %s", entry.key, error.message)
            self._told[entry.key] = error.message

    def _anew(
        self, key: str, project: str, flow: str, schedule: ScheduleSpec, before: Entry | None, now: datetime
    ) -> None:
        """Go by a schedule from now on."""
        fresh = before or Entry(project=project, flow=flow, schedule=schedule, since=now)
        self._keep(fresh.model_copy(update={"schedule": schedule, "since": now}))
        first = schedules.following(schedule, now)
        log.info("%s runs by its schedule, next at %s", key, _told(first) if first else "no time at all")

    def _advance(self, entry: Entry, now: datetime, *, gone: bool) -> None:
        if entry.goes_on:
            self._follow(entry, now) if entry.run else self._begin(entry)
        elif gone:
            log.info("%s has no schedule any more", entry.key)
            self._forget(entry)
        elif entry.since > now + BACK:
            log.warning("%s: the platform's clock was set back: its schedule begins anew", entry.key)
            self._keep(entry.model_copy(update={"since": now}))
        elif self._has_come(entry, now):
            self._take(entry, now)

    def _take(self, entry: Entry, now: datetime) -> None:
        """Write the newest time that has come down as the one to run."""
        if found := schedules.come(entry.schedule, entry.since, now):
            said = f"; {_times(found.passed)} before that passed without a run" if found.passed else ""
            log.info("%s: its time of %s has come%s", entry.key, _told(found.time), said)
            taken = {"since": found.time, "due": found.time, "taken": now, "passed": found.passed}
            self._keep(entry.model_copy(update={**taken, "run": "", "status": "", "message": ""}))
        else:
            log.warning("%s: its newest time is more than %d days ago, and is not run", entry.key, schedules.LATE.days)
            self._keep(entry.model_copy(update={"since": now}))

    def _has_come(self, entry: Entry, now: datetime) -> bool:
        """Tell whether the next time has come: it is worked out once, and a pass is made several times a second."""
        if entry.key not in self._next:
            self._next[entry.key] = schedules.following(entry.schedule, entry.since)
        first = self._next[entry.key]
        return first is not None and first <= now

    def _begin(self, entry: Entry) -> None:
        key = digest(f"{entry.key} {entry.due} {entry.taken}")
        run = f"{entry.project}.{entry.flow}.{key}"
        try:
            where = self._runs.begin(entry.project, entry.flow, run, key=key, reason=f"{REASON}, {_told(entry.due)}")
        except RefusedError as error:
            self._end(entry, Result(status="failed", message=error.message))
            return
        log.info("%s: run %s has begun; its log is %s", entry.key, run, where)
        self._keep(entry.model_copy(update={"run": run}))

    def _follow(self, entry: Entry, now: datetime) -> None:
        if result := self._runs.outcome(entry.run):
            self._end(entry, result, min(result.ended or now, now))
            self._runs.prune(f"{entry.project}.{entry.flow}.", KEPT_RUNS)

    def _end(self, entry: Entry, result: Result, ended: datetime | None = None) -> None:
        """Write down what came of a run. Times that came while it went on have passed: a flow has one run at a time."""
        while_running = schedules.come(entry.schedule, entry.since, ended) if ended else None
        message = result.message
        if while_running:
            message += f"; {_times(while_running.passed + 1)} passed while it went on"
        told = log.warning if result.status == "failed" else log.info
        told("%s: %s: %s: %s", entry.key, entry.run or "no run", result.status, message)
        since = max(entry.since, ended or entry.since)
        self._keep(entry.model_copy(update={"status": result.status, "message": message, "since": since}))

    def _keep(self, entry: Entry) -> None:
        self._notes.note({(NOTES, entry.key): entry.model_dump_json()})
        self._entries[entry.key] = entry
        self._next.pop(entry.key, None)

    def _forget(self, entry: Entry) -> None:
        self._notes.note({(NOTES, entry.key): None})
        del self._entries[entry.key]
        self._next.pop(entry.key, None)


def _times(count: int) -> str:
    return f"{count} {'time' if count == 1 else 'times'}"


def _told(time: datetime | None) -> str:
    return f"{time:%Y-%m-%d %H:%M} UTC" if time else "never"
