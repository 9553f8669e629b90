from __future__ import annotations

from pathlib import Path

import pytest

from mlplat.images import builder
from mlplat.images.builder import BUILDAH, BUILDERS, DOCKER, PODMAN, Build, Builder

REFERENCE = "registry.example.com/mlplat/serving:1-abc"
HERE = "127.0.0.1:5000/serving:1"
DIGEST = f"sha256:{'a' * 64}"
WANTED = Build(
    reference=REFERENCE,
    context=Path("/c"),
    dockerfile=Path("/c/Dockerfile"),
    platform="linux/arm64",
    arguments={"VERSION": "1", "BASE": "python:3.12"},
    secrets={"pip": Path("/home/ada/pip.conf"), "ca": Path("/etc/ca.pem")},
)
OPTIONS = [
    *("--file", "/c/Dockerfile", "--tag", REFERENCE, "--platform", "linux/arm64"),
    *("--build-arg", "BASE=python:3.12", "--build-arg", "VERSION=1"),
    *("--secret", "id=ca,src=/etc/ca.pem", "--secret", "id=pip,src=/home/ada/pip.conf"),
    "/c",
]


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (DOCKER, ["docker", "build", "--provenance=false", "--progress=plain"]),
        (PODMAN, ["podman", "build", "--layers", "--format=oci"]),
        (BUILDAH, ["buildah", "build", "--layers", "--format=oci"]),
    ],
    ids=lambda each: each.program if isinstance(each, Builder) else "",
)
def test_build(made: Builder, words: list[str]) -> None:
    assert made.build(WANTED) == words + OPTIONS


def test_docker_builds_with_what_has_secrets() -> None:
    assert DOCKER.environment == {"DOCKER_BUILDKIT": "1"}


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (DOCKER, ["docker", "push", REFERENCE]),
        (PODMAN, ["podman", "push", "--digestfile=/d", REFERENCE]),
        (BUILDAH, ["buildah", "push", "--digestfile=/d", REFERENCE]),
    ],
    ids=lambda each: each.program if isinstance(each, Builder) else "",
)
def test_push(made: Builder, expected: list[str]) -> None:
    assert made.push(REFERENCE, Path("/d")) == expected


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (DOCKER, [["docker", "buildx", "imagetools", "inspect", REFERENCE, "--format", "{{json .Manifest}}"]]),
        (
            PODMAN,
            [
                ["podman", "pull", "--quiet", REFERENCE],
                ["podman", "image", "inspect", "--format", "{{.Digest}}", REFERENCE],
            ],
        ),
        (
            BUILDAH,
            [
                ["buildah", "pull", "--quiet", "--policy", "always", REFERENCE],
                ["buildah", "inspect", "--type", "image", "--format", "{{.FromImageDigest}}", REFERENCE],
            ],
        ),
    ],
    ids=lambda each: each.program if isinstance(each, Builder) else "",
)
def test_ask(made: Builder, expected: list[list[str]]) -> None:
    assert made.ask(REFERENCE) == expected


def test_skopeo_asks_for_a_digest_and_no_layers() -> None:
    head = ["skopeo", "inspect", "--no-tags"]
    assert builder.skopeo(REFERENCE) == [[*head, "--format", "{{.Digest}}", f"docker://{REFERENCE}"]]


@pytest.mark.parametrize("made", [PODMAN, BUILDAH], ids=lambda each: each.program)
@pytest.mark.parametrize(
    ("reference", "plain"),
    [(HERE, True), ("localhost:5000/x:1", True), ("[::1]:5000/x:1", True), (REFERENCE, False), ("r:5000/x:1", False)],
)
def test_only_a_registry_on_this_computer_goes_without_tls(made: Builder, reference: str, plain: bool) -> None:
    commands = [made.push(reference, Path("/d")), made.ask(reference)[0], builder.skopeo(reference)[0]]
    assert [("--tls-verify=false" in command) for command in commands] == [plain] * 3


@pytest.mark.parametrize("made", BUILDERS, ids=lambda each: each.program)
def test_a_secret_s_content_is_in_no_command(made: Builder) -> None:
    """Only where it lies: commands are seen by everybody on a computer."""
    assert not any(word.startswith("--build-arg=") for word in made.build(WANTED))
    assert [word for word in made.build(WANTED) if "pip.conf" in word] == ["id=pip,src=/home/ada/pip.conf"]


@pytest.mark.parametrize(
    ("output", "digest"),
    [
        (f"1-abc: digest: {DIGEST} size: 2201\n", DIGEST),
        (f"{DIGEST}\n", DIGEST),
        (f"sha256:{'b' * 64} is old\nlatest: digest: {DIGEST} size: 1\n", DIGEST),
        (f'{{"mediaType": "x", "digest": "{DIGEST}", "manifests": [{{"digest": "sha256:{"b" * 64}"}}]}}', DIGEST),
        ("denied\n", None),
        ("", None),
        ("{}", None),
        ("[]", None),
        ("sha256:abc", None),
    ],
)
def test_a_digest_is_found_in_what_a_program_says(output: str, digest: str | None) -> None:
    assert builder.digest_of(output) == digest


@pytest.mark.parametrize(
    ("reference", "repository", "host"),
    [
        (REFERENCE, "registry.example.com/mlplat/serving", "registry.example.com"),
        (HERE, "127.0.0.1:5000/serving", "127.0.0.1:5000"),
        ("registry.example.com:5000/serving", "registry.example.com:5000/serving", "registry.example.com:5000"),
    ],
)
def test_a_port_is_no_tag(reference: str, repository: str, host: str) -> None:
    assert (builder.repository(reference), builder.host(reference)) == (repository, host)
