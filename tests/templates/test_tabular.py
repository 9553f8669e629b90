"""The tabular template under every combination of answers: what it renders is whole, and readable by its readers."""

from __future__ import annotations

import importlib.metadata
import itertools
import os
import re
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from mlplat.errors import MlplatError, UsageError
from mlplat.labels import is_label
from mlplat.scaffold import answers, project, template
from mlplat.scaffold.render import SUFFIX, render
from mlplat.scaffold.template import Question
from mlplat.scaffold.tree import Tree
from mlplat.spec import project as spec
from mlplat.spec.base import read_yaml

TABULAR = template.find("tabular")
ODD = "Größe \"in\" 'cm': {{x}} #1"
DATA: list[dict[str, str]] = [
    {"data": "flights"},
    {"data": "flights", "features": "live"},
    *(
        {"data": "../my data.csv", "task": task, "target": target, "time": time}
        for task, target, time in itertools.product(["binary", "regression"], ["left", ODD], ["", "at", "Zeit: #2"])
    ),
]
COMBINATIONS = [{"name": name, **given} for name, given in itertools.product(["churn", "late-flights"], DATA)] + [
    {"name": "churn", "data": "flights", "model": "delay-2"}
]


def known(name: str) -> dict[str, str]:
    return {
        "project": name,
        "package": project.package_name(name),
        "mlplat_version": "0.1.0",
        "template_version": "0.1.0",
        "python_version": "3.12",
    }


def rendered(given: dict[str, str]) -> Tree:
    variables = known(given["name"])
    replies = {name: value for name, value in given.items() if name != "name"}
    return render(TABULAR, {**variables, **answers.collect(TABULAR, replies, known=variables, ask=None)})


@pytest.fixture(params=COMBINATIONS, ids=lambda given: " ".join(given.values()))
def given(request: pytest.FixtureRequest) -> dict[str, str]:
    value: dict[str, str] = request.param
    return value


@pytest.fixture
def tree(given: dict[str, str]) -> Tree:
    return rendered(given)


def test_no_delimiter_survives_in_a_rendered_file(given: dict[str, str], tree: Tree) -> None:
    package = project.package_name(given["name"])
    for source, _ in TABULAR.files():
        path = source.replace("__package__", package).removesuffix(SUFFIX)
        # Some are for other answers only.
        if source.endswith(SUFFIX) and path in tree:
            text = tree[path].content.decode()
            left = re.findall(r"(?<!\$)\{\{|\{%|\{#|%\}", text.replace("{{x}}", ""))  # a column's own name holds one
            assert left == [], source


def test_no_path_keeps_a_placeholder(tree: Tree) -> None:
    assert [path for path in tree if "__package__" in path or path.endswith(SUFFIX)] == []


def test_python_compiles(tree: Tree) -> None:
    for path, file in tree.items():
        if path.endswith(".py"):
            compile(file.content, path, "exec")


def test_yaml_and_toml_parse(tree: Tree) -> None:
    for path, file in tree.items():
        if path.endswith((".yaml", ".yml")):
            assert read_yaml(file.content.decode(), path) is not None
        if path.endswith(".toml"):
            assert tomllib.loads(file.content.decode())


def test_mlplat_yaml_says_what_was_answered(tmp_path: Path, given: dict[str, str], tree: Tree) -> None:
    path = tmp_path / "mlplat.yaml"
    path.write_bytes(tree["mlplat.yaml"].content)
    read = spec.read(path)
    assert read.project == given["name"]
    assert read.data.source == given["data"]
    if given["data"] != "flights":
        assert (read.task, read.data.target, read.data.time or "") == (given["task"], given["target"], given["time"])


def test_pyproject_names_the_project(given: dict[str, str], tree: Tree) -> None:
    assert tomllib.loads(tree["pyproject.toml"].content.decode())["project"]["name"] == given["name"]


@pytest.mark.parametrize(
    "path",
    [
        *[
            "mlplat.yaml",
            "card.md",
            "pyproject.toml",
            "README.md",
            "Makefile",
            "requirements.in",
            "requirements.txt",
            ".gitignore",
            "Dockerfile",
            ".dockerignore",
        ],
        *[".github/workflows/ci.yaml", "flows/train.py", "src/churn/__init__.py", "src/churn/__main__.py"],
        *(f"src/churn/{module}.py" for module in ("data", "features", "model", "pipeline", "replay")),
    ],
)
def test_a_project_has_the_files_that_everybody_looks_for(path: str) -> None:
    assert path in rendered({"name": "churn", "data": "flights"})


def test_what_only_live_features_need_is_there_with_them_alone() -> None:
    own = {f"src/churn/{name}.py" for name in ("live", "stream")}
    assert own <= set(rendered({"name": "churn", "data": "flights", "features": "live"}))
    for given in COMBINATIONS:
        if given.get("features") != "live":
            assert not {"live.py", "stream.py"} & {path.rpartition("/")[2] for path in rendered(given)}


def test_every_requirement_is_locked_with_hashes() -> None:
    locked = rendered({"name": "churn", "data": "flights"})["requirements.txt"].content.decode()
    packages = re.findall(r"^\S+==\S+[^#\n]*\\\n\s+--hash=sha256:", locked, re.MULTILINE)
    assert len(packages) == len(re.findall(r"^[A-Za-z0-9]", locked, re.MULTILINE))
    assert "://" not in re.sub(r"#.*", "", locked)


def test_every_package_that_a_project_imports_is_refused_as_its_name() -> None:
    """An import name is not always its requirement's: `sklearn` comes from `scikit-learn`."""
    files = rendered({"name": "churn", "data": "flights"})
    locked = re.findall(r"^([A-Za-z0-9._-]+)==", files["requirements.txt"].content.decode(), re.MULTILINE)
    plain = {re.sub(r"[-_.]+", "-", name).lower() for name in locked}
    for module, sources in importlib.metadata.packages_distributions().items():
        from_it = any(re.sub(r"[-_.]+", "-", source).lower() in plain for source in sources)
        if from_it and is_label(module.replace("_", "-")) and module.isidentifier():
            with pytest.raises(UsageError, match="it imports a package"):
                project._refuse_taken(module, module, TABULAR, files)


def test_a_person_is_asked_at_most_three_things() -> None:
    for replies in DATA:
        asked: list[str] = []

        def ask(
            question: Question,
            default: str | None,
            check: Callable[[str], str],
            replies: dict[str, str] = replies,
            asked: list[str] = asked,
        ) -> str:
            asked.append(question.name)
            return check(replies.get(question.name, default or ""))

        answers.collect(TABULAR, {}, known=known("churn"), ask=ask)
        assert len(asked) <= 3


def test_every_variable_of_the_convention_is_there() -> None:
    names = {question.name for question in TABULAR.manifest.questions}
    assert names >= {"model", "task", "data", "target", "time"}


def test_a_project_s_own_ignore_rules_hide_what_runs_leave_and_nothing_of_the_template(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    folder = project.create("churn", TABULAR, {}, into=tmp_path, ask=None).folder
    tracked = subprocess.check_output(["git", "ls-files", "-i", "-c", "--exclude-standard"], cwd=folder, text=True)
    assert tracked == ""
    for path in (".venv/x", ".metaflow/x", ".mlplat/runs/1/log.txt", "src/churn/__pycache__/x.pyc", ".pytest_cache/x"):
        done = subprocess.run(["git", "check-ignore", "--quiet", path], cwd=folder, check=False)
        assert done.returncode == 0, path


@pytest.mark.parametrize("target", ["a\nb", "a\0", ""])
def test_an_answer_that_could_break_a_line_never_reaches_a_file(target: str) -> None:
    with pytest.raises(MlplatError):
        rendered({"name": "churn", "data": "x.csv", "target": target})
