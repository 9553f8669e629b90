"""What a commit holds of a project, and when there is none to publish from."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from mlplat.errors import RefusedError
from mlplat.runs.commit import commit


def git(folder: Path, *words: str) -> None:
    subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a project below the root of its repository, at a commit."""
    (tmp_path / "gitconfig").write_text("[user]\n\tname = Ada\n\temail = ada@example.org\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    folder = tmp_path / "repository" / "shop"
    (folder / "flows").mkdir(parents=True)
    (folder / "flows" / "träin.py").write_text("one")
    (folder / ".gitignore").write_text("*.secret\n")
    (folder.parent / "beside.txt").write_text("another project's")
    git(folder.parent, "init", "--quiet")
    git(folder.parent, "add", "--all")
    git(folder.parent, "commit", "--quiet", "--message", "first")
    return folder


def test_it_holds_the_project_alone_and_nothing_that_is_ignored(project: Path) -> None:
    (project / "my.secret").write_text("word")
    with commit(project).unpacked() as folder:
        assert {each.relative_to(folder).as_posix() for each in folder.rglob("*") if each.is_file()} == {
            ".gitignore",
            "flows/träin.py",
        }


def test_changes_beside_the_project_are_no_business_of_it(project: Path) -> None:
    (project.parent / "beside.txt").write_text("changed")
    assert len(commit(project).id) == 40


@pytest.mark.parametrize("file", ["flows/träin.py", "flows/new.py"], ids=["changed", "new"])
def test_a_change_since_is_refused_by_name(project: Path, file: str) -> None:
    (project / file).write_text("two")
    with pytest.raises(RefusedError, match=f"in no commit: .*{file}"):
        commit(project)


def test_a_folder_in_no_repository_says_how_to_begin_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(RefusedError, match="is at no commit") as refused:
        commit(tmp_path)
    assert "git init" in (refused.value.hint or "")


def test_a_repository_without_a_commit_says_so(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    with pytest.raises(RefusedError, match="is at no commit"):
        commit(tmp_path)
