"""Compiled modules are shared between environments of the same requirements, and only where they fit."""

from __future__ import annotations

import compileall
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mlplat import bytecode


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """An environment's packages, compiled, whose modules are kept in `store`."""
    packages = unpacked(tmp_path / "first")
    compileall.compile_dir(packages, quiet=1)
    bytecode.keep(packages, tmp_path / "store")
    return packages


def unpacked(folder: Path, *, like: Path | None = None) -> Path:
    for name, text in {"one.py": "VALUE = 1\n", "inner/two.py": "VALUE = 2\n"}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        if like is not None:
            os.utime(path, ns=(0, (like / name).stat().st_mtime_ns))
    return folder


def compiled(folder: Path) -> list[Path]:
    return sorted(folder.rglob("__pycache__/*.pyc"))


def test_an_alike_environment_takes_what_was_compiled_and_python_takes_that(made: Path, tmp_path: Path) -> None:
    again = unpacked(tmp_path / "again", like=made)
    assert bytecode.restore(tmp_path / "store", again)
    assert [path.stat().st_ino for path in compiled(again)] == [path.stat().st_ino for path in compiled(made)]
    before = {path: path.stat().st_mtime_ns for path in compiled(again)}
    code = "import one, inner.two; print(one.__cached__, one.VALUE + inner.two.VALUE)"
    said = subprocess.check_output([sys.executable, "-c", code], cwd=again, text=True)
    assert said.split() == [str(compiled(again)[0]), "3"]
    assert {path: path.stat().st_mtime_ns for path in compiled(again)} == before


@pytest.mark.parametrize("change", ["size", "time", "gone"])
def test_a_module_of_another_source_is_not_taken(made: Path, tmp_path: Path, change: str) -> None:
    again = unpacked(tmp_path / "again", like=made)
    source = again / "inner/two.py"
    if change == "gone":
        source.unlink()
    else:
        when = source.stat().st_mtime_ns + (10**9 if change == "time" else 0)
        source.write_text("VALUE = 3\n" if change == "time" else "VALUE = 33\n")
        os.utime(source, ns=(0, when))
    assert not bytecode.restore(tmp_path / "store", again)
    assert not compiled(again / "inner")


def test_a_kept_module_that_was_cut_off_is_not_taken(made: Path, tmp_path: Path) -> None:
    shutil.copytree(tmp_path / "store", tmp_path / "cut")
    for path in compiled(tmp_path / "cut"):
        path.write_bytes(b"")
    assert not bytecode.restore(tmp_path / "cut", unpacked(tmp_path / "again", like=made))


def test_nothing_kept_is_nothing_restored(tmp_path: Path) -> None:
    assert not bytecode.restore(tmp_path / "store", tmp_path)


def test_the_last_used_sets_are_kept(made: Path, tmp_path: Path) -> None:
    stores = tmp_path / "stores"
    for number in range(bytecode.KEPT + 2):
        bytecode.keep(made, stores / str(number))
        os.utime(stores / str(number), (number, number))
    bytecode.keep(made, stores / "last")
    kept = [str(number) for number in range(3, bytecode.KEPT + 2)]
    assert sorted(path.name for path in stores.iterdir()) == sorted([*kept, "last"])
