"""Who holds a stack."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from mlplat.engine import locks
from mlplat.engine.backend import Backend


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / ".pulumi" / "locks" / "organization" / "acme" / "local"
    made.mkdir(parents=True)
    return made


def read(tmp_path: Path) -> list[locks.Lock] | None:
    return locks.read(Backend(f"file://{tmp_path}", None), "acme", "local")


def write(folder: Path, **over: object) -> None:
    written = {"pid": 1, "username": "ada", "hostname": socket.gethostname(), "timestamp": "2026-01-01T00:00:00Z"}
    (folder / "a.json").write_text(json.dumps({**written, **over}))


def test_a_lock_says_who_where_and_since_when(tmp_path: Path, folder: Path) -> None:
    assert read(tmp_path) == []
    write(folder, pid=7, hostname="elsewhere")
    found = read(tmp_path)
    assert found
    assert str(found[0]) == "ada@elsewhere (pid 7) since 2026-01-01T00:00:00Z"
    assert found[0].lives() is None


def test_a_process_id_that_is_used_again_is_no_engine(tmp_path: Path, folder: Path) -> None:
    write(folder, pid=os.getpid())
    found = read(tmp_path)
    assert found
    assert found[0].lives() is False


def test_a_lock_that_was_being_written_when_its_engine_was_killed_is_dead(tmp_path: Path, folder: Path) -> None:
    (folder / "a.json").write_text("")
    found = read(tmp_path)
    assert found
    assert found[0].lives() is False


def test_a_backend_elsewhere_cannot_be_looked_at() -> None:
    assert locks.read(Backend("s3://state", None), "acme", "local") is None
