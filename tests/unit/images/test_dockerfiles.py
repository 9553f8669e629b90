"""What the shipped Dockerfiles promise, read from their text; `tests/node` builds and starts them."""

from __future__ import annotations

import json
import re

import pytest

from mlplat.environment import REQUIREMENTS
from mlplat.images import catalogue
from mlplat.images.catalogue import FILES, Image
from mlplat.services.tracking import tracking
from mlplat.spec.kubernetes import ClusterImagesSpec
from mlplat.spec.platform import PlatformSpec

EVERY = pytest.mark.parametrize("image", catalogue.ALL, ids=lambda image: image.name)
Line = tuple[str, str]


def instructions(image: Image) -> list[Line]:
    """Return a Dockerfile's instructions: word and rest, comments and line ends gone."""
    text = re.sub(r"^\s*#.*\n", "", image.dockerfile.read_text(), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", " ", text).splitlines()
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in lines if line.strip()]


def last_stage(image: Image) -> list[Line]:
    lines = instructions(image)
    start = max(index for index, (word, _) in enumerate(lines) if word == "FROM")
    return lines[start:]


def test_every_file_there_is_an_image() -> None:
    assert {path.name for path in FILES.iterdir()} == {f"{name}.Dockerfile" for name in catalogue.NAMES}
    assert {path.stem for path in (REQUIREMENTS / "images").glob("*.txt")} <= set(catalogue.NAMES)


@EVERY
def test_it_is_locked_by_itself_or_as_this_computers_service_is(image: Image) -> None:
    found = [path for path in (REQUIREMENTS / f"{image.name}.txt", image.requirements) if path.is_file()]
    assert image.requirements in found
    assert ("images" in image.requirements.parts) == (image.name != "features")


@EVERY
def test_every_stage_stands_on_the_one_base_and_a_stack_s_default_is_the_file_s(image: Image) -> None:
    lines = instructions(image)
    assert lines[0] == ("ARG", f"BASE={ClusterImagesSpec().base}")
    assert {rest.split()[0] for word, rest in lines if word == "FROM"} == {"${BASE}"}


@EVERY
def test_no_version_is_whatever_happens_to_be_newest(image: Image) -> None:
    assert "latest" not in image.dockerfile.read_text()
    (pip,) = [rest for word, rest in instructions(image) if "/build/bin/pip" in rest]
    assert {"--require-hashes", "--only-binary=:all:", "--requirement", "/build/requirements.txt"} <= set(pip.split())
    required = [line for line in image.requirements.read_text().splitlines() if re.match("[a-z0-9]", line)]
    assert required
    assert [line for line in required if not re.match(r"[a-z0-9._-]+(\[[a-z,]+\])?==\S+", line)] == []


@EVERY
def test_an_index_s_settings_are_mounted_and_never_copied(image: Image) -> None:
    lines = instructions(image)
    (pip,) = [rest for word, rest in lines if "/build/bin/pip" in rest]
    assert "--mount=type=secret,id=pip,target=/etc/pip.conf" in pip
    assert "--mount=type=secret,id=ca,target=/run/secrets/ca" in pip
    assert {rest.split("=")[0] for word, rest in lines if word == "ARG"} == {"BASE", "VERSION"}
    assert [rest for word, rest in lines if word == "ENV" and re.search("PIP_|UV_|INDEX|TOKEN", rest)] == []
    copied = {rest for word, rest in lines if word == "COPY" and "--from" not in rest}
    assert copied <= {"requirements.txt /build/", "code /opt/code"}


@EVERY
def test_it_runs_as_a_number_and_not_as_root(image: Image) -> None:
    users = [rest for word, rest in last_stage(image) if word == "USER"]
    assert [re.fullmatch(r"[1-9]\d{4,}:[1-9]\d{4,}", user) is not None for user in users] == [True]
    assert users[0].split(":")[0] == str(tracking(PlatformSpec()).user)


@EVERY
def test_nothing_is_installed_in_the_last_stage(image: Image) -> None:
    ran = [rest for word, rest in last_stage(image) if word == "RUN"]
    assert [rest for rest in ran if not rest.startswith("python3 -m compileall ")] == []
    assert "VOLUME" not in {word for word, _ in last_stage(image)}
    assert "ADD" not in {word for word, _ in instructions(image)}


@EVERY
def test_what_changes_often_is_copied_after_what_does_not(image: Image) -> None:
    copied = [rest.split()[-1] for word, rest in last_stage(image) if word == "COPY"]
    assert copied == ["/opt/mlplat", *(["/opt/code"] if image.modules else [])]


@EVERY
def test_it_says_what_it_is(image: Image) -> None:
    (labels,) = [rest for word, rest in last_stage(image) if word == "LABEL"]
    found = dict(re.findall(r'org\.opencontainers\.image\.([a-z.]+)="([^"]*)"', labels))
    assert found == {
        "title": f"mlplat-{image.name}",
        "description": image.description,
        "version": "${VERSION}",
        "licenses": "Apache-2.0",
        "base.name": "${BASE}",
    }


@EVERY
def test_its_program_is_what_services_start(image: Image) -> None:
    (text,) = [rest for word, rest in last_stage(image) if word == "ENTRYPOINT"]
    entrypoint = json.loads(text)
    if image.name == "tracking":
        assert entrypoint == list(tracking(PlatformSpec()).argv[: len(entrypoint)])
    else:
        assert entrypoint == ["python", "-m", image.modules[0].removesuffix(".__main__")]


@pytest.mark.parametrize("name", ["serving", "tracking"])
def test_an_image_runs_the_very_versions_of_this_computer_s_service(name: str) -> None:
    pins = {
        each: set(re.findall(r"^([a-z0-9._-]+==\S+)", (REQUIREMENTS / f"{each}.txt").read_text(), re.MULTILINE))
        for each in (name, f"images/{name}")
    }
    assert pins[name] <= pins[f"images/{name}"]
