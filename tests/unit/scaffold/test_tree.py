from __future__ import annotations

import os
from pathlib import Path

import pytest

from mlplat.errors import MlplatError, UsageError
from mlplat.scaffold.tree import File, check_path, digest, write

SMALL = {"a.txt": File(b"a"), "sub/run.sh": File(b"#!/bin/sh\n", executable=True)}


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/etc/passwd",
        "../out",
        "a/../../out",
        "a/..",
        "./a",
        "a//b",
        "a/",
        "a\0b",
        "a\nb",
        "C:/windows",
        "c:out",
        "a\\..\\b",
        ".git/hooks/pre-commit",
        "sub/.GIT/config",
        ".Git",
        ".git./config",
        ".git /config",
        "git~1/config",
    ],
)
def test_a_path_that_leaves_the_project_or_enters_git_is_refused(path: str) -> None:
    with pytest.raises(MlplatError, match="the template holds the path"):
        check_path(path)


@pytest.mark.parametrize("path", ["a", ".gitignore", ".github/workflows/ci.yaml", "a b/ü.txt", "src/x..y/__init__.py"])
def test_an_ordinary_path_is_taken(path: str) -> None:
    assert check_path(path) == path


@pytest.mark.parametrize("bad", ["../x", ".git/config"])
def test_nothing_is_written_when_one_path_is_refused(tmp_path: Path, bad: str) -> None:
    place = tmp_path / "place"
    place.mkdir()
    with pytest.raises(MlplatError):
        write({**SMALL, bad: File(b"")}, place / "new")
    assert list(place.iterdir()) == []


def test_files_keep_bytes_and_executable_bits(tmp_path: Path) -> None:
    write(SMALL, tmp_path / "new")
    assert (tmp_path / "new/a.txt").read_bytes() == b"a"
    assert os.access(tmp_path / "new/sub/run.sh", os.X_OK)
    assert not os.access(tmp_path / "new/a.txt", os.X_OK)


def test_an_empty_folder_is_filled_and_a_filled_one_is_not(tmp_path: Path) -> None:
    target = tmp_path / "new"
    target.mkdir()
    write(SMALL, target)
    with pytest.raises(UsageError, match="is not empty"):
        write({"b.txt": File(b"b")}, target)
    assert not (target / "b.txt").exists()


def test_an_empty_folder_stays_the_one_that_a_shell_stands_in(tmp_path: Path) -> None:
    target = tmp_path / "place/new"
    target.mkdir(mode=0o750, parents=True)
    before = target.stat()
    write(SMALL, target)
    assert (target.stat().st_ino, target.stat().st_mode) == (before.st_ino, before.st_mode)
    assert sorted(entry.name for entry in target.iterdir()) == ["a.txt", "sub"]
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("fault", [OSError("no"), KeyboardInterrupt()])
def test_a_failure_while_an_empty_folder_is_filled_leaves_it_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: BaseException
) -> None:
    target = tmp_path / "new"
    target.mkdir()
    rename = Path.rename

    def fail_at_the_second(self: Path, to: Path) -> Path:
        if self.name == "sub" and to.parent == target:
            assert (target / "a.txt").exists()
            raise fault
        return rename(self, to)

    monkeypatch.setattr(Path, "rename", fail_at_the_second)
    with pytest.raises((MlplatError, KeyboardInterrupt)):
        write(SMALL, target)
    assert list(target.iterdir()) == []


def test_a_file_in_the_way_is_left(tmp_path: Path) -> None:
    (tmp_path / "new").write_text("mine")
    with pytest.raises(UsageError, match="is a file"):
        write(SMALL, tmp_path / "new")
    assert (tmp_path / "new").read_text() == "mine"


@pytest.mark.parametrize("leads_to", ["elsewhere", "nowhere"])
def test_a_link_is_never_written_through(tmp_path: Path, leads_to: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "new").symlink_to(tmp_path / leads_to)
    with pytest.raises(UsageError, match="is a link"):
        write(SMALL, tmp_path / "new")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_failure_before_the_end_leaves_nothing_not_even_the_folders_above(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()

    def fail(folder: Path) -> None:
        assert (folder / "a.txt").exists()
        raise MlplatError("no")

    with pytest.raises(MlplatError, match="no"):
        write(SMALL, place / "one/two/new", finish=fail)
    assert list(place.iterdir()) == []


def test_a_failure_in_the_middle_of_the_files_leaves_nothing(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    with pytest.raises(MlplatError, match="cannot write"):
        write({"a": File(b""), "a/b": File(b"")}, place / "new")
    assert list(place.iterdir()) == []


def test_an_interrupt_leaves_nothing(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()

    def interrupt(_: Path) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(SMALL, place / "new", finish=interrupt)
    assert list(place.iterdir()) == []


def test_the_digest_sees_names_bytes_and_bits_and_no_order() -> None:
    assert digest(SMALL) == digest(dict(reversed(SMALL.items())))
    others = [{"b": File(b"a")}, {"a": File(b"b")}, {"a": File(b"a", executable=True)}]
    assert len({digest(tree) for tree in [{"a": File(b"a")}, *others]}) == 4
