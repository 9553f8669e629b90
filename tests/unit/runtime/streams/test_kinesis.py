from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import moto
import pytest

from mlplat.clock import Clock
from mlplat.errors import UnreachableError
from mlplat.runtime.streams import kinesis
from mlplat.runtime.streams.consumer import consuming
from mlplat.runtime.streams.event import Event
from mlplat.runtime.streams.kinesis import ENDED, Kinesis, Shard, readable
from mlplat.runtime.streams.memory import Memory
from mlplat.runtime.streams.port import Batch, Record

START = datetime(2013, 7, 1, tzinfo=UTC)


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return moto's Kinesis with a stream of two shards."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setattr(kinesis, "PAUSE_SECONDS", 0.0)
    with moto.mock_aws():
        made = boto3.client("kinesis")
        made.create_stream(StreamName="flights", ShardCount=2)
        yield made


def event(number: int) -> Event:
    known = START + timedelta(seconds=number)
    return Event(f"e{number}", "departed", f"k{number % 10}", known, known, {"delay": number})


def write(stream: Kinesis, numbers: range) -> None:
    stream.append([Record(event(number).key, event(number).encoded()) for number in numbers])


def read(stream: Kinesis, place: Path) -> Memory:
    with consuming(stream, Memory(timedelta(days=1), Clock.parse("2026-01-01")), place) as consumer:
        consumer.drain()
        return consumer.memory


def test_all_events_of_all_shards_are_read_once_and_on_from_where_it_was(client: Any, tmp_path: Path) -> None:
    write(Kinesis("flights"), range(1100))
    assert read(Kinesis("flights"), tmp_path / "f.json").events() == [event(number) for number in range(1100)]
    write(Kinesis("flights"), range(1100, 1150))
    after = read(Kinesis("flights"), tmp_path / "f.json")
    assert after.counts == {"taken": 1150, "lost": 0}


class Resharded:
    """Kinesis as AWS documents it where shards are split and merged: moto goes on writing into closed shards.

    A closed shard keeps its records, and gives no next iterator after its last one.
    """

    def __init__(self) -> None:
        self.shards: dict[str, tuple[tuple[str, ...], list[bytes]]] = {"a": ((), []), "b": ((), [])}
        self.open = {"a": "01234", "b": "56789"}
        """Last digits of the keys that a shard takes."""
        self.exceptions = boto3.client("kinesis").exceptions

    def become(self, name: str, digits: str, *parents: str) -> None:
        self.shards[name] = (parents, [])
        self.open = {each: own for each, own in self.open.items() if each not in parents} | {name: digits}

    def put_records(self, Records: list[dict[str, Any]], **_: Any) -> Any:  # noqa: N803 - AWS's name
        for each in Records:
            shard = next(name for name, digits in self.open.items() if each["PartitionKey"][-1] in digits)
            self.shards[shard][1].append(each["Data"])
        return {"Records": [{}] * len(Records)}

    def get_paginator(self, _: str) -> Any:
        shards = [
            {
                "ShardId": name,
                **dict(zip(("ParentShardId", "AdjacentParentShardId"), parents, strict=False)),
                "SequenceNumberRange": {} if name in self.open else {"EndingSequenceNumber": "9"},
            }
            # Not in the order in which they were made.
            for name, (parents, _) in sorted(self.shards.items(), reverse=True)
        ]
        return SimpleNamespace(paginate=lambda **_: [{"Shards": [each]} for each in shards])

    def get_shard_iterator(self, ShardId: str, StartingSequenceNumber: str = "0", **_: Any) -> Any:  # noqa: N803
        return {"ShardIterator": f"{ShardId}/{StartingSequenceNumber}"}

    def get_records(self, ShardIterator: str, Limit: int) -> Any:  # noqa: N803
        name, _, start = ShardIterator.partition("/")
        records = self.shards[name][1][int(start) : int(start) + Limit]
        end = int(start) + len(records)
        behind = len(self.shards[name][1]) - end
        following = {"NextShardIterator": f"{name}/{end}"} if behind or name in self.open else {}
        numbered = [{"Data": data, "SequenceNumber": str(int(start) + at + 1)} for at, data in enumerate(records)]
        return {"Records": numbered, "MillisBehindLatest": behind, **following}


@pytest.mark.parametrize("limit", [1, 7, 5000])
def test_events_of_one_key_stay_in_order_through_splits_and_merges(client: Any, limit: int) -> None:
    stream, account, order = Kinesis("flights"), Resharded(), list[bytes]()
    stream._client = account
    positions: dict[str, str] = {}
    changes: list[list[tuple[str, ...]]] = [
        [],
        [("c", "01", "a"), ("d", "234", "a")],
        [("e", "23456789", "d", "b")],
        [("f", "0123456789", "c", "e")],
    ]
    for number, change in enumerate(changes):
        for each in change:
            account.become(*each)
        write(stream, range(number * 40, number * 40 + 40))
        if number != 1:
            batch = Batch((), positions, more=True)
            while batch.more:
                batch = stream.read(batch.positions, limit)
                order += batch.records
            positions = json.loads(json.dumps(dict(batch.positions)))
            stream._iterators.clear()  # as after a restart
    found = [Event.decode(data) for data in order]
    assert sorted(int(each.id[1:]) for each in found) == list(range(160))
    for key in {each.key for each in found}:
        numbers = [int(each.id[1:]) for each in found if each.key == key]
        assert numbers == sorted(numbers)
    assert {name for name, position in positions.items() if position == ENDED} == {"a", "b", "c", "d", "e"}


def test_an_iterator_that_expired_is_asked_for_again(client: Any, tmp_path: Path) -> None:
    stream = Kinesis("flights")
    write(stream, range(20))
    seen = stream.read({}, 100)
    asked: list[str] = []
    get = stream._client.get_records

    def expires_once(**given: Any) -> Any:
        asked.append(given["ShardIterator"])
        if len(asked) == 1:
            raise stream._client.exceptions.ExpiredIteratorException({"Error": {"Code": "Expired"}}, "GetRecords")
        return get(**given)

    stream._client.get_records = expires_once
    write(stream, range(20, 40))
    found = stream.read(seen.positions, 100).records
    assert sorted(Event.decode(data).id for data in found) == sorted(event(number).id for number in range(20, 40))


def test_a_shard_that_others_keep_busy_is_read_later(client: Any) -> None:
    stream = Kinesis("flights")
    write(stream, range(10))
    get = stream._client.get_records
    busy = stream._client.exceptions.ProvisionedThroughputExceededException

    def refuse(**given: Any) -> Any:
        raise busy({"Error": {"Code": "Busy"}}, "GetRecords")

    stream._client.get_records = refuse
    batch = stream.read({}, 100)
    assert (batch.records, batch.more, dict(batch.positions)) == ((), True, {})
    stream._client.get_records = get
    assert len(stream.read(batch.positions, 100).records) == 10


def test_records_that_a_shard_had_no_room_for_are_written_again_and_no_others(
    client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = Kinesis("flights")
    put, sent = stream._client.put_records, []

    def crowded(**given: Any) -> Any:
        sent.append(len(given["Records"]))
        if len(sent) == 1:
            put(**(given | {"Records": given["Records"][:3]}))
            answers = [{"SequenceNumber": "1"}] * 3 + [{"ErrorCode": "ProvisionedThroughputExceededException"}] * 2
            return {"Records": answers}
        return put(**given)

    stream._client.put_records = crowded
    monkeypatch.setattr(time, "sleep", lambda _: None)
    write(stream, range(5))
    assert sent == [5, 2]
    found = Kinesis("flights").read({}, 100).records
    assert sorted(Event.decode(data).id for data in found) == [f"e{number}" for number in range(5)]


def test_a_stream_that_takes_nothing_is_said(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Kinesis("flights")
    stream._client.put_records = lambda **given: {"Records": [{"ErrorCode": "Busy"}] * len(given["Records"])}
    monkeypatch.setattr(time, "sleep", lambda _: None)
    with pytest.raises(UnreachableError, match="does not take 5 records"):
        write(stream, range(5))


def test_requests_stay_within_what_kinesis_takes() -> None:
    chunks = list(kinesis._chunks([Record("k", b"x" * 20_000)] * 1000))
    assert sum(map(len, chunks)) == 1000
    assert all(len(chunk) <= 500 for chunk in chunks)
    assert all(sum(len(record.data) + 1 for record in chunk) <= 4 * 1024 * 1024 for chunk in chunks)


def test_a_stream_that_is_not_there_is_said_with_what_is_needed(client: Any) -> None:
    with pytest.raises(UnreachableError, match=r"the stream none: .*not found") as caught:
        Kinesis("none").read({}, 10)
    assert "rights to list its shards" in str(caught.value.hint)


A, B = Shard("a", (), True), Shard("b", (), True)
SPLIT = Shard("a1", ("a",), False)
MERGED = Shard("ab", ("a", "b"), False)


@pytest.mark.parametrize(
    ("shards", "positions", "expected"),
    [
        ([A, SPLIT], {}, ["a"]),
        ([A, SPLIT], {"a": "7"}, ["a"]),
        ([A, SPLIT], {"a": ENDED}, ["a1"]),
        ([SPLIT], {}, ["a1"]),  # the parent is forgotten by now
        ([A, B, MERGED], {"a": ENDED}, ["b"]),
        ([A, B, MERGED], {"a": ENDED, "b": ENDED}, ["ab"]),
        ([B, MERGED], {"b": ENDED}, ["ab"]),
    ],
)
def test_a_shard_is_read_after_all_that_it_was_made_of(
    shards: list[Shard], positions: dict[str, str], expected: list[str]
) -> None:
    assert [shard.name for shard in readable(shards, positions)] == expected
