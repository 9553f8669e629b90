from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest

from mlplat.runtime.streams.event import Event

AT = datetime(2013, 7, 1, 12, tzinfo=UTC)
EVENT = Event(
    "departed:UA1", "departed", "EWR", AT, AT + timedelta(minutes=5), {"delay": 3, "dest": "IAH", "gate": None}
)


def test_an_event_is_read_as_it_was_written() -> None:
    assert Event.decode(EVENT.encoded()) == EVENT


def test_the_same_moment_in_another_zone_is_the_same_event() -> None:
    there = timezone(timedelta(hours=-4))
    other = Event(EVENT.id, EVENT.kind, EVENT.key, AT.astimezone(there), EVENT.known.astimezone(there), EVENT.values)
    assert other.encoded() == EVENT.encoded()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"id": ""}, "`id`"),
        ({"key": 3}, "`key`"),
        ({"known": "2013-07-01T12:00:00"}, "no time zone"),
        ({"at": "soon"}, "isoformat"),
        ({"values": [1]}, "`values`"),
        ({"values": {"a": {"b": 1}}}, "`values`"),
    ],
)
def test_what_is_no_event_is_said_to_be_none(change: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Event.decode(json.dumps(json.loads(EVENT.encoded()) | change).encode())


@pytest.mark.parametrize("data", [b"", b"{", b"[1]", b"\xff\xfe"])
def test_bytes_that_are_no_json_object_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - json's own words
        Event.decode(data)
