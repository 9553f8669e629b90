from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlplat.errors import UnreachableError, UsageError
from mlplat.runtime.sources import reading, sql
from mlplat.spec.sources import SqlSpec

ALL = SqlSpec(url_env="ROWS", query="SELECT * FROM rows;")
LATER = SqlSpec(url_env="ROWS", query="SELECT * FROM rows", watermark="at")


class Table:
    """A table of a database file, to which rows are added."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.run("CREATE TABLE rows (at INTEGER, a TEXT)")

    def run(self, statement: str, rows: Any = ()) -> None:
        with closing(sqlite3.connect(self.path)) as database, database:
            database.executemany(statement, rows) if rows else database.execute(statement)

    def add(self, *rows: tuple[int | None, str]) -> None:
        self.run("INSERT INTO rows VALUES (?, ?)", rows)


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Table:
    monkeypatch.setenv("ROWS", f"sqlite:///{tmp_path / 'rows.db'}")
    return Table(tmp_path / "rows.db")


def held(spec: SqlSpec, folder: Path) -> list[tuple[int, str]]:
    frame = reading.read(sql.fetch(spec, folder))
    return sorted(zip(frame["at"].tolist(), frame["a"].tolist(), strict=True))


@settings(max_examples=8)
@given(arrivals=st.lists(st.lists(st.tuples(st.integers(0, 3), st.sampled_from("xyz")), max_size=4), max_size=5))
def test_slices_hold_every_row_once_however_rows_come(
    tmp_path_factory: pytest.TempPathFactory, arrivals: list[list[tuple[int, str]]]
) -> None:
    folder, wanted, reached = tmp_path_factory.mktemp("sql"), [(0, "first")], 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROWS", f"sqlite:///{folder / 'rows.db'}")
        made = Table(folder / "rows.db")
        made.add(*wanted)
        for arrived in arrivals:
            # A watermark never falls: each row is at the last value, or above it.
            steps = [(reached + step, text) for step, text in arrived]
            if steps:
                made.add(*steps)
            wanted += steps
            reached = max([reached, *(at for at, _ in steps)])
            assert held(LATER, folder / "fetched") == sorted(wanted)
        assert held(LATER, folder / "fetched") == sorted(wanted)


def test_the_same_table_twice_changes_nothing_and_asks_for_its_end_only(table: Table, tmp_path: Path) -> None:
    table.add((1, "x"), (2, "y"), (3, "z"))
    first = sql.fetch(LATER, tmp_path / "fetched")
    assert sql.fetch(LATER, tmp_path / "fetched") == first
    table.run("DELETE FROM rows WHERE at = 1")
    table.add((4, "w"))
    # Had the beginning been asked for again, the row that is gone would be missing.
    assert held(LATER, tmp_path / "fetched") == [(1, "x"), (2, "y"), (3, "z"), (4, "w")]


def test_without_a_watermark_all_rows_are_asked_for(table: Table, tmp_path: Path) -> None:
    table.add((1, "x"), (2, "y"))
    assert held(ALL, tmp_path / "fetched") == [(1, "x"), (2, "y")]
    table.run("DELETE FROM rows WHERE at = 1")
    assert held(ALL, tmp_path / "fetched") == [(2, "y")]


def test_what_an_interrupted_run_left_is_no_part_of_the_table(
    table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table.add((1, "x"))
    sql.fetch(LATER, tmp_path / "fetched")
    table.add((2, "y"))
    with monkeypatch.context() as patch:
        patch.setattr(sql, "write_atomic", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            sql.fetch(LATER, tmp_path / "fetched")
    assert held(LATER, tmp_path / "fetched") == [(1, "x"), (2, "y")]
    assert len(list((tmp_path / "fetched").rglob("*.parquet"))) == 2


def test_rows_come_a_batch_at_a_time(table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql, "BATCH", 2)
    table.add(*((at, "x") for at in range(5)))
    units = sql.fetch(ALL, tmp_path / "fetched")
    assert sorted(len(pd.read_parquet(unit.path)) for unit in units) == [1, 2, 2]


def test_a_duckdb_file_is_read_without_a_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with duckdb.connect(str(tmp_path / "rows.duckdb")) as database:
        database.execute("CREATE TABLE rows AS SELECT range AS at, 'x' AS a FROM range(3)")
    monkeypatch.setenv("ROWS", f"duckdb:///{tmp_path / 'rows.duckdb'}")
    assert held(LATER, tmp_path / "fetched") == [(0, "x"), (1, "x"), (2, "x")]
    assert held(LATER, tmp_path / "fetched") == [(0, "x"), (1, "x"), (2, "x")]
    odd = LATER.model_copy(update={"query": "SELECT nothing"})
    with pytest.raises(UsageError, match="nothing"):
        sql.fetch(odd, tmp_path / "fetched")


@pytest.mark.parametrize(
    ("address", "query", "error", "why"),
    [
        (None, "SELECT 1", UsageError, "the variable `ROWS`, which"),
        ("no address with hunter2", "SELECT 1", UsageError, "no address of a database"),
        ("odd://me:hunter2@host/x", "SELECT 1", UsageError, "of a kind that is not installed"),
        ("sqlite:////nowhere/at/all.db", "SELECT 1", UnreachableError, "unable to open"),
        ("sqlite://", "SELECT absent", UsageError, "no such column"),
        ("sqlite://", "SELECT 1 AS at WHERE 1 = 0", UsageError, "has no rows"),
        ("sqlite://", "SELECT 1 AS other", UsageError, "has no column `at` for its watermark"),
        ("sqlite://", "SELECT NULL AS at", UsageError, "the watermark `at` is missing in 1 rows"),
    ],
)
def test_what_cannot_be_asked_is_said_without_the_address(
    address: str | None, query: str, error: type[Exception], why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if address:
        monkeypatch.setenv("ROWS", address)
    with pytest.raises(error, match=why) as caught:
        sql.fetch(LATER.model_copy(update={"query": query}), tmp_path)
    assert "hunter2" not in str(caught.value)
