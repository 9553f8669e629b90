"""The prediction log keeps what was asked and answered, within bounds, and never holds a request up."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from mlplat.clock import Clock
from mlplat.serving import parts, predictionlog
from mlplat.serving.columns import Columns
from mlplat.serving.model import Model, load
from mlplat.serving.predictionlog import Limits, PredictionLog

ORIGIN = {"endpoint": "flights/late", "revision": "r1", "model": "flights/late", "version": "3", "digest": "sha256:0"}
DEADLINE = 60.0


class Scene:
    """A log with its counts."""

    def __init__(self, folder: Path, model: Model, limits: Limits, clock: Clock) -> None:
        self.folder, self.model, self.written, self.dropped = folder, model, 0, 0
        self.log = PredictionLog(
            folder, model, origin=ORIGIN, limits=limits, written=self._write, dropped=self._drop, clock=clock
        )

    def _write(self, rows: int) -> None:
        self.written += rows

    def _drop(self, rows: int) -> None:
        self.dropped += rows

    def rows(self) -> tuple[Columns, Any]:
        columns = self.model.schema.from_rows([example.row for example in self.model.contract.examples])
        return columns, self.model.score_columns(columns)

    def parts(self) -> list[Path]:
        return sorted(self.folder.glob("*.parquet"))

    def wait(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + DEADLINE
        while not condition():
            assert time.monotonic() < end, "it did not come to pass"
            threading.Event().wait(0.01)


@pytest.fixture
def scene(pipeline_bundle: Path, tmp_path: Path) -> Callable[..., Scene]:
    model = load(pipeline_bundle)

    def make(*, rows: int = 10**6, seconds: float = 3600, keep: int = 10**9, clock: Clock | None = None) -> Scene:
        return Scene(tmp_path / "log", model, Limits(rows, seconds, keep), clock or Clock())

    return make


def test_a_part_holds_every_row_typed(scene: Callable[..., Scene]) -> None:
    made = scene()
    columns, scores = made.rows()
    made.log.add(b"q-1", columns, scores)
    made.log.add(b"q-2", columns, scores)
    made.log.close(DEADLINE)
    (part,) = made.parts()
    table = pq.read_table(part)
    assert table.num_rows == 2 * len(scores)
    kinds = {field.name: str(field.type) for field in table.schema}
    assert kinds == {
        "time": "timestamp[us, tz=UTC]",
        "request_id": "string",
        "row": "int32",
        **dict.fromkeys(ORIGIN, "string"),
        "input_carrier": "string",
        "input_destination": "string",
        "input_hour": "int64",
        "input_seats": "int64",
        "input_temperature": "double",
        "input_distance": "double",
        "input_holiday": "bool",
        "label": "int64",
        "probability": "double",
    }
    found = table.to_pylist()
    assert [row["request_id"] for row in found] == ["q-1"] * 20 + ["q-2"] * 20
    assert [row["row"] for row in found] == [*range(20), *range(20)]
    for row, example in zip(found, made.model.contract.examples, strict=False):
        assert {name: row[f"input_{name}"] for name in example.row} == example.row
        assert row["probability"] == pytest.approx(example.prediction)
    assert (made.written, made.dropped) == (40, 0)


def test_rows_carry_the_platforms_time(scene: Callable[..., Scene]) -> None:
    made = scene(clock=Clock(datetime(2013, 7, 1, tzinfo=UTC) - datetime.now(UTC)))
    made.log.add(b"q", *made.rows())
    made.log.close(DEADLINE)
    then = pq.read_table(made.parts()[0]).column("time")[0].as_py()
    assert timedelta(0) <= then - datetime(2013, 7, 1, tzinfo=UTC) < timedelta(hours=1)


def test_a_part_is_written_when_it_is_full(scene: Callable[..., Scene]) -> None:
    made = scene(rows=40)
    for _ in range(2):
        made.log.add(b"q", *made.rows())
    made.wait(lambda: made.written == 40)
    made.log.close(DEADLINE)


def test_a_part_is_written_when_it_is_old(scene: Callable[..., Scene]) -> None:
    made = scene(seconds=0.05)
    made.log.add(b"q", *made.rows())
    made.wait(lambda: made.written == 20)
    made.log.close(DEADLINE)


def test_what_does_not_fit_is_dropped_and_counted(scene: Callable[..., Scene], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predictionlog, "QUEUED_ROWS", 50)
    made = scene(rows=25)
    blocked, begun = threading.Event(), threading.Event()
    write = made.log._parts.write

    def slow(chunks: Any) -> Path:
        begun.set()
        assert blocked.wait(DEADLINE)
        return write(chunks)

    monkeypatch.setattr(made.log._parts, "write", slow)
    for _ in range(2):
        made.log.add(b"q", *made.rows())
    assert begun.wait(DEADLINE)
    for _ in range(4):
        made.log.add(b"q", *made.rows())
    assert made.dropped == 40
    blocked.set()
    made.log.close(DEADLINE)
    assert made.written == 80


def test_a_part_that_cannot_be_written_is_counted_and_the_next_is_tried(
    scene: Callable[..., Scene], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = scene(rows=20)
    write = made.log._parts.write

    def full(chunks: Any) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(made.log._parts, "write", full)
    made.log.add(b"q", *made.rows())
    made.wait(lambda: made.dropped == 20)
    monkeypatch.setattr(made.log._parts, "write", write)
    made.log.add(b"q", *made.rows())
    made.log.close(DEADLINE)
    assert made.written == 20
    assert "20 rows lost" in capsys.readouterr().err


def test_the_oldest_parts_go_first(scene: Callable[..., Scene]) -> None:
    made = scene(rows=20)
    seen: list[Path] = []
    for count in range(1, 5):
        made.log.add(b"q", *made.rows())
        made.wait(lambda: made.written == 20 * count)  # noqa: B023 - it is awaited within the turn
        seen += [part for part in made.parts() if part not in seen]
    made.log._parts._keep_bytes = 2 * max(part.stat().st_size for part in seen) + 100
    made.log.add(b"q", *made.rows())
    made.log.close(DEADLINE)
    left = made.parts()
    assert len(left) == 2
    assert seen[-1] in left


def test_no_part_is_half_there(scene: Callable[..., Scene], monkeypatch: pytest.MonkeyPatch) -> None:
    made = scene(rows=20)
    write_table = pq.write_table

    def torn(table: Any, path: Path, **settings: Any) -> None:
        write_table(table, path, **settings)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq, "write_table", torn)
    made.log.add(b"q", *made.rows())
    made.wait(lambda: made.dropped == 20)
    made.log.close(DEADLINE)
    assert list(made.folder.iterdir()) == []


def test_a_closed_log_drops(scene: Callable[..., Scene]) -> None:
    made = scene()
    made.log.close(DEADLINE)
    made.log.add(b"q", *made.rows())
    assert made.dropped == 20


def test_two_servers_may_write_into_one_folder(scene: Callable[..., Scene]) -> None:
    first, second = scene(), scene()
    for made in (first, second):
        made.log.add(b"q", *made.rows())
        made.log.close(DEADLINE)
    assert len(first.parts()) == 2


def test_an_abandoned_part_is_removed_and_a_fresh_one_is_not(scene: Callable[..., Scene], tmp_path: Path) -> None:
    folder = tmp_path / "log"
    folder.mkdir()
    old, fresh = folder / ".a.parquet.part", folder / ".b.parquet.part"
    old.write_bytes(b"")
    fresh.write_bytes(b"")
    long_ago = time.time() - 2 * parts.ABANDONED_SECONDS
    os.utime(old, (long_ago, long_ago))
    scene().log.close()
    assert not old.exists()
    assert fresh.exists()


def test_regression_keeps_values(regression_bundle: Path, tmp_path: Path) -> None:
    made = Scene(tmp_path / "log", load(regression_bundle), Limits(10**6, 3600, 10**9), Clock())
    columns, scores = made.rows()
    made.log.add(b"q", columns, scores)
    made.log.close(DEADLINE)
    assert np.array_equal(pq.read_table(made.parts()[0]).column("value").to_numpy(), scores)


@pytest.mark.parametrize("is_shipped", [True, False])
def test_rows_that_had_no_room_are_lost_only_where_nobody_has_taken_them_yet(
    pipeline_bundle: Path, tmp_path: Path, is_shipped: bool
) -> None:
    model = load(pipeline_bundle)
    made = Scene(tmp_path / "log", model, Limits(1, 3600, 1, is_shipped=is_shipped), Clock())
    columns, scores = made.rows()
    for count in (1, 2, 3):
        made.log.add(b"q", columns, scores)
        made.wait(lambda wanted=count: made.written == wanted * len(scores))  # type: ignore[misc]
    made.log.close(DEADLINE)
    assert len(made.parts()) == 1
    assert made.dropped == (2 * len(scores) if is_shipped else 0)
