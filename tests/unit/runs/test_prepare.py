from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from mlplat import codebase, environment
from mlplat.errors import UsageError
from mlplat.runs.prepare import PATHS, prepare, site_packages


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "tiny"
    (folder / "src/tiny").mkdir(parents=True)
    (folder / "src/tiny/__init__.py").write_text("")
    (folder / "requirements.txt").write_text("")
    return folder


def test_the_environment_imports_the_project_and_the_copy_of_mlplat(project: Path) -> None:
    python = prepare(project, progress=lambda _: None)
    code = "import tiny, mlplat; print(tiny.__file__); print(mlplat.__file__)"
    told = subprocess.check_output([python, "-c", code], text=True, cwd="/", env=environment.inherited()).splitlines()
    assert told == [str(project / "src/tiny/__init__.py"), str(codebase.folder() / "mlplat/__init__.py")]


def test_another_version_of_the_code_is_taken_without_another_installation(
    project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    said: list[str] = []
    python = prepare(project, progress=said.append)
    said.clear()
    monkeypatch.setattr(codebase, "folder", lambda: tmp_path / "newer")
    prepare(project, progress=said.append)
    assert said == []
    assert (site_packages(python) / PATHS).read_text().splitlines() == [str(project / "src"), str(tmp_path / "newer")]


def test_a_project_without_requirements_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"requirements\.txt is missing"):
        prepare(tmp_path, progress=print)
