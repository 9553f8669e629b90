"""What a stream is to whoever writes events into it or reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mlplat.errors import UsageError

KINESIS = "kinesis:"


@dataclass(frozen=True)
class Record:
    """Bytes, and the key whose records stay in order."""

    key: str
    data: bytes


@dataclass(frozen=True)
class Batch:
    """What a read found, and where to read on."""

    records: tuple[bytes, ...]
    positions: Mapping[str, str]
    """By shard; to be kept as they are, and given to the next read once the records are dealt with."""
    more: bool = False
    """There is more to be read at once."""
    lost: bool = False
    """Records after the positions given were deleted before they were read."""


class Stream(Protocol):
    """A sequence of records, in one or more shards."""

    def append(self, records: Sequence[Record]) -> None:
        """Write records, durably when it returns; one that failed half-way may be written twice by the next try."""

    def read(self, positions: Mapping[str, str], limit: int) -> Batch:
        """Return records after some positions, about `limit` at most; without positions from the oldest one."""


def connect(address: str, folder: Path) -> Stream:
    """Return the stream at an address: `kinesis:NAME`, or a folder, from `folder`. Raises `UsageError`."""
    if address.startswith(KINESIS):
        from mlplat.runtime.streams.kinesis import Kinesis

        return Kinesis(address.removeprefix(KINESIS))
    if ":" in address:
        raise UsageError(f"`{address}` is no stream", hint="write a folder's path, or `kinesis:NAME`")
    from mlplat.runtime.streams.log import Log

    return Log(folder / address)
