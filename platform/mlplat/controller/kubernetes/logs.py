"""Prediction logs in the bucket of data: kept for as long, and as large, as the platform says.

Model servers may only add to them (`mlplat.serving.ship`), so that one that was broken into takes nothing away; the
controller, which looks at them once an hour, may only list and remove.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from mlplat.contracts import PREDICTIONS
from mlplat.controller.errands import Errands
from mlplat.controller.kubernetes.bucket import Bucket
from mlplat.controller.kubernetes.settings import Log, Settings
from mlplat.errors import MlplatError

LOOK = timedelta(hours=1)
TIME = "%Y%m%dT%H%M%S"
"""How a part's name begins: when its first row was answered, by the platform's clock."""
TIME_SIGNS = 15

log = logging.getLogger("mlplat.controller")


class Logs:
    """Has what is too old or too much removed, beside the controller's loop."""

    def __init__(self, objects: Any, settings: Callable[[], Settings], errands: Errands) -> None:
        self._objects, self._settings, self._errands = objects, settings, errands
        self._looked: datetime | None = None

    def attend(self, now: datetime) -> None:
        """Look at the logs when it is time to, without waiting for what comes of it; `now` is the platform's clock."""
        settings = self._settings()
        wanted = settings.log
        if wanted is None or (self._looked is not None and abs(now - self._looked) < LOOK):
            return
        teams, bucket = set(settings.namespaces.values()), Bucket(self._objects, wanted.bucket)
        try:
            if self._errands.ask(("logs",), lambda: retain(bucket, teams, wanted, now)) is None:
                return
        except MlplatError as error:
            log.warning("prediction logs stay as they are: %s", error.message)
        self._looked = now


def retain(bucket: Bucket, teams: Iterable[str], wanted: Log, now: datetime) -> int:
    """Remove what is over the limits from each revision's log; return how many parts. Raises `MlplatError`."""
    removed = 0
    for team in sorted(teams):
        by_revision: dict[str, dict[str, int]] = {}
        for key, size in bucket.sizes(f"{team}/{PREDICTIONS}/").items():
            if _time(key) is not None:
                by_revision.setdefault(key.rpartition("/")[0], {})[key] = size
        over = [key for parts in by_revision.values() for key in excess(parts, wanted, now)]
        if over:
            bucket.remove(over)
            log.info("%s: %d parts of prediction logs are removed", team, len(over))
        removed += len(over)
    return removed


def excess(parts: Mapping[str, int], wanted: Log, now: datetime) -> list[str]:
    """Return the parts (bytes by key) of one revision that are too old, and the oldest of what is too much.

    The newest stays, as on one computer. A part is as old as its name says: one that rows were erased from is a newer
    object, and keeps its age.
    """
    ordered, over = sorted(parts), list[str]()
    if wanted.keep_seconds is not None:
        oldest = now - timedelta(seconds=wanted.keep_seconds)
        over = [key for key in ordered if (time := _time(key)) and time < oldest]
    left = ordered[len(over) :]
    excess = sum(parts[key] for key in left) - wanted.keep_bytes
    for key in left[:-1]:
        if excess <= 0:
            break
        over.append(key)
        excess -= parts[key]
    return over


def _time(key: str) -> datetime | None:
    """Return when a part's first row was answered; None for an object that is no part."""
    try:
        return datetime.strptime(key.rpartition("/")[2][:TIME_SIGNS], TIME).replace(tzinfo=UTC)
    except ValueError:
        return None
