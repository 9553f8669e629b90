from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mlplat.clock import Clock
from mlplat.errors import StateError, UsageError
from mlplat.runtime.streams.consumer import consuming
from mlplat.runtime.streams.event import Event
from mlplat.runtime.streams.kinesis import Kinesis
from mlplat.runtime.streams.log import Log
from mlplat.runtime.streams.memory import Memory
from mlplat.runtime.streams.port import Record, connect

START = datetime(2013, 7, 1, tzinfo=UTC)


def memory() -> Memory:
    return Memory(timedelta(hours=1), Clock.parse("2026-01-01"))


def event(number: int) -> Event:
    return Event(f"e{number}", "departed", "EWR", START, START + timedelta(minutes=number), {"delay": number})


def write(log: Log, *numbers: int) -> None:
    log.append([Record("EWR", event(number).encoded()) for number in numbers])


def test_a_consumer_goes_on_where_it_was(tmp_path: Path) -> None:
    log, place = Log(tmp_path / "stream"), tmp_path / "kept" / "follow.json"
    write(log, 1, 2)
    with consuming(log, memory(), place) as consumer:
        consumer.drain()
    write(log, 2, 3)
    with consuming(log, memory(), place) as consumer:
        consumer.drain()
        assert consumer.memory.events() == [event(1), event(2), event(3)]
        assert consumer.memory.counts == {"taken": 3, "repeated": 1, "lost": 0}


def test_one_killed_before_it_wrote_down_how_far_it_was_delivers_again_and_counts_once(tmp_path: Path) -> None:
    log, place = Log(tmp_path / "stream"), tmp_path / "follow.json"
    write(log, 1, 2)
    delivered: list[list[Event]] = []

    def dies(known: Memory) -> None:
        delivered.append(known.events())
        if len(delivered) == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), consuming(log, memory(), place) as consumer:
        consumer.drain(dies)
    with consuming(log, memory(), place) as consumer:
        consumer.drain(dies)
        assert consumer.memory.counts["taken"] == 2
    assert delivered == [[event(1), event(2)]] * 2


def test_nothing_is_delivered_that_changes_nothing(tmp_path: Path) -> None:
    log, place = Log(tmp_path / "stream"), tmp_path / "follow.json"
    write(log, 1)
    delivered: list[Memory] = []
    with consuming(log, memory(), place) as consumer:
        consumer.drain(delivered.append)
        write(log, 1)
        consumer.drain(delivered.append)
    assert len(delivered) == 1


def test_two_do_not_keep_one_progress(tmp_path: Path) -> None:
    log, place = Log(tmp_path / "stream"), tmp_path / "follow.json"
    with consuming(log, memory(), place), pytest.raises(StateError, match="locked"), consuming(log, memory(), place):
        pass


@pytest.mark.parametrize("text", ["", "[]", '{"version": 1, "memory": {}, "positions": {}}'])
def test_a_broken_record_of_progress_is_refused_with_what_to_do(tmp_path: Path, text: str) -> None:
    place = tmp_path / "follow.json"
    place.write_text(text)
    with (
        pytest.raises(StateError, match=r"follow\.json: cannot be read") as caught,
        consuming(Log(tmp_path / "stream"), memory(), place),
    ):
        pass
    assert "read the stream from its oldest event again" in str(caught.value.hint)
    assert place.read_text() == text


def test_what_was_lost_is_counted(tmp_path: Path) -> None:
    log, place = Log(tmp_path / "stream", segment_bytes=1, kept_bytes=200), tmp_path / "follow.json"
    write(log, 1)
    with consuming(log, memory(), place) as consumer:
        consumer.drain()
        for number in range(2, 9):
            write(log, number)
        consumer.drain()
        assert consumer.memory.counts["lost"] == 1
        assert consumer.memory.events()[-1] == event(8)
    assert json.loads(place.read_bytes())["memory"]["counts"]["lost"] == 1


def test_an_address_says_which_stream_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("DEFAULT_REGION", "us-east-1"), ("ACCESS_KEY_ID", "none"), ("SECRET_ACCESS_KEY", "none")):
        monkeypatch.setenv(f"AWS_{name}", value)
    assert isinstance(connect("kinesis:flights", tmp_path), Kinesis)
    assert isinstance(connect(".mlplat/stream", tmp_path), Log)
    with pytest.raises(UsageError, match="is no stream"):
        connect("kafka:flights", tmp_path)
    with pytest.raises(UsageError, match="names no stream"):
        connect("kinesis:", tmp_path)
