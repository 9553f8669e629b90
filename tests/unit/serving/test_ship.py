"""Parts of a pod's prediction log reach the bucket whole, at least once, and under one name."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from mlplat.serving.ship import LONGEST_SECONDS, LOOK_SECONDS, Options, parse, send, ship

PREFIX = "team/predictions/shop.price/r1"


class Store:
    """An object store that can be down, or lose its answer after it has taken an object."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.asked = 0
        self.down = self.mute = False

    def put_object(self, *, Bucket: str, Key: str, Body: Any) -> None:  # noqa: N803 - boto3's names
        assert Bucket == "data"
        self.asked += 1
        if self.down:
            raise OSError("nobody answers")
        self.kept[Key] = Body.read()
        if self.mute:
            raise OSError("the answer is lost")


class Told(threading.Event):
    """A signal that comes after so many waits, which take no time; `before` is called at each."""

    def __init__(self, waits: int, before: Any = lambda: None) -> None:
        super().__init__()
        self.left, self.before, self.pauses = waits, before, list[float]()

    def wait(self, timeout: float | None = None) -> bool:
        self.before()
        self.pauses.append(timeout or 0.0)
        self.left -= 1
        return self.left < 0


@pytest.fixture
def options(tmp_path: Path) -> Options:
    return Options(tmp_path, "data", PREFIX, stop_seconds=0.0)


def part(options: Options, name: str, content: bytes = b"rows") -> str:
    (options.folder / name).write_bytes(content)
    return f"{PREFIX}/{name}"


def test_finished_parts_are_moved_and_one_that_is_being_written_stays(options: Options) -> None:
    store, key = Store(), part(options, "20240101T000000-aa-000001.parquet")
    part(options, ".20240101T000010-aa-000002.parquet.part")
    assert send(options, store)
    assert store.kept == {key: b"rows"}
    assert [each.name for each in options.folder.iterdir()] == [".20240101T000010-aa-000002.parquet.part"]


def test_a_part_that_is_sent_twice_is_one_object(options: Options) -> None:
    store, key = Store(), part(options, "20240101T000000-aa-000001.parquet")
    store.mute = True
    assert not send(options, store)
    store.mute = False
    assert send(options, store)
    assert (store.asked, store.kept) == (2, {key: b"rows"})


def test_what_cannot_be_sent_waits_and_the_store_is_asked_ever_less_often(
    options: Options, capsys: pytest.CaptureFixture[str]
) -> None:
    store, key = Store(), part(options, "20240101T000000-aa-000001.parquet")
    part(options, "20240101T000010-aa-000002.parquet")
    store.down = True
    told = Told(8)
    assert ship(options, store, told) == 2
    assert told.pauses[:3] == [LOOK_SECONDS, 2 * LOOK_SECONDS, 4 * LOOK_SECONDS]
    assert told.pauses[-1] == LONGEST_SECONDS
    assert store.asked == 9, "one part a look: the store is down for the others as well"
    assert "waits: s3://data/team/predictions/shop.price/r1 does not take it: nobody answers" in capsys.readouterr().err
    store.down = False
    assert ship(options, store, Told(1)) == 0
    assert key in store.kept


def test_what_the_server_wrote_last_is_sent_before_the_end(options: Options) -> None:
    store = Store()
    told = Told(0, lambda: part(options, "20240101T000000-aa-000001.parquet"))
    assert ship(options, store, told) == 0
    assert len(store.kept) == 1


def test_a_part_that_had_no_room_is_not_waited_for(options: Options, monkeypatch: pytest.MonkeyPatch) -> None:
    store, gone = Store(), part(options, "20240101T000000-aa-000001.parquet")
    kept = part(options, "20240101T000010-aa-000002.parquet")
    real = Path.open

    def crowded(path: Path, *words: Any, **options: Any) -> Any:
        if path.name == gone.rpartition("/")[2]:
            path.unlink()
        return real(path, *words, **options)

    monkeypatch.setattr(Path, "open", crowded)
    assert send(options, store)
    assert list(store.kept) == [kept]


def test_it_reads_what_the_pod_tells_it(tmp_path: Path) -> None:
    words = ["--folder", str(tmp_path), "--bucket", "data", "--prefix", PREFIX, "--stop-seconds", "14"]
    assert parse(words) == Options(tmp_path, "data", PREFIX, 14.0)
