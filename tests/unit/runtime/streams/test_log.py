from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlplat.errors import StateError
from mlplat.runtime.streams.log import HEADER, LARGEST, Log
from mlplat.runtime.streams.port import Batch, Record


def records(*texts: str) -> list[Record]:
    return [Record("k", text.encode()) for text in texts]


def everything(log: Log, limit: int = 3) -> list[bytes]:
    found: list[bytes] = []
    batch = Batch((), {}, more=True)
    while batch.more:
        batch = log.read(batch.positions, limit)
        found += batch.records
    return found


def segments(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.log"))


def test_an_empty_stream_has_nothing_and_no_end(tmp_path: Path) -> None:
    assert Log(tmp_path / "none").read({}, 10) == Batch((), {})


@settings(max_examples=40)
@given(
    chunks=st.lists(st.lists(st.binary(min_size=1, max_size=40), max_size=5), max_size=8),
    limit=st.integers(1, 7),
    segment=st.integers(1, 200),
)
def test_what_was_written_is_read_once_in_order_whatever_the_segments_and_limits(
    tmp_path_factory: pytest.TempPathFactory, chunks: list[list[bytes]], limit: int, segment: int
) -> None:
    folder = tmp_path_factory.mktemp("log")
    for chunk in chunks:
        Log(folder, segment_bytes=segment).append([Record("k", data) for data in chunk])
    assert everything(Log(folder), limit) == [data for chunk in chunks for data in chunk]


def test_a_reader_goes_on_from_its_position(tmp_path: Path) -> None:
    log = Log(tmp_path)
    log.append(records("a", "b"))
    first = log.read({}, 10)
    log.append(records("c"))
    assert log.read(first.positions, 10).records == (b"c",)


def test_a_writer_killed_at_any_byte_loses_nothing_that_was_written_before(tmp_path: Path) -> None:
    """The tail that a `kill -9` leaves: every prefix of the last write."""
    whole = Log(tmp_path / "whole")
    whole.append(records("first", "second"))
    sound = segments(tmp_path / "whole")[0].read_bytes()
    whole.append(records("third"))
    data = segments(tmp_path / "whole")[0].read_bytes()
    for size in range(len(sound), len(data)):
        folder = tmp_path / str(size)
        folder.mkdir()
        (folder / "00000000000000000000.log").write_bytes(data[:size])
        log = Log(folder)
        before = log.read({}, 10)
        assert before.records == (b"first", b"second")
        log.append(records("fourth"))
        # The identity is made by the first append: a reader from before begins again.
        assert everything(log) == [b"first", b"second", b"fourth"]
        assert len(list(folder.glob("*.torn-*"))) == (size > len(sound))


@pytest.mark.parametrize("tail", [b"\0" * 64, HEADER.pack(5, 1) + b"wrong", HEADER.pack(1 << 30, 0)])
def test_a_tail_that_is_no_record_is_cut_off_and_kept_for_people(tmp_path: Path, tail: bytes) -> None:
    log = Log(tmp_path)
    log.append(records("a"))
    with segments(tmp_path)[0].open("ab") as file:
        file.write(tail)
    assert everything(log) == [b"a"]
    log.append(records("b"))
    assert everything(Log(tmp_path)) == [b"a", b"b"]
    assert [path.read_bytes() for path in tmp_path.glob("*.torn-*")] == [tail]


def test_a_damaged_record_in_the_middle_is_said_and_not_skipped(tmp_path: Path) -> None:
    log = Log(tmp_path, segment_bytes=1)
    log.append(records("a"))
    log.append(records("b"))
    data = bytearray(segments(tmp_path)[0].read_bytes())
    data[-1] ^= 1
    segments(tmp_path)[0].write_bytes(data)
    with pytest.raises(StateError, match="damaged at byte 0"):
        log.read({}, 10)


def test_old_segments_go_and_a_reader_who_was_too_slow_is_told(tmp_path: Path) -> None:
    log = Log(tmp_path, segment_bytes=1, kept_bytes=30)
    log.append(records("a" * 10))
    slow = log.read({}, 10)
    for text in "bcdefg":
        log.append(records(text * 10))
    assert len(segments(tmp_path)) <= 3
    batch = log.read(slow.positions, 10)
    assert batch.lost
    assert batch.records[-1] == b"g" * 10
    assert not log.read(batch.positions, 10).lost
    assert not log.read({}, 10).lost


def test_a_stream_that_was_made_again_is_read_from_its_beginning(tmp_path: Path) -> None:
    log = Log(tmp_path)
    log.append(records("a", "b", "c"))
    positions = log.read({}, 10).positions
    for path in tmp_path.iterdir():
        path.unlink()
    Log(tmp_path).append(records("x", "y", "z", "v"))
    batch = Log(tmp_path).read(positions, 10)
    assert batch.records == (b"x", b"y", b"z", b"v")
    assert batch.lost


def test_two_writers_do_not_write_into_each_other(tmp_path: Path) -> None:
    first, second = Log(tmp_path), Log(tmp_path)
    for number in range(5):
        first.append(records(f"first {number}"))
        second.append(records(f"second {number}"))
    assert len(everything(Log(tmp_path))) == 10


def test_a_record_that_kinesis_would_refuse_is_refused_here(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="are allowed"):
        Log(tmp_path).append([Record("k", b"x" * (LARGEST + 1))])


def test_a_write_that_fails_half_way_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log(tmp_path)
    log.append(records("a"))
    write = os.write
    sizes: list[int] = []

    def fills(descriptor: int, data: memoryview) -> int:
        sizes.append(len(data))
        if len(sizes) > 1:
            raise OSError(28, "No space left on device")
        return write(descriptor, data[:3])

    with monkeypatch.context() as disk:
        disk.setattr(os, "write", fills)
        with pytest.raises(StateError, match="No space left"):
            log.append(records("b"))
    assert everything(log) == [b"a"]
    log.append(records("c"))
    assert everything(log) == [b"a", b"c"]


WRITER = """
import sys
from pathlib import Path
from mlplat.runtime.streams.log import Log
from mlplat.runtime.streams.port import Record

log = Log(Path(sys.argv[1]), segment_bytes=4096)
number = 0
while True:
    log.append([Record("k", b"%d " % (number + i) + b"x" * 200) for i in range(7)])
    number += 7
    print(number, flush=True)
"""


def test_what_a_killed_writer_said_was_written_is_there(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout:
        said = 0
        while said < 140:
            said = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        with contextlib.suppress(ValueError):
            said = max([said, *map(int, process.stdout.read().split())])
    process.wait()
    numbers = [int(data.split()[0]) for data in everything(Log(tmp_path), 50)]
    assert len(numbers) >= said
    Log(tmp_path).append(records("-1 end"))
    after = [int(data.split()[0]) for data in everything(Log(tmp_path), 50)]
    assert after == [*range(len(after) - 1), -1]
