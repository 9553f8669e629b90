from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from mlplat.errors import StateError
from mlplat.targets.local.checks import damage, refuse_damaged, tracking_damage


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A database of some pages, where MLflow's lies."""
    path = tmp_path / "tracking" / "mlflow.db"
    (path.parent / "artifacts").mkdir(parents=True)
    with closing(sqlite3.connect(path)) as made, made:
        made.execute("CREATE TABLE runs (id INTEGER PRIMARY KEY, text TEXT)")
        made.executemany("INSERT INTO runs (text) VALUES (?)", [("x" * 500,)] * 200)
    return path


def test_a_good_database_and_none_at_all_are_no_damage(database: Path, tmp_path: Path) -> None:
    assert damage(database) is None
    assert tracking_damage(tmp_path) is None
    assert damage(tmp_path / "none") is None


def test_a_database_in_use_is_no_damage(database: Path) -> None:
    with closing(sqlite3.connect(database)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert damage(database) is None


@pytest.mark.parametrize("kept", [0, 10, 5000, 40_000])
def test_a_cut_or_garbled_database_is_named_and_left_as_it_is(database: Path, tmp_path: Path, kept: int) -> None:
    content = database.read_bytes()[:kept] + (b"\x5a" * 20_000 if kept > 5000 else b"")
    database.write_bytes(content)
    with pytest.raises(StateError) as caught:
        refuse_damaged(tmp_path, {"tracking"})
    assert caught.value.message.startswith(f"{database}: ")
    assert "put back a copy" in str(caught.value.hint)
    assert database.read_bytes() == content
    refuse_damaged(tmp_path, {"gateway"})


def test_a_lost_database_with_artifacts_is_not_begun_anew(database: Path, tmp_path: Path) -> None:
    database.unlink()
    assert tracking_damage(tmp_path) is None
    (tmp_path / "tracking" / "artifacts" / "1").mkdir()
    assert "is not there, while" in str(tracking_damage(tmp_path))
