from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from mlplat.errors import StateError
from mlplat.files import write_atomic, write_if_changed, writing


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "settings.json"
    write_atomic(path, "old")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomic(path, "new")
    assert path.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir() if each.is_file()] == ["settings.json"]


def test_a_private_file_is_never_readable_by_others(tmp_path: Path) -> None:
    write_atomic(tmp_path / "secret", "x", mode=0o600)
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600


def test_the_same_content_is_not_written_again(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file"
    assert write_if_changed(path, "a")
    before = path.stat().st_ino
    assert not write_if_changed(path, "a")
    assert path.stat().st_ino == before
    assert write_if_changed(path, "b")


@pytest.mark.parametrize(
    ("number", "hint"),
    [(errno.ENOSPC, "free some space"), (errno.EROFS, "MLPLAT_STATE_DIR"), (errno.EACCES, "writable")],
)
def test_a_write_that_fails_is_said_with_its_file_and_a_mend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, hint: str
) -> None:
    path = tmp_path / "plan.json"
    path.write_text("old")

    def fail(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with (
        pytest.raises(StateError, match=f"plan.json: cannot be written: {os.strerror(number)}") as caught,
        writing(tmp_path),
    ):
        write_atomic(path, "new")
    assert hint in str(caught.value.hint)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
