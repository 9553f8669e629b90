from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from mlplat.watchdog.listener import Event, Gone, Listener


@pytest.fixture
def pipes() -> Iterator[tuple[int, int, int, int]]:
    """Return our input, what is written to it, what is read from our output, and that output."""
    source, feed = os.pipe()
    told, sink = os.pipe()
    yield source, feed, told, sink
    for descriptor in (source, feed, told, sink):
        try:
            os.close(descriptor)
        except OSError:
            continue


def message(kind: str, name: str) -> bytes:
    body = f"processname:{name} groupname:{name} from_state:RUNNING expected:0 pid:7"
    head = f"ver:3.0 server:supervisor serial:1 pool:watchdog poolserial:1 eventname:{kind} len:{len(body)}\n"
    return (head + body).encode()


def test_events_are_read_and_acknowledged_however_they_arrive(pipes: tuple[int, int, int, int]) -> None:
    source, feed, told, sink = pipes
    listener = Listener(source, sink)
    both = message("PROCESS_STATE_EXITED", "tracking") + message("PROCESS_STATE_FATAL", "gateway")
    os.write(feed, both[:50])
    assert listener.wait(0.01) == []
    os.write(feed, both[50:])
    assert listener.wait(5) == [
        Event("PROCESS_STATE_EXITED", "tracking"),
        Event("PROCESS_STATE_FATAL", "gateway"),
    ]
    assert os.read(told, 1000) == b"READY\n" + 2 * b"RESULT 2\nOKREADY\n"


def test_supervisords_end_is_noticed(pipes: tuple[int, int, int, int]) -> None:
    source, feed, _, sink = pipes
    listener = Listener(source, sink)
    os.close(feed)
    with pytest.raises(Gone):
        listener.wait(5)
