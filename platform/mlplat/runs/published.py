"""Publishing on this computer: a copy of a commit, with an environment made of its lock, that runs unattended.

A copy is known by its files' digest and never changed; the file that names it is replaced last, so that whoever looks
finds a whole one, the one before or the new one.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mlplat import codebase, environment
from mlplat.contracts import Connection
from mlplat.controller import schedules
from mlplat.controller.unattended import JOB, KINDS, OUTCOME, PUBLISHED, Job, Published, published, published_file
from mlplat.environment import Progress
from mlplat.errors import MlplatError, StateError, UsageError
from mlplat.files import PRIVATE, data_dir, write_if_changed, writing
from mlplat.runs.commit import Commit
from mlplat.runs.prepare import REQUIREMENTS
from mlplat.runs.publish import found_in
from mlplat.spec.project import read

ID_SIGNS = 16
OWN_FILES = ("MLPLAT_CONFIG_DIR", "MLPLAT_DATA_DIR", "MLPLAT_STATE_DIR")


@dataclass(frozen=True)
class Done:
    """What publishing came to."""

    published: Published
    is_new: bool


def publish(commit: Commit, state: Path, connection: Connection, *, progress: Progress) -> Done:
    """Put a commit of a project where a platform's controller finds it; `state` is the platform's folder.

    Raises `UsageError` for a project that cannot be published, `InstallError`, and `StateError` when it cannot be kept.
    """
    with commit.unpacked() as tree:
        spec = read(tree / "mlplat.yaml")
        flows = found_in(tree, spec)
        times = {flow: each.schedule for flow, each in flows.items() if each.schedule is not None}
        for flow, schedule in times.items():
            schedules.check(schedule, f"pipelines.{flow}.schedule.cron")
        content = codebase.digest({each.relative_to(tree): each.read_bytes() for each in _files(tree)})[:ID_SIGNS]
        folder = state / PUBLISHED / spec.project / content
        if not folder.is_dir():
            _copy(tree, folder)
    python = _environment(folder, spec.project, progress)
    made = Published(
        id=content,
        folder=str(folder),
        python=str(python),
        paths=(str(folder / "src"), str(codebase.folder())),
        commit=commit.id,
        flows=tuple(flows),
        schedules=times,
        platform=connection.platform,
        stack=connection.stack,
        variables={name: os.environ[name] for name in OWN_FILES if name in os.environ},
    )
    before = _before(state, spec.project)
    path = published_file(state, spec.project)
    is_new = write_if_changed(path, made.model_dump_json(indent=2, exclude_defaults=True) + "\n", mode=PRIVATE)
    _prune(state, folder, before)
    return Done(made, is_new)


def _environment(folder: Path, name: str, progress: Progress) -> Path:
    """Make the environment of a copy's lock, which all copies with the same lock share; return its Python."""
    requirements = folder / REQUIREMENTS
    if not requirements.is_file():
        raise UsageError(f"{REQUIREMENTS} is in no commit", hint="`make lock` in the project writes it")
    place = data_dir() / "envs" / f"project-{environment.fingerprint(requirements)[:16]}"
    return environment.ensure(requirements, place, progress=progress, name=name)


def _files(tree: Path) -> Iterator[Path]:
    return (path for path in sorted(tree.rglob("*")) if path.is_file())


def _copy(tree: Path, folder: Path) -> None:
    with writing(folder.parent):
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".publishing-", dir=folder.parent))
        try:
            shutil.copytree(tree, temporary / "tree", symlinks=True)
            (temporary / "tree").rename(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _before(state: Path, project: str) -> Published | None:
    try:
        return published(state, project)
    except MlplatError:
        return None  # there was none, or the file is replaced now


def _prune(state: Path, folder: Path, before: Published | None) -> None:
    """Remove copies that nothing runs: all but the new one, the one before, and those of runs that go on."""
    kept = {folder, *([Path(before.folder)] if before else []), *_running(state)}
    for each in folder.parent.iterdir():
        if each not in kept:
            shutil.rmtree(each, ignore_errors=True)


def _running(state: Path) -> Iterator[Path]:
    for job in (each for kind in KINDS for each in (state / kind.folder).glob(f"*/{JOB}")):
        if not job.with_name(OUTCOME).exists():
            try:
                yield Path(Job.model_validate_json(job.read_bytes()).folder)
            except (OSError, ValueError) as error:
                raise StateError(f"{job}: cannot be read: {error}", hint="remove its folder") from error
