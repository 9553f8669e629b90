from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from mlplat.errors import MlplatError, UsageError
from mlplat.scaffold import project, repository, tree
from mlplat.scaffold.template import Template

Make = Callable[..., Template]

OWN_DATA = """
version: "1.0.0"
description: d
reserved: [sklearn]
questions:
  - {name: data, type: path, message: Data, choices: [sample], default: sample}
  - {name: task, message: Task, default: binary}
  - {name: target, message: Target, default: y}
  - {name: time, message: Time, default: ""}
"""
FILES = {
    "requirements.txt": "pandas==3.1.1 \\\n  --hash=sha256:0\nruamel-yaml==1\n",
    "data.txt.jinja": "{{ data }}\n",
    "x.sh": "",
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "place"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def git(folder: Path, *arguments: str) -> str:
    return subprocess.check_output(["git", *arguments], cwd=folder, text=True).strip()


def create(template: Template, into: Path, name: str = "churn", **given: str) -> project.Project:
    return project.create(name, template, given, into=into, ask=None)


@pytest.mark.parametrize("name", ["churn", "late-flights", "a1", "x" * 63])
def test_a_name_becomes_an_importable_package(name: str) -> None:
    assert project.package_name(name).isidentifier()


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("Churn", "cannot be the name"),
        ("my_model", "cannot be the name"),
        ("-x", "cannot be the name"),
        ("x" * 64, "cannot be the name"),
        ("../x", "cannot be the name"),
        ("", "cannot be the name"),
        ("3d", "starts with a digit"),
        ("class", "Python keyword"),
        ("json", "standard library"),
        ("mlplat", "taken in every project"),
        ("tests", "taken in every project"),
    ],
)
def test_a_name_that_cannot_be_a_package_is_refused(name: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        project.package_name(name)


@pytest.mark.parametrize("name", ["pandas", "ruamel-yaml", "sklearn"])
def test_a_name_that_hides_a_requirement_is_refused(make: Make, place: Path, name: str) -> None:
    with pytest.raises(UsageError, match="it imports a package"):
        create(make(FILES, OWN_DATA), place, name)
    assert list(place.iterdir()) == []


def test_a_project_has_one_commit_that_holds_everything(make: Make, place: Path) -> None:
    made = create(make({**FILES, ".gitignore": "*.sh\n"}, OWN_DATA), place)
    assert git(made.folder, "rev-list", "--count", "HEAD") == "1"
    assert git(made.folder, "status", "--porcelain", "--ignored") == ""
    assert set(git(made.folder, "ls-files").splitlines()) == {
        ".gitignore",
        ".mlplat/answers.json",
        "data.txt",
        "requirements.txt",
        "x.sh",
    }
    assert git(made.folder, "branch", "--show-current") == "main"


def test_the_first_commit_is_the_person_s_own(make: Make, place: Path) -> None:
    made = create(make(FILES, OWN_DATA), place)
    assert git(made.folder, "log", "--format=%an <%ae> %cn") == "Ada <ada@example.org> Ada"
    assert made.notes == ()


def test_without_an_identity_the_commit_is_mlplat_s_and_that_is_said(
    make: Make, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    made = create(make(FILES, OWN_DATA), place)
    assert git(made.folder, "log", "--format=%an <%ae> %cn") == "mlplat <mlplat@localhost> mlplat"
    assert made.notes == ("git knows no identity of yours, so the first commit is by mlplat <mlplat@localhost>",)


def test_neither_hooks_nor_signing_of_the_person_s_settings_take_part(
    make: Make, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    (hooks / "pre-commit").write_text("#!/bin/sh\nexit 1\n")
    (hooks / "pre-commit").chmod(0o755)
    settings = Path(os.environ["GIT_CONFIG_GLOBAL"])
    settings.write_text(settings.read_text() + f"[core]\nhooksPath = {hooks}\n[commit]\ngpgsign = true\n")
    assert git(create(make(FILES, OWN_DATA), place).folder, "rev-list", "--count", "HEAD") == "1"


def test_a_repository_named_by_the_environment_is_not_touched(
    make: Make, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "--quiet")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    made = create(make(FILES, OWN_DATA), place)
    monkeypatch.delenv("GIT_DIR")
    assert git(made.folder, "rev-list", "--count", "HEAD") == "1"
    assert git(other, "rev-list", "--all", "--count") == "0"


def test_inside_a_repository_there_is_no_second_one(make: Make, place: Path) -> None:
    git(place, "init", "--quiet")
    made = create(make(FILES, OWN_DATA), place / "deep/er")
    assert not (made.folder / ".git").exists()
    assert made.notes == (f"no repository of its own: it lies in the one of {place}",)


def test_inside_a_repository_that_ignores_it_a_project_has_its_own(make: Make, place: Path) -> None:
    git(place, "init", "--quiet")
    (place / ".gitignore").write_text("/deep/\n")
    made = create(make(FILES, OWN_DATA), place / "deep/er")
    assert (made.folder / ".git").is_dir()
    assert not [note for note in made.notes if "repository" in note]


def test_without_git_the_project_is_made_and_that_is_said(
    make: Make, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    made = create(make(FILES, OWN_DATA), place)
    assert (made.folder / "data.txt").exists()
    assert "git is not installed" in made.notes[0]


def test_when_git_fails_nothing_is_left(make: Make, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> bool:
        raise MlplatError("`git commit` failed: no")

    monkeypatch.setattr(repository, "begin", fail)
    with pytest.raises(MlplatError, match="git commit"):
        create(make(FILES, OWN_DATA), place / "above")
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("given", [{"target": "nothing"}, {"data": "absent.csv"}, {"nonsense": "1"}])
def test_a_refused_answer_leaves_nothing(make: Make, place: Path, given: dict[str, str]) -> None:
    (place / "mine.csv").write_text("y\n1\n0\n")
    with pytest.raises(UsageError):
        create(make(FILES, OWN_DATA), place, **{"data": "mine.csv", **given})
    assert [entry.name for entry in place.iterdir()] == ["mine.csv"]


def test_a_relative_path_of_own_data_is_right_inside_the_project(make: Make, place: Path) -> None:
    (place / "mine.csv").write_text("y\n1\n0\n")
    made = create(make(FILES, OWN_DATA), place / "sub", data="mine.csv")
    written = (made.folder / "data.txt").read_text().strip()
    assert written == "../../mine.csv"
    assert (made.folder / written).samefile(place / "mine.csv")


def test_an_absolute_path_of_own_data_stays_what_it_was(make: Make, place: Path) -> None:
    (place / "mine.csv").write_text("y\n1\n0\n")
    made = create(make(FILES, OWN_DATA), place, data=str(place / "mine.csv"))
    assert made.answers["data"] == str(place / "mine.csv")


def test_the_record_holds_the_pristine_tree_s_digest_and_no_place_or_time(make: Make, place: Path) -> None:
    made = create(make(FILES, OWN_DATA), place)
    record = (made.folder / ".mlplat/answers.json").read_text()
    files = {path: tree.File((made.folder / path).read_bytes()) for path in ("requirements.txt", "data.txt", "x.sh")}
    assert json.loads(record)["tree"] == tree.digest(files)
    assert str(place) not in record


def test_the_same_answers_give_the_same_bytes(make: Make, place: Path) -> None:
    template = make(FILES, OWN_DATA)
    first, second = (create(template, place / name).folder for name in ("one", "two"))
    for path in git(first, "ls-files").splitlines():
        assert (first / path).read_bytes() == (second / path).read_bytes()
