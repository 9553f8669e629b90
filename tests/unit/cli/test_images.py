"""`mlplat images`, as a person types it, with programs that stand in for builders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import fakebuilder
from fakebuilder import Programs
from mlplat import images
from mlplat.cli import cli
from mlplat.errors import MlplatError
from mlplat.spec.platform import read_platform

DIGEST = f"sha256:{'a' * 64}"
REGISTRY = "registry.example.com/mlplat"
OWN = ("serving", "controller", "tracking")


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    made = fakebuilder.programs(tmp_path / "bin", monkeypatch)
    made.install("buildah")
    return made


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a platform's repository with a stack `prod`."""
    made = tmp_path / "platform"
    (made / "stacks").mkdir(parents=True)
    monkeypatch.chdir(made)
    write(made)
    return made


def write(folder: Path, name: str = "prod", **changes: Any) -> Path:
    buckets = {each: f"the-{each}" for each in ("data", "artifacts", "features", "pipelines")}
    kubernetes = {
        "context": "prod",
        "databases": {"tracking": "tracking-database"},
        "objects": {"buckets": buckets},
        "images": {"registry": REGISTRY},
        **changes,
    }
    platform = {"version": 2, "target": "kubernetes", "engine": {}, "kubernetes": kubernetes}
    path = folder / "stacks" / f"Pulumi.{name}.yaml"
    path.write_text(json.dumps({"config": {"mlplat:platform": platform}}))
    return path


def typed(*arguments: str) -> Result:
    """Type a command; the exit code is the one a person would see."""
    result = CliRunner().invoke(cli, ["images", *arguments], standalone_mode=False)
    if isinstance(result.exception, MlplatError):
        result.exit_code = result.exception.exit_code
    elif result.exception:
        raise result.exception
    return result


def references(folder: Path) -> list[str]:
    spec = read_platform(folder / "stacks/Pulumi.prod.yaml")
    return [images.tagged(spec, name) for name in OWN]


def verbs(programs: Programs) -> list[str]:
    return [command[1] for command in programs.asked]


def test_build_builds_what_is_not_here_and_says_what_is(programs: Programs, folder: Path) -> None:
    serving, *others = references(folder)
    programs.answer(
        {
            f"buildah inspect --type image --format {{{{.FromImageID}}}} {serving}": (0, "", ""),
            "buildah inspect": (1, "", ""),
        }
    )
    result = typed("build", "-s", "prod")
    assert result.stdout.splitlines() == [serving, *others]
    assert f"{serving} is built already" in result.stderr
    assert [command for command in programs.asked if command[1] == "build" and serving in command] == []
    assert verbs(programs).count("build") == len(others)


def test_again_builds_everything(programs: Programs) -> None:
    typed("build", "-s", "prod", "--again")
    assert verbs(programs).count("build") == len(OWN)


def test_a_context_is_what_an_image_needs_and_is_gone_afterwards(programs: Programs) -> None:
    typed("build", "-s", "prod", "--again")
    serving, _, tracking = programs.contexts
    assert "code/mlplat/serving/app.py" in serving
    assert tracking == ["Dockerfile", "requirements.txt"]
    assert [command for command in programs.asked if command[1] == "build" and Path(command[-1]).exists()] == []


def test_pip_s_settings_are_mounted_from_where_pip_has_them(
    programs: Programs, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, variable in {"pip.conf": "PIP_CONFIG_FILE", "ca.pem": "PIP_CERT"}.items():
        (folder / name).touch()
        monkeypatch.setenv(variable, str(folder / name))
    typed("build", "-s", "prod", "--again")
    built = [command for command in programs.asked if command[1] == "build"]
    assert all({f"id=pip,src={folder / 'pip.conf'}", f"id=ca,src={folder / 'ca.pem'}"} <= set(each) for each in built)


def test_push_locks_and_a_second_one_changes_nothing(programs: Programs, folder: Path) -> None:
    programs.answer({"buildah push": (0, DIGEST, "")})
    result = typed("push", "-s", "prod", "--json")
    assert json.loads(result.stdout) == [f"{REGISTRY}/{name}@{DIGEST}" for name in OWN]
    file = folder / "stacks/images.prod.lock.json"
    images.refuse_missing(read_platform(folder / "stacks/Pulumi.prod.yaml"), folder / "stacks/Pulumi.prod.yaml")
    before = file.read_bytes()
    typed("push", "-s", "prod")
    assert file.read_bytes() == before


def test_what_was_pushed_before_a_failure_is_locked(programs: Programs, folder: Path) -> None:
    controller = references(folder)[1]
    programs.answer(
        {
            f"buildah inspect --type image --format {{{{.FromImageID}}}} {controller}": (1, "", "no such image"),
            "buildah push": (0, DIGEST, ""),
        }
    )
    assert typed("push", "-s", "prod").exit_code == 1
    assert list(images.read(folder / "stacks/images.prod.lock.json").images) == ["serving"]


def test_lock_takes_what_the_registry_has_and_names_what_it_lacks(programs: Programs, folder: Path) -> None:
    programs.install("skopeo")
    *found, lacking = references(folder)
    head = "skopeo inspect --no-tags --format {{.Digest}} docker://"
    answers: dict[str, tuple[int, str, str]] = {f"{head}{each}": (0, DIGEST, "") for each in found}
    programs.answer({**answers, "skopeo": (1, "", "manifest unknown")})
    result = typed("lock", "-s", "prod")
    assert result.exit_code == 1
    assert isinstance(result.exception, MlplatError)
    assert result.exception.message == f"{lacking} is not in the registry"
    assert "mlplat images push -s prod" in str(result.exception.hint)
    assert set(images.read(folder / "stacks/images.prod.lock.json").images) == set(OWN[:2])


def test_list_says_where_each_image_stands(programs: Programs, folder: Path) -> None:
    serving, controller, _ = references(folder)
    programs.answer({"buildah push": (0, DIGEST, "")})
    typed("push", "-s", "prod")
    path = folder / "stacks/images.prod.lock.json"
    lock = json.loads(path.read_text())
    del lock["images"]["controller"]
    lock["images"]["tracking"]["tag"] = "0.0-of-another"
    path.write_text(json.dumps(lock))
    has = "buildah inspect --type image --format {{.FromImageID}} "
    programs.answer({f"{has}{controller}": (0, "", ""), "buildah inspect": (1, "", "")})
    rows = {row["name"]: row for row in json.loads(typed("list", "-s", "prod", "--json").stdout)}
    assert {name: row["state"] for name, row in rows.items()} == {
        "serving": "locked",
        "controller": "built",
        "tracking": "outdated",
    }
    assert rows["serving"]["reference"] == serving
    assert (rows["serving"]["digest"], rows["controller"]["digest"], rows["tracking"]["digest"]) == (
        DIGEST,
        None,
        DIGEST,
    )
    assert "outdated" in typed("list", "-s", "prod").stdout


def test_list_needs_no_builder(programs: Programs) -> None:
    (programs.folder / "buildah").unlink()
    result = typed("list", "-s", "prod", "--json")
    assert {row["state"] for row in json.loads(result.stdout)} == {"unknown"}
    assert "nothing here can build images" in result.stderr


def test_without_a_registry_nothing_is_pushed_and_the_key_is_named(programs: Programs, folder: Path) -> None:
    write(folder, "bare", images={})
    for verb in ("push", "lock"):
        result = typed(verb, "-s", "bare")
        assert result.exit_code == 1
        assert isinstance(result.exception, MlplatError)
        assert "kubernetes.images.registry" in str(result.exception.hint)
    assert not {"push", "pull"} & set(verbs(programs))


def test_a_platform_on_this_computer_has_no_images() -> None:
    result = typed("list")
    assert result.exit_code == 2
    assert "no images" in str(result.exception)


def test_on_aws_images_go_to_the_account_s_own_repositories(programs: Programs, folder: Path) -> None:
    aws = {"account": "123456789012", "region": "eu-west-1"}
    platform = {"version": 2, "target": "aws", "engine": {}, "aws": aws}
    config = {"mlplat:platform": platform, "mlplat:deployment": "0123456789abcdef0123456789abcdef"}
    (folder / "stacks/Pulumi.cloud.yaml").write_text(json.dumps({"config": config}))
    programs.answer({"buildah push": (0, DIGEST, "")})
    (serving, *_) = json.loads(typed("push", "-s", "cloud", "--json").stdout)
    assert serving == (f"123456789012.dkr.ecr.eu-west-1.amazonaws.com/mlplat/mlplat-cloud-012345/serving@{DIGEST}")


def test_a_project_s_image_is_built_from_what_its_dockerfile_copies(programs: Programs, tmp_path: Path) -> None:
    project = tmp_path / "flights"
    (project / "src").mkdir(parents=True)
    (project / "mlplat.yaml").write_text(
        "version: 1\nproject: flights\nmodel: late\ntask: binary\ndata: {source: flights, target: late}\n"
    )
    (project / "Dockerfile").write_text("FROM x\nCOPY code /opt/code\nCOPY src /opt/project/src\n")
    (project / "src/a.py").touch()
    (project / "notes.txt").write_text("not for an image")
    programs.answer({"buildah inspect": (1, "", "")})
    (reference,) = typed("build", str(project), "-s", "prod").stdout.splitlines()
    assert reference.startswith(f"{REGISTRY}/projects/flights:")
    (context,) = programs.contexts
    assert {"Dockerfile", "src/a.py", "code/mlplat/__init__.py", "code/mlplat/runtime/gate/verdict.py"} <= set(context)
    assert "notes.txt" not in context
    programs.answer({"buildah push": (0, DIGEST, "")})
    assert typed("push", str(project), "-s", "prod").stdout == f"{REGISTRY}/projects/flights@{DIGEST}\n"


def test_a_project_may_be_built_for_no_stack(programs: Programs, tmp_path: Path) -> None:
    project = tmp_path / "flights"
    project.mkdir()
    (project / "mlplat.yaml").write_text(
        "version: 1\nproject: flights\nmodel: late\ntask: binary\ndata: {source: flights, target: late}\n"
    )
    result = typed("build", str(project))
    assert result.exit_code == 2
    assert "Dockerfile is missing" in str(result.exception)
    (project / "Dockerfile").write_text("FROM x\n")
    assert typed("build", str(project)).stdout.startswith("localhost/mlplat/projects/flights:")
