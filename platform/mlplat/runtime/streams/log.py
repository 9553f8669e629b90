"""A stream on this computer: a folder of files that only grow.

A record is its length, its checksum, and its bytes; a file is named by how many bytes lie in files before it, so that a
position is one number. Writers hold a lock, readers need none: they stop before a record that is not whole. What a
writer left half-written when it was killed is cut off by the next one, and kept beside for people.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import secrets
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from mlplat.errors import StateError
from mlplat.files import write_atomic, writing
from mlplat.locking import lock
from mlplat.runtime.streams.port import Batch, Record

SHARD = "0"
IDENTITY = "identity"
HEADER = struct.Struct(">II")
SEGMENT_BYTES = 16 * 1024 * 1024
KEPT_BYTES = 1024 * 1024 * 1024
"""Together; the oldest files go first. A day of the flights' events is 0.7 MB."""
LARGEST = 1024 * 1024
"""Bytes of a record: as Kinesis has it, so that both take the same events."""
LOCK_SECONDS = 30.0


class Log:
    """A stream in the files of one folder."""

    def __init__(self, folder: Path, *, segment_bytes: int = SEGMENT_BYTES, kept_bytes: int = KEPT_BYTES) -> None:
        self._folder = folder
        self._segment_bytes = segment_bytes
        self._kept_bytes = kept_bytes
        self._sound = (-1, 0)
        """Up to where this object knows a file to be whole: its start, and a size."""

    def append(self, records: Sequence[Record]) -> None:
        """See `Stream.append`. Raises `StateError` where the folder cannot be written, and then nothing was."""
        if large := [record for record in records if len(record.data) > LARGEST]:
            raise StateError(f"{self._folder}: a record has {len(large[0].data)} bytes, and {LARGEST} are allowed")
        if not records:
            return
        with writing(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
            with lock(self._folder / "write.lock", "the stream's writer", timeout=LOCK_SECONDS):
                if not self._identity():
                    write_atomic(self._folder / IDENTITY, secrets.token_hex(8), mode=0o600)
                self._write(b"".join(_framed(record.data) for record in records))

    def read(self, positions: Mapping[str, str], limit: int) -> Batch:
        """See `Stream.read`. Raises `StateError` for a file that was damaged after it was written."""
        identity, starts = self._identity(), _starts(self._folder)
        if not starts:
            return Batch((), positions)
        whose, _, given = positions.get(SHARD, "").partition(":")
        # A folder that was removed and made again is another stream, whose bytes lie elsewhere.
        position = max(int(given), starts[0]) if given and whose == identity else starts[0]
        lost = bool(given) and f"{identity}:{position}" != positions[SHARD]
        records: list[bytes] = []
        for start, following in zip(starts, [*starts[1:], None], strict=True):
            if len(records) >= limit or (following is not None and following <= position):
                continue
            found, position = self._segment(start, position, limit - len(records))
            records += found
            if following is not None and position < following and len(records) < limit:
                if _starts(self._folder)[0] > start:  # deleted while it was read
                    break
                raise StateError(
                    f"{_path(self._folder, start)}: is damaged at byte {position - start}",
                    hint="restore the file, or move it away: its events are then missing",
                )
        return Batch(tuple(records), {SHARD: f"{identity}:{position}"}, len(records) == limit, lost)

    def _identity(self) -> str:
        with contextlib.suppress(FileNotFoundError):
            return (self._folder / IDENTITY).read_text()
        return ""

    def _segment(self, start: int, position: int, limit: int) -> tuple[list[bytes], int]:
        try:
            descriptor = os.open(_path(self._folder, start), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return [], position
        records: list[bytes] = []
        with os.fdopen(descriptor, "rb") as file:
            file.seek(position - start)
            for data in _records(file.read()):
                if len(records) == limit:
                    break
                records.append(data)
                position += HEADER.size + len(data)
            # What is handed out is on the disk: a position is never behind the end, whatever happens to the power.
            os.fsync(descriptor)
        return records, position

    def _write(self, data: bytes) -> None:
        starts = _starts(self._folder) or [0]
        start, size = starts[-1], self._mended(starts[-1])
        if size >= self._segment_bytes:
            start, size = start + size, 0
            self._delete_old([*starts, start])
        descriptor = os.open(_path(self._folder, start), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.lseek(descriptor, size, os.SEEK_SET)
            left = memoryview(data)
            while left:
                left = left[os.write(descriptor, left) :]
            os.fsync(descriptor)
        except OSError:
            os.ftruncate(descriptor, size)
            raise
        finally:
            os.close(descriptor)
        if not size:
            _sync_folder(self._folder)
        self._sound = (start, size + len(data))

    def _mended(self, start: int) -> int:
        """Return the size of the last file, after cutting off what is no whole record."""
        path = _path(self._folder, start)
        if not path.exists():
            return 0
        sound = self._sound[1] if self._sound[0] == start else 0
        if (size := path.stat().st_size) == sound:
            return size
        with path.open("r+b") as file:
            file.seek(sound)
            rest = file.read()
            whole = sum(HEADER.size + len(data) for data in _records(rest))
            if torn := rest[whole:]:
                path.with_suffix(f".torn-{sound + whole}").write_bytes(torn)
                file.truncate(sound + whole)
                os.fsync(file.fileno())
        return sound + whole

    def _delete_old(self, starts: Sequence[int]) -> None:
        for start, following in itertools.pairwise(starts):
            if starts[-1] - following >= self._kept_bytes:
                _path(self._folder, start).unlink(missing_ok=True)


def _path(folder: Path, start: int) -> Path:
    return folder / f"{start:020}.log"


def _starts(folder: Path) -> list[int]:
    return sorted(int(path.stem) for path in folder.glob("*.log"))


def _framed(data: bytes) -> bytes:
    return HEADER.pack(len(data), zlib.crc32(data)) + data


def _records(data: bytes) -> Iterator[bytes]:
    """Give the whole records at the beginning of some bytes."""
    place = 0
    while place + HEADER.size <= len(data):
        length, checksum = HEADER.unpack_from(data, place)
        record = data[place + HEADER.size : place + HEADER.size + length]
        # Files that were made longer before they were filled hold zeros, which would be records without bytes.
        if not length or len(record) < length or zlib.crc32(record) != checksum:
            return
        yield record
        place += HEADER.size + length


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
