"""The repository that `mlplat init` makes: what its files say is true."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ruamel.yaml import YAML

import mlplat
from mlplat.errors import MlplatError, UsageError
from mlplat.scaffold import platform, repository, template, tree
from mlplat.spec import schema
from mlplat.spec.platform import newest_form, read_platform
from mlplat.targets.kubernetes import given

ROOT = Path(__file__).parents[3]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "place"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def create(folder: Path, **given: str) -> platform.Platform:
    return platform.create(folder, template.find("platform", "platform"), given, ask=None)


def read(path: Path) -> Any:
    return YAML(typ="safe", pure=True).load(path)


def committed(folder: Path) -> list[str]:
    return subprocess.check_output(["git", "ls-files"], cwd=folder, text=True).splitlines()


def test_the_stack_is_a_platform_of_the_asked_name_in_the_newest_form(place: Path) -> None:
    made = create(place / "repo", name="acme")
    path = made.folder / "stacks/Pulumi.local.yaml"
    assert read_platform(path).name == made.name == "acme"
    assert newest_form(path) is None
    jsonschema.validate(read(path), json.loads((made.folder / "stacks/schema.json").read_text()))
    assert (made.folder / "stacks/schema.json").read_text() == schema.text()


CLUSTER = {"name": "acme", "target": "kubernetes", "context": "acme-eu"}


def test_a_cluster_s_stack_is_valid_for_it_and_holds_no_secret_but_by_name(place: Path) -> None:
    made = create(place / "repo", **CLUSTER)
    path = made.folder / "stacks/Pulumi.prod.yaml"
    assert [each.name for each in path.parent.glob("*.yaml")] == [path.name]
    spec = read_platform(path)
    assert (spec.name, spec.target, spec.kubernetes.context) == ("acme", "kubernetes", "acme-eu")
    assert spec.kubernetes.production
    assert spec.kubernetes.databases is not None
    assert spec.kubernetes.objects is not None
    # What it names is what `mlplat doctor` then looks for on the cluster.
    assert {"tracking-database", "features-database", "pipelines-database", "objects", "endpoints-tls"} <= {
        each.name for each in given.wanted(spec)
    }
    written = read(path)
    assert written["config"]["pulumi:disable-default-providers"] == ["*"]
    jsonschema.validate(written, json.loads((made.folder / "stacks/schema.json").read_text()))


@pytest.mark.parametrize("context", ["arn:aws:eks:eu-west-1:111122223333:cluster/a", 'it\'s: "quoted" #1'])
def test_any_name_of_a_context_comes_through(place: Path, context: str) -> None:
    made = create(place / "repo", **{**CLUSTER, "context": context, "stack": "eu"})
    assert read_platform(made.folder / "stacks/Pulumi.eu.yaml").kubernetes.context == context


def test_a_cluster_s_repository_speaks_of_its_stack_alone(place: Path) -> None:
    made = create(place / "repo", **CLUSTER).folder
    readme = (made / "README.md").read_text()
    assert sorted([*re.findall(r"^\| `([^`]+)` \|", readme, re.MULTILINE), "README.md"]) == committed(made)
    assert "export MLPLAT_STACK=prod\nmlplat doctor " in readme
    workflow = read(made / ".github/workflows/platform.yaml")
    assert workflow["env"] == {"MLPLAT_STACK": "prod"}
    for job in workflow["jobs"].values():
        assert job["if"].startswith("vars.MLPLAT_RUNNER != '' && ")
        assert job["runs-on"] == "${{ vars.MLPLAT_RUNNER }}"
    lines = (made / "requirements.txt").read_text().splitlines()
    assert lines[1:] == [f"mlplat[kubernetes]=={mlplat.__version__}"]
    assert "local" not in readme + json.dumps(workflow)


def test_a_context_is_a_cluster_s(place: Path) -> None:
    with pytest.raises(UsageError, match="`context` cannot be set unless target == 'kubernetes'"):
        create(place / "repo", name="acme", context="here")
    assert list(place.iterdir()) == []


def test_pulumi_runs_the_same_program_as_in_mlplat_s_own_repository(place: Path) -> None:
    made = create(place / "repo", name="acme").folder
    ours, its = read(ROOT / "Pulumi.yaml"), read(made / "Pulumi.yaml")
    assert its["name"] == "acme"
    for key in ("runtime", "stackConfigDir", "requiredPulumiVersion"):
        assert its[key] == ours[key]
    program = (made / "__main__.py").read_text()
    assert len(program.splitlines()) == 3
    assert (ROOT / "platform/__main__.py").read_text().endswith(program)


def test_mlplat_is_pinned_to_the_version_that_made_it(place: Path) -> None:
    lines = (create(place / "repo").folder / "requirements.txt").read_text().splitlines()
    assert [line for line in lines if not line.startswith("#")] == [f"mlplat[engine]=={mlplat.__version__}"]


def test_the_readme_s_table_of_files_is_the_repository(place: Path) -> None:
    made = create(place / "repo").folder
    table = re.findall(r"^\| `([^`]+)` \|", (made / "README.md").read_text(), re.MULTILINE)
    assert sorted([*table, "README.md"]) == committed(made)


def test_the_workflow_has_no_rights_but_to_read_and_only_pinned_actions(place: Path) -> None:
    made = create(place / "repo").folder
    path = made / ".github/workflows/platform.yaml"
    workflow = read(path)
    assert workflow["permissions"] == {"contents": "read"}
    assert "permissions" not in workflow["jobs"]["preview"] | workflow["jobs"]["up"]
    pinned = r"uses: (\S+@[0-9a-f]{40} # v\S+)$"
    uses = re.findall(pinned, path.read_text(), re.MULTILINE)
    assert len(uses) == path.read_text().count("uses:") == 4
    assert set(uses) == set(re.findall(pinned, (ROOT / ".github/workflows/test.yml").read_text(), re.MULTILINE))


def test_a_pull_request_only_looks_and_no_fork_s_code_runs(place: Path) -> None:
    jobs = read(create(place / "repo").folder / ".github/workflows/platform.yaml")["jobs"]
    runs = {name: [step["run"] for step in job["steps"] if "run" in step] for name, job in jobs.items()}
    assert [line for line in runs["preview"] if "mlplat up" in line] == [".venv/bin/mlplat up --preview"]
    assert ".venv/bin/mlplat up --yes" in runs["up"]
    assert jobs["preview"]["if"].endswith("github.event.pull_request.head.repo.full_name == github.repository")
    assert jobs["up"]["if"] == "github.event_name == 'push'"
    assert jobs["up"]["concurrency"]["cancel-in-progress"] is False


def test_everything_is_in_the_first_commit(place: Path) -> None:
    made = create(place / "repo", name="acme")
    git = ["git", "-C", str(made.folder)]
    assert subprocess.check_output([*git, "status", "--porcelain", "--ignored"], text=True) == ""
    said = subprocess.check_output([*git, "log", "--format=%an: %s"], text=True)
    assert re.fullmatch(r"Ada: New platform from the template platform \d+\.\d+\.\d+\n", said)
    assert made.notes == ()


def test_the_record_says_what_it_was_made_of_and_neither_where_nor_when(place: Path) -> None:
    made = create(place / "repo", name="acme").folder
    record = json.loads((made / ".mlplat/answers.json").read_text())
    files = {path: tree.File((made / path).read_bytes()) for path in committed(made) if path != ".mlplat/answers.json"}
    assert record["answers"] == {"name": "acme", "target": "local", "stack": "local", "context": ""}
    assert (record["template"], record["mlplat"]) == ("platform", mlplat.__version__)
    assert record["tree"] == tree.digest(files)
    assert str(place) not in json.dumps(record)


@pytest.mark.parametrize(("folder", "name"), [("acme", "acme"), ("Our Platform_2", "our-platform-2")])
def test_the_folder_s_name_is_the_default(place: Path, folder: str, name: str) -> None:
    assert create(place / folder).name == name


def test_the_folder_one_stands_in_may_be_it(place: Path) -> None:
    made = create(Path())
    assert (made.folder, made.name) == (place, "place")
    assert read_platform(Path("stacks/Pulumi.local.yaml")).name == "place"


@pytest.mark.parametrize("name", ["Acme", "a_b", "-a", "a" * 64, "a/b", ""])
def test_a_name_that_cannot_be_leaves_nothing(place: Path, name: str) -> None:
    with pytest.raises(UsageError, match="`name`"):
        create(place / "deep/repo", name=name)
    assert list(place.iterdir()) == []


def test_a_folder_with_files_is_refused_and_left(place: Path) -> None:
    (place / "mine").touch()
    with pytest.raises(UsageError, match="is not empty") as caught:
        create(place)
    assert caught.value.hint == "name another folder"
    assert [entry.name for entry in place.iterdir()] == ["mine"]


@pytest.mark.parametrize("there", [True, False])
def test_when_git_fails_nothing_is_left(place: Path, monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    def fail(*_: object) -> bool:
        raise MlplatError("`git commit` failed: no")

    monkeypatch.setattr(repository, "begin", fail)
    if there:
        (place / "repo").mkdir()
    with pytest.raises(MlplatError, match="git commit"):
        create(place / "repo")
    assert [entry.name for entry in place.rglob("*")] == (["repo"] if there else [])


def test_a_template_makes_only_what_it_is_for() -> None:
    with pytest.raises(UsageError, match="there is no template `platform`") as caught:
        template.find("platform")
    assert caught.value.hint == "templates here: `tabular`"
    with pytest.raises(UsageError, match="there is no template `tabular`"):
        template.find("tabular", "platform")
