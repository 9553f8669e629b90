"""Pushing values to the feature server, once or for as long as somebody wants it.

What is pushed is what is known now, as a whole. So a push that failed is made good by the next one, and a reader that
was killed between reading and pushing pushes all it remembers when it is started again: nothing is lost.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta

import pandas as pd

from mlplat.clock import VARIABLE, Clock
from mlplat.contracts import Connection
from mlplat.errors import RefusedError, UnreachableError
from mlplat.runtime.online import LONGEST_PAUSE, PATIENCE, PAUSE, Online, patiently
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


def push(server: Online, spec: ProjectSpec, tables: Mapping[str, pd.DataFrame], say: Say) -> dict[str, int]:
    """Push each group's rows (n × keys, features and `observed`); return how many were written of each.

    A group that no version looks up yet is said and left out, as a column is, so that the others go on. Raises
    `UnreachableError`.
    """
    written: dict[str, int] = {}
    for name, rows in tables.items():
        group = spec.data.features[name]
        if group.online is None:
            continue
        columns = [*group.online.keys, *(each for each in group.columns if each in rows.columns), OBSERVED]
        try:
            told = server.push(name, rows[list(dict.fromkeys(columns))], keys=group.online.keys, observed=OBSERVED)
        except RefusedError as error:
            say(f"`{name}` is not pushed: {error.message}")
            continue
        written[name] = told.written
        if told.unknown:
            say(f"`{name}` is pushed without {', '.join(sorted(told.unknown))}: no version looks them up yet")
    return written


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
