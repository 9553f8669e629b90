"""A stream of Amazon Kinesis.

A shard that was split or merged is read to its end before those that it became, so that events of one key stay in
their order. Positions are sequence numbers by shard; a shard that is read to its end is so until Kinesis forgets it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from mlplat.errors import UnreachableError, UsageError
from mlplat.runtime.streams.port import Batch, Record

ENDED = "ended"
REQUEST_RECORDS, REQUEST_BYTES = 500, 4 * 1024 * 1024
"""Of one PutRecords: AWS's limits are 500 and 5 MiB with the keys, docs.aws.amazon.com/kinesis PutRecords."""
TRIES = 8
"""Of records that a shard has no room for: with pauses that double from 0.1 s, about 13 s."""
PAUSE_SECONDS = 0.2
"""After a read that found nothing although there is more: a shard answers five times a second."""
READ_RECORDS = 10_000
"""Most that GetRecords gives."""


@dataclass(frozen=True)
class Shard:
    """A shard, and what it was made of."""

    name: str
    parents: tuple[str, ...]
    closed: bool


def readable(shards: Sequence[Shard], positions: Mapping[str, str]) -> list[Shard]:
    """Return the shards that may be read now: not ended, and every parent that Kinesis still has is."""
    there = {shard.name for shard in shards}

    def ended(name: str) -> bool:
        return name not in there or positions.get(name) == ENDED

    return [shard for shard in shards if not ended(shard.name) and all(map(ended, shard.parents))]


class Kinesis:
    """A stream of the account and region that boto3 finds."""

    def __init__(self, name: str) -> None:
        import boto3

        if not name:
            raise UsageError("`kinesis:` names no stream", hint="write `kinesis:NAME`")
        self._name = name
        with _told(name):
            self._client = boto3.client("kinesis")
        self._iterators: dict[str, tuple[str, str]] = {}
        """By shard: the position from which an iterator reads on, and the iterator."""

    def append(self, records: Sequence[Record]) -> None:
        """See `Stream.append`. Raises `UnreachableError` when some were not taken in the end."""
        with _told(self._name):
            for chunk in _chunks(records):
                left = chunk
                for attempt in range(TRIES):
                    left = self._put(left)
                    if not left:
                        break
                    time.sleep(0.1 * 2**attempt)
                if left:
                    raise UnreachableError(
                        f"the stream {self._name} does not take {len(left)} records", hint="give it more shards"
                    )

    def _put(self, records: Sequence[Record]) -> list[Record]:
        """Write records; return those that were not taken."""
        entries = [{"PartitionKey": record.key, "Data": record.data} for record in records]
        answers = self._client.put_records(StreamName=self._name, Records=entries)["Records"]
        return [record for record, answer in zip(records, answers, strict=True) if answer.get("ErrorCode")]

    def read(self, positions: Mapping[str, str], limit: int) -> Batch:
        """See `Stream.read`. Raises `UnreachableError`."""
        with _told(self._name):
            shards = self._shards()
            # Of a shard that Kinesis has forgotten nobody needs to know any more.
            there = {shard.name for shard in shards}
            reached = {name: position for name, position in positions.items() if name in there}
            records: list[bytes] = []
            more = False
            for shard in readable(shards, reached):
                if len(records) == limit:
                    more = True
                    break
                found, position, behind = self._read_shard(shard, reached.get(shard.name, ""), limit - len(records))
                records += found
                reached |= {shard.name: position} if position else {}
                more = more or behind
        if more and not records:
            time.sleep(PAUSE_SECONDS)
        return Batch(tuple(records), reached, more)

    def _shards(self) -> list[Shard]:
        pages = self._client.get_paginator("list_shards").paginate(StreamName=self._name)
        return [
            Shard(
                each["ShardId"],
                tuple(each[name] for name in ("ParentShardId", "AdjacentParentShardId") if each.get(name)),
                "EndingSequenceNumber" in each["SequenceNumberRange"],
            )
            for page in pages
            for each in page["Shards"]
        ]

    def _read_shard(self, shard: Shard, position: str, limit: int) -> tuple[list[bytes], str, bool]:
        """Return records, the position after them, and whether there is more to be read: here, or after a shard."""
        expired = self._client.exceptions.ExpiredIteratorException
        try:
            answer = self._get(self._iterator(shard.name, position), limit)
        except expired:
            self._iterators.pop(shard.name)
            answer = self._get(self._iterator(shard.name, position), limit)
        except self._client.exceptions.ProvisionedThroughputExceededException:
            # Others read the shard as well: it is read again with the next batch.
            return [], position, True
        found = answer["Records"]
        reached = found[-1]["SequenceNumber"] if found else position
        following = answer.get("NextShardIterator")
        behind = bool(answer.get("MillisBehindLatest"))
        records = [each["Data"] for each in found]
        if following is None or (shard.closed and not found and not behind):
            self._iterators.pop(shard.name, None)
            return records, ENDED, True
        self._iterators[shard.name] = (reached, following)
        return records, reached, behind or shard.closed

    def _get(self, iterator: str, limit: int) -> dict[str, Any]:
        answer: dict[str, Any] = self._client.get_records(ShardIterator=iterator, Limit=min(limit, READ_RECORDS))
        return answer

    def _iterator(self, shard: str, position: str) -> str:
        kept = self._iterators.get(shard)
        if kept and kept[0] == position:
            return kept[1]
        after: dict[str, str] = (
            {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": position}
            if position
            else {"ShardIteratorType": "TRIM_HORIZON"}
        )
        asked = self._client.get_shard_iterator(StreamName=self._name, ShardId=shard, **after)
        self._iterators[shard] = (position, asked["ShardIterator"])
        return str(asked["ShardIterator"])


def _chunks(records: Sequence[Record]) -> Iterator[list[Record]]:
    chunk: list[Record] = []
    size = 0
    for record in records:
        length = len(record.data) + len(record.key.encode())
        if chunk and (len(chunk) == REQUEST_RECORDS or size + length > REQUEST_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(record)
        size += length
    if chunk:
        yield chunk


@contextmanager
def _told(name: str) -> Iterator[None]:
    """Say what AWS refuses as people can mend it."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (BotoCoreError, ClientError) as error:
        hint = "it needs the stream, a region, and rights to list its shards, get and put records"
        raise UnreachableError(f"the stream {name}: {error}", hint=hint) from error
