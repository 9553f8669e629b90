from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path

import pytest

import mlplat
from mlplat.codebase import PACKAGE
from mlplat.images import catalogue, context
from mlplat.images.catalogue import Image

BASE, PLATFORM = "docker.io/library/python:3.12-slim-bookworm", "linux/amd64"
SERVING = catalogue.find("serving")


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Return a copy of mlplat's package that may be edited."""
    made = tmp_path / "edited" / "mlplat"
    shutil.copytree(PACKAGE, made, ignore=shutil.ignore_patterns("__pycache__"))
    return made


def tag(package: Path = PACKAGE, image: Image = SERVING) -> str:
    return context.tag(image, BASE, PLATFORM, package)


def told(folder: Path) -> list[tuple[str, int, int, str]]:
    """Return names, modes, times and hashes of everything in a folder."""
    return [
        (
            path.relative_to(folder).as_posix(),
            path.stat().st_mode,
            int(path.stat().st_mtime),
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "",
        )
        for path in sorted(folder.rglob("*"))
    ]


@pytest.mark.parametrize("image", catalogue.ALL, ids=lambda image: image.name)
def test_a_context_is_the_same_wherever_it_is_written(image: Image, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        context.write(image, tmp_path / name)
    assert told(tmp_path / "a") == told(tmp_path / "b") != []


@pytest.mark.parametrize("image", catalogue.ALL, ids=lambda image: image.name)
def test_a_tag_is_one_that_every_registry_takes(image: Image) -> None:
    found = tag(image=image)
    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", found)
    assert found.startswith(f"{mlplat.__version__}-")


def test_a_tag_has_no_plus_of_a_local_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mlplat, "__version__", "1.2.3.dev4+g5")
    assert tag().startswith("1.2.3.dev4-g5-")


def test_a_tag_follows_the_code_that_runs_and_no_other(package: Path) -> None:
    before = tag(package)
    assert before == tag()
    with (package / "cli" / "up.py").open("a") as file:
        file.write("# edited\n")
    assert tag(package) == before
    with (package / "serving" / "app.py").open("a") as file:
        file.write("# edited\n")
    assert tag(package) != before


def test_a_tag_follows_base_and_platform() -> None:
    others = {context.tag(SERVING, f"{BASE}x", PLATFORM), context.tag(SERVING, BASE, "linux/arm64")}
    assert len(others | {tag()}) == 3


@pytest.mark.parametrize("image", catalogue.ALL, ids=lambda image: image.name)
def test_a_context_holds_no_more_than_is_built_from_it(image: Image) -> None:
    found = {str(path) for path in context.files(image)}
    assert {"Dockerfile", "requirements.txt"} <= found
    code = {path for path in found if path.startswith("code/")}
    assert bool(code) == bool(image.modules)
    assert found - code == {"Dockerfile", "requirements.txt"}
    refused = ("code/mlplat/cli/", "code/mlplat/targets/", "code/mlplat/engine/", "code/mlplat/scaffold/")
    assert [path for path in code if path.startswith(refused)] == []
