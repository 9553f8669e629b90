"""Parts of the prediction log: privacy, versions, retention, and what is seen of one that is not whole."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from commands import until
from mlplat.clock import Clock
from mlplat.errors import MlplatError, StateError
from mlplat.serving.columns import Columns
from mlplat.serving.model import Model, load
from mlplat.serving.parts import HASH_DIGITS, METADATA, VERSION, Parts, Privacy, read, read_key
from mlplat.serving.predictionlog import Limits, PredictionLog

KEY = b"k" * 32
DEADLINE = 60.0
"""For the disk, which others use as well."""


@pytest.fixture
def model(pipeline_bundle: Path) -> Model:
    return load(pipeline_bundle)


def rows(model: Model, **changes: Any) -> tuple[Columns, Any]:
    columns = model.schema.from_rows([{**example.row, **changes} for example in model.contract.examples])
    return columns, model.score_columns(columns)


def write(folder: Path, model: Model, privacy: Privacy | None = None, **changes: Any) -> None:
    limits = Limits(10**6, 3600, 10**9)
    log = PredictionLog(
        folder,
        model,
        origin={"revision": "r1"},
        limits=limits,
        written=done,
        dropped=lost,
        clock=Clock(),
        privacy=privacy,
    )
    log.add(b"q", *rows(model, **changes))
    log.close(DEADLINE)


def done(_: int) -> None:
    """Nothing is counted here."""


def lost(count: int) -> None:
    if count:
        pytest.fail(f"{count} rows were lost")


def parts(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.parquet"))


def test_an_excluded_column_is_nowhere_in_the_file(model: Model, tmp_path: Path) -> None:
    write(tmp_path, model, Privacy(exclude=frozenset({"carrier"})), carrier="SECRET-CARRIER")
    write(tmp_path, model, carrier="SECRET-CARRIER")
    hidden, shown = sorted(parts(tmp_path), key=lambda part: "input_carrier" in pq.read_schema(part).names)
    assert b"SECRET-CARRIER" not in hidden.read_bytes()
    assert "input_carrier" not in pq.read_schema(hidden).names
    assert b"SECRET-CARRIER" in shown.read_bytes()


def test_a_hashed_column_shows_equality_and_nothing_else(model: Model, tmp_path: Path) -> None:
    privacy = Privacy(hash=frozenset({"carrier", "seats", "temperature", "holiday"}), key=KEY)
    write(tmp_path, model, privacy)
    table = read(tmp_path)
    examples = [example.row for example in model.contract.examples]
    for name in privacy.hash:
        assert f"input_{name}" not in table.column_names
        hashes = table.column(f"hash_{name}").to_pylist()
        values = [row[name] for row in examples]
        assert [found is None for found in hashes] == [value is None for value in values]
        pairs = {(value, found) for value, found in zip(values, hashes, strict=True) if value is not None}
        assert len(pairs) == len({value for value, _ in pairs}) == len({found for _, found in pairs})
        assert all(len(found) == HASH_DIGITS for _, found in pairs)


def test_a_hash_needs_the_key_and_is_the_columns_own(model: Model, tmp_path: Path) -> None:
    found = []
    for place, key in enumerate((KEY, KEY, b"x" * 32)):
        folder = tmp_path / str(place)
        write(
            folder,
            model,
            Privacy(hash=frozenset({"carrier", "destination"}), key=key),
            carrier="BOS",
            destination="BOS",
        )
        table = read(folder)
        found.append((table.column("hash_carrier")[0].as_py(), table.column("hash_destination")[0].as_py()))
    assert found[0] == found[1]
    assert found[0][0] != found[0][1]
    assert not set(found[0]) & set(found[2])


def test_a_whole_number_has_one_hash_whether_its_column_may_be_null(model: Model) -> None:
    from mlplat.bundle import Column
    from mlplat.serving.parts import _hashed

    plain = _hashed(Column(name="n", type="long"), np.array([5, 7]), KEY)
    maybe = _hashed(Column(name="n", type="long", nullable=True), np.array([5.0, np.nan]), KEY)
    assert plain[0] == maybe[0]
    assert maybe[1] is None


def test_a_column_that_the_model_does_not_have_is_named(model: Model, tmp_path: Path) -> None:
    with pytest.raises(MlplatError, match="no column `carier`") as caught:
        write(tmp_path, model, Privacy(exclude=frozenset({"carier"})))
    assert "carrier" in str(caught.value.hint)


@pytest.mark.parametrize("content", [None, b"", b"short"])
def test_a_key_that_is_none_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(MlplatError, match="key"):
        read_key(path)


def test_a_part_tells_its_version_and_older_ones_are_read_beside_it(model: Model, tmp_path: Path) -> None:
    write(tmp_path, model)
    (new,) = parts(tmp_path)
    assert json.loads(pq.read_schema(new).metadata[METADATA])["version"] == VERSION
    old = pq.read_table(new).replace_schema_metadata(None)
    pq.write_table(
        old.append_column("gone", pa.array([1] * old.num_rows)), tmp_path / "20130101T000000-00-000001.parquet"
    )
    table = read(tmp_path)
    assert table.num_rows == 2 * old.num_rows
    assert table.column("gone").null_count == old.num_rows
    assert sorted(read(tmp_path, ["probability", "gone"]).column_names) == ["gone", "probability"]


def test_a_part_of_a_newer_version_is_refused_by_name(model: Model, tmp_path: Path) -> None:
    write(tmp_path, model)
    (part,) = parts(tmp_path)
    newer = pq.read_table(part).replace_schema_metadata({METADATA: json.dumps({"version": VERSION + 1})})
    pq.write_table(newer, part)
    with pytest.raises(StateError, match=part.name):
        read(tmp_path)


def test_a_damaged_part_is_refused_by_name_and_never_silently_empty(model: Model, tmp_path: Path) -> None:
    write(tmp_path, model)
    (part,) = parts(tmp_path)
    part.write_bytes(part.read_bytes()[:-20])
    with pytest.raises(StateError, match=part.name) as caught:
        read(tmp_path)
    assert caught.value.hint


def test_no_parts_are_an_empty_table(tmp_path: Path) -> None:
    assert read(tmp_path).num_rows == 0


def aged(model: Model, folder: Path, ages: list[float]) -> list[Path]:
    for age in ages:
        before = set(parts(folder))
        write(folder, model)
        (new,) = set(parts(folder)) - before
        os.utime(new, (time.time() - age, time.time() - age))
    return sorted(parts(folder), key=lambda part: part.stat().st_mtime)


def test_parts_that_are_too_old_are_removed_at_the_start(model: Model, tmp_path: Path) -> None:
    oldest, *kept = aged(model, tmp_path, [100_000, 50_000, 10])
    Parts(tmp_path, model, {}, 10**9, 86_400, Privacy())
    assert sorted(kept) == parts(tmp_path)
    assert oldest not in kept


def test_parts_that_become_too_old_are_removed_while_nothing_is_asked(model: Model, tmp_path: Path) -> None:
    folder, limits = tmp_path / "log", Limits(10**6, 3600, 10**9, 0.2)
    log = PredictionLog(folder, model, origin={}, limits=limits, written=done, dropped=lost, clock=Clock())
    # Made elsewhere: where the log looks, it might go before it was seen.
    (part,) = aged(model, tmp_path / "made", [0])
    part.rename(folder / part.name)
    until(lambda: not parts(folder))
    log.close()


def test_the_newest_part_stays_however_little_is_kept(model: Model, tmp_path: Path) -> None:
    *_, newest = aged(model, tmp_path, [30, 20, 10])
    Parts(tmp_path, model, {}, 1, None, Privacy())
    assert parts(tmp_path) == [newest]


@pytest.mark.parametrize("bundle", ["pipeline_bundle", "regression_bundle", "array_bundle", "onnx_bundle"])
def test_what_is_read_is_what_was_asked_and_answered(
    bundle: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    model = load(request.getfixturevalue(bundle))
    write(tmp_path, model)
    table = read(tmp_path)
    given = [example.row for example in model.contract.examples]
    assert [{name: row[f"input_{name}"] for name in given[0]} for row in table.to_pylist()] == given
    _, scores = rows(model)
    name = "value" if model.contract.task == "regression" else "probability"
    assert np.array_equal(table.column(name).to_numpy(), scores)
    if name == "probability":
        assert table.column("label").to_pylist() == model.labels(scores)


def test_a_request_that_is_larger_than_a_chunk_is_whole(model: Model, tmp_path: Path) -> None:
    limits = Limits(10**6, 3600, 10**9)
    log = PredictionLog(tmp_path, model, origin={}, limits=limits, written=done, dropped=lost, clock=Clock())
    few = [example.row for example in model.contract.examples]
    columns = model.schema.from_rows(few * 250)
    log.add(b"a", *rows(model))
    log.add(b"b", columns, model.score_columns(columns))
    log.close(DEADLINE)
    table = read(tmp_path)
    assert table.column("row").to_pylist() == [*range(20), *range(5000)]
    assert table.column("input_hour").to_pylist()[20:] == [row["hour"] for row in few] * 250


FULL = """
import resource, signal, sys
from pathlib import Path
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from mlplat.clock import Clock
from mlplat.serving.model import load
from mlplat.serving.predictionlog import Limits, PredictionLog
model = load(Path(sys.argv[1]))
columns = model.schema.from_rows([e.row for e in model.contract.examples] * 100)
scores = model.score_columns(columns)
counts = {"written": 0, "dropped": 0}
def count(name):
    def add(rows):
        counts[name] += rows
    return add
log = PredictionLog(Path(sys.argv[2]), model, origin={}, limits=Limits(2000, 3600, 10**9), written=count("written"),
                    dropped=count("dropped"), clock=Clock())
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
log.add(b"full", columns, scores)
while not counts["dropped"]:
    pass
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
log.add(b"roomy", columns, scores)
log.close(60)
print(counts)
"""


def test_a_disk_that_is_full_costs_rows_and_leaves_nothing_half_written(pipeline_bundle: Path, tmp_path: Path) -> None:
    """A limit on the size of files stands for the full disk: a write fails in the middle of a part."""
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(pipeline_bundle), str(tmp_path)],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout.strip() == "{'written': 2000, 'dropped': 2000}", done.stderr
    assert "2000 rows lost" in done.stderr
    assert [path.suffix for path in tmp_path.iterdir()] == [".parquet"]
    assert set(read(tmp_path).column("request_id").to_pylist()) == {"roomy"}


KILLED = """
import sys
from pathlib import Path
from mlplat.clock import Clock
from mlplat.serving.model import load
from mlplat.serving.predictionlog import Limits, PredictionLog
model = load(Path(sys.argv[1]))
columns = model.schema.from_rows([e.row for e in model.contract.examples] * 25)
scores = model.score_columns(columns)
log = PredictionLog(Path(sys.argv[2]), model, origin={}, limits=Limits(500, 3600, 10**9), written=lambda n: None,
                    dropped=lambda n: None, clock=Clock())
print("begun", flush=True)
while True:
    log.add(b"q", columns, scores)
"""


def test_a_killed_server_leaves_whole_parts_only(pipeline_bundle: Path, tmp_path: Path) -> None:
    for _ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(pipeline_bundle), str(tmp_path)], stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        wanted = len(parts(tmp_path)) + 3
        until(lambda: len(parts(tmp_path)) >= wanted)  # noqa: B023 - it is awaited within the turn
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    table = read(tmp_path)
    assert table.num_rows > 0
    assert table.num_rows % 500 == 0
