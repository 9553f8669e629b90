"""supervisor's event protocol: it writes a head and a body to our standard input, and we answer on standard output."""

from __future__ import annotations

import os
import select
import time
from dataclasses import dataclass

EVENTS = ("PROCESS_STATE_EXITED", "PROCESS_STATE_BACKOFF", "PROCESS_STATE_FATAL")
"""What the watchdog asks for: a process ended of itself, ended while it started, was given up."""


@dataclass(frozen=True)
class Event:
    """Something that happened to a program."""

    kind: str
    program: str


class Gone(Exception):  # noqa: N818 - not an error: supervisord ended
    """supervisord has closed our standard input."""


class Listener:
    """The two ends of the protocol."""

    def __init__(self, source: int = 0, sink: int = 1) -> None:
        self._source, self._sink = source, sink
        self._buffer = b""
        self._say(b"READY\n")

    def wait(self, seconds: float) -> list[Event]:
        """Return the events that come within so many seconds; as soon as there is one. Raises `Gone`."""
        deadline, found = time.monotonic() + seconds, list[Event]()
        while not found and (left := deadline - time.monotonic()) > 0:
            if select.select([self._source], [], [], left)[0]:
                self._read()
            while (event := self._next()) is not None:
                found.append(event)
                self._say(b"RESULT 2\nOKREADY\n")
        return found

    def _read(self) -> None:
        read = os.read(self._source, 65536)
        if not read:
            raise Gone
        self._buffer += read

    def _next(self) -> Event | None:
        head, end, rest = self._buffer.partition(b"\n")
        if not end:
            return None
        fields = _fields(head)
        length = int(fields["len"])
        if len(rest) < length:
            return None
        self._buffer = rest[length:]
        return Event(fields["eventname"], _fields(rest[:length]).get("processname", ""))

    def _say(self, text: bytes) -> None:
        try:
            os.write(self._sink, text)
        except BrokenPipeError as error:
            raise Gone from error


def _fields(text: bytes) -> dict[str, str]:
    pairs = (item.partition(":") for item in text.decode(errors="replace").split())
    return {key: value for key, _, value in pairs}
