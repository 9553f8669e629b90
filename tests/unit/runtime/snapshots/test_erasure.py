from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from mlplat.errors import UnreachableError
from mlplat.runtime.snapshots import erasure, holders
from mlplat.runtime.snapshots.holders import Holder
from mlplat.runtime.snapshots.place import Place
from mlplat.runtime.snapshots.store import Snapshot, Snapshots, pack
from mlplat.runtime.snapshots.tombstones import Held, Tombstone, Tombstones
from mlplat.serving import parts

Keep = Callable[[pd.DataFrame], Snapshot]
NOW = datetime(2020, 1, 2, tzinfo=UTC)
KEY = b"k" * parts.KEY_BYTES


def erase(
    found: list[Holder], place: Place, value: str = "7", versions: list[dict[str, str]] | None = None
) -> Tombstone:
    return erasure.erase(found, Tombstones(place), "who", value, reason="asked", now=NOW, versions=versions or [])


def part(path: Path, **columns: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table({"row": list(range(len(next(iter(columns.values()))))), **columns})
    parquet.write_table(table.replace_schema_metadata({parts.METADATA: b'{"version": 2}'}), path)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Return prediction logs of this project and of another one, whose name begins so, plain and hashed."""
    hashed = [parts.hash_text("who", text, KEY) for text in ("7", "8")]
    part(tmp_path / "log/tests.late/a/1.parquet", input_who=[7, 8, None])
    part(tmp_path / "log/tests.late/a/2.parquet", input_who=[7])
    part(tmp_path / "log/tests.late/b/3.parquet", hash_who=hashed)
    part(tmp_path / "log/tests-eu.late/a/4.parquet", input_who=[7])
    return tmp_path / "log"


@pytest.fixture
def everywhere(tmp_path: Path, place: Place, log: Path, keep: Keep, rows: pd.DataFrame) -> list[Holder]:
    keep(rows)
    keep(rows.head(100))
    keep(rows[rows["who"] != 7])
    place.write("quarantine/t/1.parquet", pack(rows.head(30)))
    fetched = tmp_path / ".mlplat/fetched/source/1.parquet"
    fetched.parent.mkdir(parents=True)
    rows.to_parquet(fetched)
    return holders.of(tmp_path, "tests", log=str(log), log_key=KEY, features=None)


def test_nothing_holds_an_erased_entity_and_all_other_rows_are_as_they_were(
    everywhere: list[Holder], place: Place, store: Snapshots, rows: pd.DataFrame, log: Path
) -> None:
    made = erase(everywhere, place)
    assert {held.holder for held in made.held} == {"snapshot", "quarantine", "prediction log", "fetched"}
    assert erasure.plan(everywhere, "who", "7") == ([], [])
    left = [store.rows(each) for each in store.all() if store.has_rows(each)]
    for before, after in zip([rows, rows.head(100)], sorted(left, key=len, reverse=True), strict=True):
        wanted = before[before["who"] != 7].reset_index(drop=True)
        pd.testing.assert_frame_equal(after, wanted, check_dtype=False)
    assert parquet.read_table(log / "tests.late/a/1.parquet").to_pylist()[0] == {"row": 1, "input_who": 8.0}
    assert parquet.read_table(log / "tests.late/b/3.parquet")["row"].to_pylist() == [1]
    assert parquet.read_table(log / "tests-eu.late/a/4.parquet")["input_who"].to_pylist() == [7], "of another project"
    assert not (log / "tests.late/a/2.parquet").exists(), "a part that nothing is left of"
    metadata = parquet.read_schema(log / "tests.late/a/1.parquet").metadata
    assert parts.METADATA in metadata, "the log is still read by its version"


def test_hashes_before_and_after_are_told_by_tombstone_and_snapshots(
    everywhere: list[Holder], place: Place, store: Snapshots
) -> None:
    before = [each.hash for each in store.all()]
    versions = [{"version": str(number), "data": data} for number, data in enumerate(before)]
    made = erase(everywhere, place, versions=versions)
    told = {held.before: held.after for held in made.held if held.holder == "snapshot"}
    assert told == {each.hash: each.replaced_by for each in store.all() if each.replaced_by}
    assert {each["data"] for each in made.models} == told.keys()
    assert made.ended == NOW.isoformat(timespec="seconds")


def test_whoever_learned_before_an_earlier_erasure_saw_the_rows_of_a_later_one(
    everywhere: list[Holder], place: Place, store: Snapshots, keep: Keep, rows: pd.DataFrame
) -> None:
    first = keep(rows)
    versions = [{"version": "1", "data": first.hash}]
    erase(everywhere, place, "7", versions)
    assert erase(everywhere, place, "3", versions).models == versions


def test_a_tombstone_says_nothing_of_whom_it_is_about(
    everywhere: list[Holder], place: Place, store: Snapshots, rows: pd.DataFrame, keep: Keep
) -> None:
    keep(rows.assign(who=rows["who"].map(lambda number: f"person-{number}")))
    erase(everywhere, place, "person-7")
    written = b"".join(place.read(name) for name in place.names("erasures"))
    assert b"person-7" not in written
    assert b'"reason": "asked"' in written
    assert not [each for each in store.all() if "person-7" in json.dumps(vars(each))]


def test_erased_again_changes_nothing(everywhere: list[Holder], place: Place) -> None:
    first = erase(everywhere, place)
    files = {name: place.read(name) for name in place.names("")}
    assert erase(everywhere, place) == first
    assert {name: place.read(name) for name in place.names("")} == files


class Mortal(Place):
    """A place whose process is killed at its n-th change."""

    def __init__(self, address: str, left: int) -> None:
        super().__init__(address)
        self.left = left

    def _live(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt

    def write(self, name: str, content: bytes) -> None:
        self._live()
        super().write(name, content)

    def remove(self, name: str) -> None:
        self._live()
        super().remove(name)


def test_an_erasure_that_is_killed_anywhere_is_finished_by_the_next(
    place: Place, keep: Keep, rows: pd.DataFrame, tmp_path: Path
) -> None:
    """Kill it at every single change in turn."""
    keep(rows)
    place.write("quarantine/t/1.parquet", pack(rows.head(30)))
    outcomes = []
    for left in itertools.count():
        folder = tmp_path / f"killed-{left}"
        shutil.copytree(tmp_path / ".mlplat/data", folder)
        mortal, survived = Mortal(folder.as_uri(), left), True
        try:
            erase([holders.InSnapshots(Snapshots(mortal)), holders.InQuarantine(mortal)], mortal)
        except KeyboardInterrupt:
            survived = False
        after = Place(folder.as_uri())
        found: list[Holder] = [holders.InSnapshots(Snapshots(after)), holders.InQuarantine(after)]
        made = erase(found, after)
        assert erasure.plan(found, "who", "7") == ([], [])
        outcomes.append(
            sorted((held.holder, held.rows, held.before, held.after or "", held.done) for held in made.held)
        )
        if survived:
            break
    assert left >= 10
    assert all(outcome == outcomes[-1] for outcome in outcomes)


class Away:
    """A holder that does not answer until it is told to, and may be gone again between two questions."""

    name = "online store"

    def __init__(self, answers: int) -> None:
        self.left = answers
        self.rows = 3

    def _answer(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise UnreachableError("nobody is there")

    def find(self, column: str, value: str) -> Iterator[Held]:
        self._answer()
        if self.rows:
            yield Held(self.name, "visits", self.rows, "sha256:before")

    def erase(self, held: Held, column: str, value: str) -> str:
        self._answer()
        self.rows = 0
        return "sha256:after"


@pytest.mark.parametrize("answers", [0, 1])
def test_a_holder_that_is_away_keeps_no_other_from_being_erased_and_is_done_when_it_is_back(
    everywhere: list[Holder], place: Place, answers: int
) -> None:
    away = Away(answers)
    assert erasure.plan([Away(0)], "who", "7") == ([], ["the online store: nobody is there"])
    made = erase([away, *everywhere], place)
    assert made.unreached == ["the online store: nobody is there"]
    assert erasure.plan(everywhere, "who", "7") == ([], [])
    assert [held.done for held in made.held if held.holder == away.name] == [False] * answers
    away.left = 9
    made = erase([away, *everywhere], place)
    assert made.unreached == []
    (held,) = [held for held in made.held if held.holder == away.name]
    assert (held.rows, held.before, held.after, held.done) == (3, "sha256:before", "sha256:after", True)


def test_a_source_that_gives_the_rows_again_gives_them_in_vain(place: Place, rows: pd.DataFrame) -> None:
    stones = Tombstones(place)
    pd.testing.assert_frame_equal(stones.without(rows), rows)
    erase([], place)
    assert sorted(stones.without(rows)["who"].unique()) == [0, 1, 2, 3, 4, 5, 6, 8, 9]
    assert 7 not in stones.without(rows.astype({"who": float}))["who"].tolist(), "7.0 is 7"
    assert "7" not in stones.without(rows.astype({"who": str}))["who"].tolist()


def test_a_log_in_a_bucket_is_rid_of_an_entity_as_one_here_is(
    tmp_path: Path, place: Place, log: Path, in_bucket: str
) -> None:
    bucket = Place(f"{in_bucket}/predictions")
    for path in sorted(log.rglob("*.parquet")):
        bucket.write(str(path.relative_to(log)), path.read_bytes())
    found = holders.of(tmp_path, "tests", log=bucket.address, log_key=KEY, features=None)
    assert {held.item: held.rows for held in erasure.plan(found, "who", "7")[0]} == {
        "tests.late/a/1.parquet": 1, "tests.late/a/2.parquet": 1, "tests.late/b/3.parquet": 1,
    }  # fmt: skip
    made = erase(found, Place.of(tmp_path))
    assert made.ended is not None
    assert erasure.plan(found, "who", "7") == ([], [])
    left = ["tests-eu.late/a/4.parquet", "tests.late/a/1.parquet", "tests.late/b/3.parquet"]
    assert bucket.names("") == left, "another project keeps its own"
    assert parts.read(f"{in_bucket}/predictions/tests.late").num_rows == 3
