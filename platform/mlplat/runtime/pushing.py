"""Pushing values to the feature server, once or for as long as somebody wants it.

What is pushed is what is known now, as a whole. So a push that failed is made good by the next one, and a reader that
was killed between reading and pushing pushes all it remembers when it is started again: nothing is lost. Entities that
were erased are left out, whatever the source still gives. A server that has lost what it was told is told again.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path

import pandas as pd

from mlplat.clock import VARIABLE, Clock
from mlplat.contracts import Connection
from mlplat.errors import MlplatError, RefusedError, UnreachableError
from mlplat.runtime import retelling
from mlplat.runtime.online import LONGEST_PAUSE, PATIENCE, PAUSE, Online, Pushed, UntoldError, patiently
from mlplat.runtime.snapshots.place import Place
from mlplat.runtime.snapshots.tombstones import Tombstones
from mlplat.spec.project import ProjectSpec

OBSERVED = "observed"
Say = Callable[[str], None]


def clock_of(spec: ProjectSpec) -> Clock:
    """Return the clock of a project's platform, by which values are old or new."""
    if os.environ.get(VARIABLE):
        return Clock.from_environment()
    found = Connection.of_run(spec.platform).clock
    return Clock.parse(found) if found else Clock()


def seen(now: pd.Timestamp, newest: pd.Timestamp, quiet_minutes: float) -> pd.Timestamp:
    """Return the time of which a stream's values are, whose newest event became known at `newest`.

    They are of now, since nothing happened meanwhile, unless the silence is longer than it ever is: then nobody knows.
    """
    return now if now - newest <= timedelta(minutes=quiet_minutes) else newest


def push(
    server: Online, spec: ProjectSpec, tables: Mapping[str, pd.DataFrame], say: Say, *, project: Path
) -> dict[str, int]:
    """Push each group's rows (n × keys, features and `observed`); return how many were written of each.

    `project` is the project's folder: its tombstones say which rows are left out. A group that no version looks up yet
    is said and left out, as a column is, so that the others go on. Raises `UnreachableError`.
    """
    written: dict[str, int] = {}
    stones = Tombstones(Place.of(project))
    for name, rows in tables.items():
        group = spec.data.features[name]
        if group.online is None:
            continue
        columns = [*group.online.keys, *(each for each in group.columns if each in rows.columns), OBSERVED]
        left = stones.without(rows[list(dict.fromkeys(columns))])
        put = partial(server.push, name, left, keys=group.online.keys, observed=OBSERVED)
        try:
            told = _put(put, partial(_retell, server, spec, name, say))
        except RefusedError as error:
            say(f"`{name}` is not pushed: {error.message}")
            continue
        written[name] = told.written
        if told.unknown:
            say(f"`{name}` is pushed without {', '.join(sorted(told.unknown))}: no version looks them up yet")
    return written


def _put(put: Callable[[], Pushed], retell: Callable[[], bool]) -> Pushed:
    """Push rows; to a server that knows nothing of their group, once it was told again."""
    try:
        return put()
    except UntoldError:
        if not retell():
            raise
    return put()


def _retell(server: Online, spec: ProjectSpec, group: str, say: Say) -> bool:
    """Tell a server again what versions look up, if one of them looks a group up; return whether it was told."""
    try:
        services = retelling.retell(server, spec, say, group=group)
    except MlplatError as error:
        say(f"whether a version looks `{group}` up is not known: {error.message}")
        return False
    if services:
        say(f"the feature server knew nothing of `{group}`, and was told again: {', '.join(services)}")
    return bool(services)


def repeat(step: Callable[[], object], *, every: float | None, say: Say) -> None:
    """Do something once, or every so many seconds until this process is told to end.

    A feature server that is away is waited for: half a minute where it is to be done once, and then `UnreachableError`
    is raised; else for ever, with longer and longer pauses, and said when it goes and when it is back.
    """
    if every is None:
        patiently(step, PATIENCE)
        return
    with _ending() as end:
        pause, away = PAUSE, False
        while not end.is_set():
            try:
                step()
            except UnreachableError as error:
                if not away:
                    say(f"{error.message}; it is asked again")
                end.wait(pause)
                pause, away = min(2 * pause, LONGEST_PAUSE), True
                continue
            if away:
                say("the feature server is back")
            pause, away = PAUSE, False
            end.wait(every)


@contextmanager
def _ending() -> Iterator[threading.Event]:
    """Give what is set when this process is asked to end, by a person or by whoever keeps it."""
    end = threading.Event()
    before = {number: signal.signal(number, lambda *_: end.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield end
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
