"""Telling people of alerts on one computer: a line of the log each, and a message to a webhook where a stack has one.

Messages lie in the store until they are delivered or given up, in their order, so that neither a receiver that is away
nor a controller that ends loses one. They are sent beside the controller's loop.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from mlplat.controller import alarms, webhook
from mlplat.controller.alarms import Known, Seen
from mlplat.controller.errands import Errands
from mlplat.controller.timetable import Notes
from mlplat.errors import MlplatError, RefusedError

ALARMS, MESSAGES = "alarm", "message"
"""Kinds of the store's notes."""
PAUSES = tuple(min(5.0 * 2**number, 3600.0) for number in range(30))
"""Seconds before each further try, about a day in all."""
MOST = 500
"""Messages that wait; beyond them the oldest go."""
ID_SIGNS = 32
Send = Callable[[Path, Mapping[str, Any], str], None]
M = TypeVar("M", bound=BaseModel)

log = logging.getLogger("mlplat.controller")


class Message(BaseModel):
    """One message that is to be delivered."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    """The same for each try, so that a receiver can tell what it has seen."""
    body: dict[str, Any]
    tries: int = 0
    not_before: float = 0.0
    """Seconds since the epoch, by the computer's own clock."""


class Post:
    """What was told, and what is still to be."""

    def __init__(
        self, notes: Notes, errands: Errands, send: Send = webhook.send, clock: Callable[[], float] = time.time
    ) -> None:
        self._notes, self._errands, self._send, self._clock = notes, errands, send, clock
        self._known = {each.key: each for each in known(notes)}
        found = ((key, _read(Message, text)) for key, text in notes.notes(MESSAGES).items())
        self._waiting = {key: each for key, each in found if each is not None}

    def tell(self, seen: Seen, now: datetime, receiver: Path | None) -> None:
        """Tell of what began and what ended since the last pass; `receiver` is the file with the webhook's address."""
        found = alarms.present(seen, self._known, now)
        changes: dict[tuple[str, str], str | None] = {}
        for key in sorted(self._known.keys() - found.keys()):
            self._ended(self._known[key], now, receiver, changes)
            changes[ALARMS, key] = None
        for key, each in found.items():
            if key not in self._known:
                log.warning("alert: %s", _line(each, "firing"))
            if receiver is not None and not each.is_sent:
                self._queue(alarms.message(each, None), changes)
                found[key] = each = each.model_copy(update={"is_sent": True})  # noqa: PLW2901 - as it is from now on
            if each != self._known.get(key):
                changes[ALARMS, key] = each.model_dump_json()
        if changes:
            self._notes.note(changes)
        self._known = found

    def deliver(self, receiver: Path | None) -> None:
        """Send the oldest message, or see what became of it. Never waits."""
        if receiver is None or not self._waiting:
            return
        key = min(self._waiting)
        message = self._waiting[key]
        # A clock that was set back makes nobody wait for longer than the longest pause.
        if 0 < message.not_before - self._clock() <= PAUSES[-1]:
            return
        try:
            done = self._errands.ask(("post", message.id), partial(_sent, self._send, receiver, message))
        except MlplatError as error:
            self._failed(key, message, error)
        else:
            if done:
                self._keep(key, None)

    def _ended(
        self, each: Known, now: datetime, receiver: Path | None, changes: dict[tuple[str, str], str | None]
    ) -> None:
        log.info("alert: %s", _line(each, "resolved"))
        if receiver is not None and each.is_sent:
            self._queue(alarms.message(each, now), changes)

    def _queue(self, body: dict[str, Any], changes: dict[tuple[str, str], str | None]) -> None:
        number = int(max(self._waiting, default="0")) + 1
        name = hashlib.sha256(json.dumps([number, self._clock(), body]).encode()).hexdigest()[:ID_SIGNS]
        made = Message(id=name, body=body)
        self._waiting[f"{number:012}"] = made
        changes[MESSAGES, f"{number:012}"] = made.model_dump_json()
        if len(self._waiting) > MOST:
            oldest = min(self._waiting)
            log.error("more than %d alerts wait for the webhook: the oldest is dropped", MOST)
            del self._waiting[oldest]
            changes[MESSAGES, oldest] = None

    def _failed(self, key: str, message: Message, error: MlplatError) -> None:
        tries = message.tries + 1
        if isinstance(error, RefusedError) or tries > len(PAUSES):
            log.error("alert %s could not be delivered, and is given up: %s", message.id, error.message)
            self._keep(key, None)
            return
        if tries == 1:
            log.warning("alert %s could not be delivered, and is tried again: %s", message.id, error.message)
        later = {"tries": tries, "not_before": self._clock() + PAUSES[tries - 1]}
        self._keep(key, message.model_copy(update=later))

    def _keep(self, key: str, message: Message | None) -> None:
        self._notes.note({(MESSAGES, key): message.model_dump_json() if message else None})
        if message:
            self._waiting[key] = message
        else:
            del self._waiting[key]


def known(notes: Notes) -> list[Known]:
    """Return the alerts that last."""
    found = (_read(Known, text) for text in notes.notes(ALARMS).values())
    return [each for each in found if each is not None]


def _read(kind: type[M], text: str) -> M | None:
    try:
        return kind.model_validate_json(text)
    except ValidationError:
        return None  # of another version of mlplat; what lasts is told again


def _sent(send: Send, receiver: Path, message: Message) -> bool:
    send(receiver, message.body, message.id)
    return True


def _line(each: Known, state: str) -> str:
    """Return an alert as one line of JSON."""
    said = {"state": state, **each.labels, "since": each.since.isoformat(), "summary": each.annotations["summary"]}
    return json.dumps({**said, "message": each.annotations.get("message", "")}, ensure_ascii=False)
