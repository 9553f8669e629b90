from __future__ import annotations

from pathlib import Path

import pytest

from mlplat.errors import MlplatError, UsageError
from mlplat.images import project
from mlplat.scaffold import template

DOCKERFILE = r"""
FROM x AS first
COPY requirements.txt \
     /build/
COPY --chown=1:1 code /opt/code
FROM y
copy src/ flows ./
COPY --from=first /opt /opt
# COPY secrets /x
ADD *.yaml /opt/
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a project with a Dockerfile, what it copies, and what it does not."""
    for path, text in {
        "Dockerfile": DOCKERFILE,
        "requirements.txt": "a==1\n",
        "mlplat.yaml": "version: 1\n",
        "src/package/model.py": "x = 1\n",
        "src/package/__pycache__/model.cpython-312.pyc": "",
        "flows/train.py": "y = 1\n",
        "flows/.metaflow/run": "",
        "tests/test_model.py": "",
        ".venv/bin/python": "",
        "secrets": "",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    return tmp_path


def tag(folder: Path, base: str = "b") -> str:
    return project.tag(folder, base, "linux/amd64")


def test_what_a_dockerfile_copies_is_read_from_it() -> None:
    assert project.copied(DOCKERFILE) == ["requirements.txt", "code", "src/", "flows", "*.yaml"]


def test_no_more_than_that_is_sent(folder: Path) -> None:
    assert [path.as_posix() for path in project.files(folder)] == [
        "Dockerfile",
        "flows/train.py",
        "mlplat.yaml",
        "requirements.txt",
        "src/package/model.py",
    ]


def test_a_context_has_mlplat_s_own_package_beside_it(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    made = tmp_path_factory.mktemp("context")
    project.write(folder, made)
    assert (made / "src/package/model.py").read_text() == "x = 1\n"
    assert (made / "code/mlplat/runtime/gate/verdict.py").is_file()
    assert not (made / "code/mlplat/templates").exists()
    assert not (made / "tests").exists()


def test_the_tag_follows_what_is_copied_and_nothing_else(folder: Path) -> None:
    before = tag(folder)
    (folder / "tests/test_model.py").write_text("# edited\n")
    assert tag(folder) == before
    assert tag(folder, "another") != before
    (folder / "src/package/model.py").write_text("x = 2\n")
    assert tag(folder) != before


def test_everything_is_sent_to_one_that_copies_everything(folder: Path) -> None:
    (folder / "Dockerfile").write_text("FROM x\nCOPY . /opt\n")
    found = {path.as_posix() for path in project.files(folder)}
    assert {"tests/test_model.py", "secrets"} <= found
    assert not [path for path in found if path.startswith((".venv", "flows/.metaflow"))]


def test_a_project_without_one_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Dockerfile is missing"):
        project.files(tmp_path)


def test_what_is_copied_and_is_not_there_is_named_before_anything_is_built(folder: Path) -> None:
    (folder / "requirements.txt").unlink()
    with pytest.raises(MlplatError, match=r"copies `requirements\.txt`"):
        project.files(folder)


def test_the_template_s_dockerfile_copies_what_the_template_has() -> None:
    made = template.find("tabular").folder / "project"
    copied = {source.split("/")[0] for source in project.copied((made / "Dockerfile").read_text())}
    ignored = (made / ".dockerignore").read_text().splitlines()
    assert copied == {line.removeprefix("!") for line in ignored if line.startswith("!")}
    there = {path.name.removesuffix(".jinja") for path in made.iterdir()}
    assert copied - {"code"} <= there
