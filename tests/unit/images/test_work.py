from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import fakebuilder
from fakebuilder import Programs
from mlplat.errors import MlplatError, RefusedError, UsageError
from mlplat.images import work
from mlplat.images.builder import BUILDAH, DOCKER, PODMAN, Build, Builder
from mlplat.images.work import Worker

REFERENCE = "registry.example.com/mlplat/serving:1-abc"
ECR = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/mlplat/serving:1"
DIGEST = f"sha256:{'a' * 64}"
PINNED = f"registry.example.com/mlplat/serving@{DIGEST}"


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    return fakebuilder.programs(tmp_path / "bin", monkeypatch)


@pytest.fixture
def wanted(tmp_path: Path) -> Build:
    context = tmp_path / "context"
    context.mkdir()
    (context / "Dockerfile").write_text("FROM scratch\n")
    return Build(REFERENCE, context, context / "Dockerfile", "linux/amd64")


def test_the_first_builder_that_works_is_taken(programs: Programs) -> None:
    programs.install("buildah", "podman", "docker")
    assert work.find() is DOCKER
    programs.answer({"docker version": (1, "", "Cannot connect to the Docker daemon\n")})
    assert work.find() is PODMAN
    assert work.find("buildah") is BUILDAH


def test_without_one_every_reason_is_said(programs: Programs) -> None:
    programs.install("docker")
    programs.answer({"docker version": (1, "", "Cannot connect to the Docker daemon\n")})
    with pytest.raises(MlplatError) as refusal:
        work.find()
    assert "`docker` does not work (Cannot connect to the Docker daemon)" in refusal.value.message
    assert "`podman` is not installed" in refusal.value.message
    assert "buildah" in str(refusal.value.hint)


def test_one_that_is_named_is_the_only_one_asked(programs: Programs) -> None:
    programs.install("docker")
    with pytest.raises(MlplatError, match="`podman` is not installed"):
        work.find("podman")
    assert programs.asked == []
    with pytest.raises(UsageError, match="kaniko"):
        work.find("kaniko")


def test_a_builder_that_says_nothing_is_none(programs: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    programs.install("docker")
    (programs.folder / "docker").write_text("#!/bin/sh\nexec /bin/sleep 60\n")
    monkeypatch.setattr(work, "PROBE_SECONDS", 0.05)
    with pytest.raises(MlplatError, match="`docker` does not answer"):
        work.find()


def test_each_step_of_a_build_is_told(programs: Programs, wanted: Build) -> None:
    programs.install("buildah")
    said = ["[1/2] STEP 1/3: FROM x", "Collecting boto3", "STEP 2: RUN y", "#5 [2/3] COPY"]
    programs.answer({"buildah build": (0, "\n".join(said), "")})
    lines: list[str] = []
    Worker(BUILDAH, lines.append).build(wanted)
    assert lines == [line for line in said if line != "Collecting boto3"]


def test_a_build_that_fails_says_its_last_lines_and_where_all_are(programs: Programs, wanted: Build) -> None:
    programs.install("buildah")
    output = "".join(f"line {number}\n" for number in range(40))
    programs.answer({"buildah build": (2, output, "error: it broke\n")})
    with pytest.raises(MlplatError) as failure:
        Worker(BUILDAH).build(wanted)
    assert f"cannot build {REFERENCE} with buildah" in failure.value.message
    assert "line 39" in failure.value.message
    assert "line 10\n" not in failure.value.message
    (log,) = [word for word in str(failure.value.hint).split() if word.endswith(".log")]
    assert Path(log).read_text().count("line ") == 40


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ("unauthorized: authentication required", "buildah login registry.example.com"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES", "--pip-config"),
        ("ERROR: No matching distribution found for mlflow==3.17.2", "base"),
        ("dial tcp: lookup registry.example.com: no such host", "cannot be reached"),
        (
            "tag invalid: The image tag '1' already exists and cannot be overwritten because it is immutable",
            "images lock",
        ),
        ("writing blob: write /x: no space left on device", "free some space"),
    ],
)
def test_a_known_cause_has_its_hint(programs: Programs, said: str, hint: str) -> None:
    programs.install("buildah")
    programs.answer({"buildah push": (1, "", said)})
    with pytest.raises(MlplatError) as failure:
        Worker(BUILDAH).push(REFERENCE)
    assert hint in str(failure.value.hint)


def test_whoever_pushes_to_ecr_is_told_how_to_sign_in() -> None:
    assert work.login_command(ECR, PODMAN) == (
        "aws ecr get-login-password --region eu-west-1"
        " | podman login --username AWS --password-stdin 123456789012.dkr.ecr.eu-west-1.amazonaws.com"
    )


@pytest.mark.parametrize(
    ("builder", "output"),
    [(BUILDAH, DIGEST), (PODMAN, DIGEST), (DOCKER, f"1-abc: digest: {DIGEST} size: 2201\n")],
    ids=lambda each: each.program if isinstance(each, Builder) else "",
)
def test_a_push_returns_the_registry_s_digest(programs: Programs, builder: Builder, output: str) -> None:
    programs.install(builder.program)
    programs.answer({f"{builder.program} push": (0, output, "")})
    assert Worker(builder).push(REFERENCE) == PINNED


def test_a_push_without_a_digest_is_not_taken_for_one(programs: Programs) -> None:
    programs.install("docker")
    programs.answer({"docker push": (0, "done\n", "")})
    with pytest.raises(MlplatError, match="nobody said the digest"):
        Worker(DOCKER).push(REFERENCE)


def test_what_was_not_built_is_not_pushed(programs: Programs) -> None:
    programs.install("buildah")
    programs.answer({"buildah inspect": (1, "", "no such image")})
    with pytest.raises(MlplatError, match="is not here") as refusal:
        Worker(BUILDAH).push(REFERENCE)
    assert "mlplat images build" in str(refusal.value.hint)
    assert ["buildah", "push"] not in [command[:2] for command in programs.asked]


def test_a_registry_is_asked_by_skopeo_before_anything_is_fetched(programs: Programs) -> None:
    programs.install("buildah", "skopeo")
    programs.answer({"skopeo inspect": (0, f"{DIGEST}\n", "")})
    assert Worker(BUILDAH).in_registry(REFERENCE) == PINNED
    assert {command[0] for command in programs.asked} == {"skopeo"}


def test_without_skopeo_the_builder_asks(programs: Programs) -> None:
    programs.install("buildah")
    programs.answer({"buildah inspect": (0, f"{DIGEST}\n", "")})
    assert Worker(BUILDAH).in_registry(REFERENCE) == PINNED
    assert [command[1] for command in programs.asked] == ["pull", "inspect"]


def test_what_a_registry_has_not_is_told_from_one_that_does_not_answer(programs: Programs) -> None:
    programs.install("skopeo", "buildah")
    programs.answer({"skopeo": (1, "", "reading manifest 1-abc in registry.example.com/x: manifest unknown\n")})
    assert Worker(BUILDAH).in_registry(REFERENCE) is None
    programs.answer({"skopeo": (1, "", "pinging registry: dial tcp: connection refused\n")})
    with pytest.raises(MlplatError, match="cannot ask for"):
        Worker(BUILDAH).in_registry(REFERENCE)


def test_secrets_reach_the_builder_as_files(programs: Programs, wanted: Build, tmp_path: Path) -> None:
    programs.install("buildah")
    Worker(BUILDAH).build(replace(wanted, secrets={"pip": tmp_path / "pip.conf"}))
    assert f"id=pip,src={tmp_path / 'pip.conf'}" in programs.asked[0]


@pytest.mark.parametrize("reference", ["localhost/mlplat/serving:1", "localhost/x:1"])
def test_an_image_of_no_registry_is_not_sent(reference: str) -> None:
    with pytest.raises(RefusedError, match="no registry"):
        work.refuse_local(reference)
    work.refuse_local("localhost:5000/x:1")
