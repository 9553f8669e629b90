"""One thing that happened, and when somebody could first have known it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

Value = str | int | float | bool | None


@dataclass(frozen=True)
class Event:
    """What happened: under one id once, however often it is delivered."""

    id: str
    kind: str
    key: str
    """Whose event it is: a stream keeps those of one key in their order."""
    at: datetime
    """When it happened."""
    known: datetime
    """From when it could be looked up: what it changes, it changes after that."""
    values: Mapping[str, Value]

    def encoded(self) -> bytes:
        """Return it as JSON, the same bytes for the same event."""
        document = {
            "id": self.id,
            "kind": self.kind,
            "key": self.key,
            "at": _text(self.at),
            "known": _text(self.known),
            "values": dict(self.values),
        }
        return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()

    @classmethod
    def decode(cls, data: bytes) -> Event:
        """Read an event. Raises `ValueError` saying what is wrong with it."""
        document = json.loads(data)
        if not isinstance(document, dict):
            raise ValueError("an event is a JSON object")  # noqa: TRY004 - callers wait for one kind of error
        texts = {name: document.get(name) for name in ("id", "kind", "key", "at", "known")}
        if wrong := [name for name, text in texts.items() if not isinstance(text, str) or not text]:
            raise ValueError(f"`{wrong[0]}` is no text")
        values = document.get("values")
        if not isinstance(values, dict) or any(isinstance(value, dict | list) for value in values.values()):
            raise ValueError("`values` is no object of plain values")
        return cls(
            str(texts["id"]),
            str(texts["kind"]),
            str(texts["key"]),
            _time(str(texts["at"])),
            _time(str(texts["known"])),
            values,
        )


def _text(time: datetime) -> str:
    return time.astimezone(UTC).isoformat()


def _time(text: str) -> datetime:
    read = datetime.fromisoformat(text)
    if read.tzinfo is None:
        raise ValueError(f"`{text}` has no time zone")
    return read.astimezone(UTC)
