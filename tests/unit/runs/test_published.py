from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from mlplat import environment
from mlplat.contracts import Connection
from mlplat.controller import unattended
from mlplat.errors import SpecError, UsageError
from mlplat.runs import published
from mlplat.runs.commit import Commit, commit
from mlplat.spec.pipelines import ScheduleSpec

SPEC = "version: 1\nproject: tiny\nmodel: late\ntask: binary\ndata: {source: rows.csv, target: late}\n"
HERE = Connection("mlplat", "local", "local", "", "", "")


def git(folder: Path, *words: str) -> None:
    own = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    subprocess.run(["git", *own, *words], cwd=folder, check=True, capture_output=True)


def commit_all(project: Path) -> Commit:
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "--message", "more", "--allow-empty")
    return commit(project)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    # What makes an environment has tests of its own, and takes a minute.
    monkeypatch.setattr(environment, "ensure", lambda _, place, **__: place / "bin" / "python")
    folder = tmp_path / "tiny"
    (folder / "flows").mkdir(parents=True)
    (folder / "mlplat.yaml").write_text(SPEC)
    (folder / "flows" / "train.py").write_text("print(1)\n")
    (folder / "requirements.txt").write_text("")
    git(folder, "init", "--quiet")
    return folder


def publish(project: Path, state: Path) -> published.Done:
    return published.publish(commit_all(project), state, HERE, progress=lambda _: None)


def test_what_is_committed_is_what_is_kept(project: Path, tmp_path: Path) -> None:
    done = publish(project, tmp_path / "s")
    (project / "flows" / "train.py").write_text("print(2)\n")
    folder = Path(done.published.folder)
    assert (folder / "flows" / "train.py").read_text() == "print(1)\n"
    assert unattended.published(tmp_path / "s", "tiny") == done.published
    assert (done.published.flows, done.is_new) == (("train",), True)


def test_the_same_files_are_the_same_copy_whatever_the_commit(project: Path, tmp_path: Path) -> None:
    first, again = publish(project, tmp_path / "s"), publish(project, tmp_path / "s")
    assert again.published.id == first.published.id
    assert again.published.commit != first.published.commit


def test_a_project_that_cannot_be_published_leaves_what_was(project: Path, tmp_path: Path) -> None:
    done = publish(project, tmp_path / "s")
    (project / "mlplat.yaml").write_text(SPEC + "pipelines: {score: {}}\n")
    with pytest.raises(UsageError, match="there is no `flows/score"):
        publish(project, tmp_path / "s")
    (project / "mlplat.yaml").write_text("version: 1\n")
    with pytest.raises(SpecError):
        publish(project, tmp_path / "s")
    assert unattended.published(tmp_path / "s", "tiny") == done.published
    assert [each.name for each in Path(done.published.folder).parent.iterdir()] == [done.published.id]


def test_schedules_are_kept_with_what_they_begin(project: Path, tmp_path: Path) -> None:
    said = "pipelines: {train: {schedule: {cron: ['30 4 * * mon'], timezone: America/New_York}}}\n"
    (project / "mlplat.yaml").write_text(SPEC + said)
    publish(project, tmp_path / "s")
    kept = unattended.published(tmp_path / "s", "tiny").schedules
    assert kept == {"train": ScheduleSpec(cron=["30 4 * * mon"], timezone="America/New_York")}


def test_a_time_that_never_comes_is_refused_where_it_is_written(project: Path, tmp_path: Path) -> None:
    (project / "mlplat.yaml").write_text(SPEC + "pipelines: {train: {schedule: {cron: ['0 0 30 2 *']}}}\n")
    with pytest.raises(UsageError, match=r"`pipelines.train.schedule.cron`: `0 0 30 2 \*` is no time of cron"):
        publish(project, tmp_path / "s")


def test_copies_of_one_lock_share_an_environment(project: Path, tmp_path: Path) -> None:
    first = publish(project, tmp_path / "s").published
    (project / "flows" / "train.py").write_text("print(2)\n")
    second = publish(project, tmp_path / "s").published
    (project / "requirements.txt").write_text("click\n")
    third = publish(project, tmp_path / "s").published
    assert first.python == second.python != third.python
    assert first.paths[0] != second.paths[0]


def test_copies_that_nothing_runs_go(project: Path, tmp_path: Path) -> None:
    state, made = tmp_path / "s", []
    for number in range(4):
        (project / "flows" / "train.py").write_text(f"print({number})\n")
        made.append(publish(project, state).published)
        if number == 0:
            job = unattended.Job(
                folder=made[0].folder, python="", paths=(), flow="train", key="k", reason="", commit="", connection={}
            ).model_dump_json()
            folder = state / "unattended" / "tiny.late.k"
            folder.mkdir(parents=True)
            (folder / "job.json").write_text(job)
    assert {Path(each.folder) for each in made if Path(each.folder).exists()} == {
        Path(made[number].folder) for number in (0, 2, 3)
    }
