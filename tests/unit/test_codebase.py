from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from mlplat import codebase, environment
from mlplat.errors import StateError
from mlplat.files import data_dir


@pytest.fixture
def package(tmp_path: Path) -> Path:
    root = tmp_path / "mlplat"
    for path, text in {
        "__init__.py": "X = 1\n",
        "sub/a.py": "1 / 0\n",
        "sub/data.txt": "d",
        "templates/t/x.py": "{{",
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"}


def test_it_holds_the_package_s_files_and_no_templates(package: Path) -> None:
    assert files(codebase.folder(package)) == {"mlplat/__init__.py", "mlplat/sub/a.py", "mlplat/sub/data.txt"}


def test_the_same_content_gives_the_same_folder_and_another_content_another(package: Path) -> None:
    first = codebase.folder(package)
    assert codebase.folder(package) == first
    (package / "sub/a.py").write_text("2 / 0\n")
    assert codebase.folder(package) != first
    assert (first / "mlplat/sub/a.py").read_text() == "1 / 0\n"


def test_compiled_leftovers_do_not_change_the_folder(package: Path) -> None:
    first = codebase.folder(package)
    (package / "__pycache__").mkdir()
    (package / "__pycache__/x.pyc").write_bytes(b"")
    assert codebase.folder(package) == first


def test_tracebacks_of_the_compiled_copy_name_the_copy(package: Path) -> None:
    folder = codebase.folder(package)
    assert list(folder.glob("mlplat/sub/__pycache__/a.*.pyc"))
    run = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(folder)!r}); import mlplat.sub.a"]
    done = subprocess.run(run, capture_output=True, text=True, env=environment.inherited(), check=False)
    assert f'File "{folder}/mlplat/sub/a.py", line 1' in done.stderr


def test_two_at_once_make_one(package: Path) -> None:
    made: list[Path] = []
    threads = [threading.Thread(target=lambda: made.append(codebase.folder(package))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(made) == 4
    assert [path.name for path in made[0].parent.iterdir()] == [made[0].name]


def test_a_copy_that_fails_leaves_nothing(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("compileall.compile_dir", fail)
        with pytest.raises(StateError, match="No space left on device"):
            codebase.folder(package)
    assert list(data_dir().glob("code/*")) == []


def test_the_copy_of_mlplat_itself_is_importable_alone() -> None:
    run = [
        sys.executable,
        "-I",
        "-S",
        "-c",
        f"import sys; sys.path.insert(0, {str(codebase.folder())!r}); import mlplat; print(mlplat.__file__)",
    ]
    assert str(codebase.folder()) in subprocess.check_output(run, text=True)
