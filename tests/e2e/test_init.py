"""A platform's repository and the wheel: the README's commands, typed in its order."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

import wheels
from commands import Done, Mlplat, free_ports

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mlplat]:
    """Return the command line of a wheel in a repository that it made, on free ports."""
    made = wheels.install(tmp_path_factory.mktemp("init"))
    done = made.run("init", "our-platform", "--yes")
    made.folder = Path(done.out.strip())
    ports = free_ports(5)
    stack = made.folder / "stacks" / "Pulumi.local.yaml"
    written = stack.read_text().replace("    serving:\n", f"    serving:\n      first_port: {ports[0]}\n")
    stack.write_text(
        f"{written}    tracking: {{port: {ports[1]}}}\n    controller: {{port: {ports[2]}}}\n"
        f"    gateway: {{port: {ports[3]}, admin_port: {ports[4]}}}\n"
    )
    yield made
    made.run("down", "--delete-data", "--yes", code=None)


def readme(repository: Mlplat) -> list[str]:
    """Return the commands of the README that follow the installation, without what is said of them."""
    blocks = re.findall(r"```sh\n(.*?)```", (repository.folder / "README.md").read_text(), re.DOTALL)
    return [line.partition("#")[0].strip() for block in blocks for line in block.splitlines() if "mlplat" in line]


def test_the_readme_s_commands_do_what_it_says(repository: Mlplat) -> None:
    told: dict[str, Done] = {}
    for line in readme(repository):
        program, *argv = shlex.split(line)
        assert program == "mlplat"
        told[line] = repository.run(*argv, timeout=900)
    assert list(told) == ["mlplat up --preview", "mlplat up", "mlplat status", "mlplat outputs", "mlplat down"]
    stack = f"stack local: {repository.folder}/stacks/Pulumi.local.yaml\n"
    assert stack in told["mlplat up --preview"].err
    assert stack in told["mlplat up"].err
    assert "create  service/tracking" in told["mlplat up --preview"].err
    assert {"tracking", "gateway", "controller"} <= set(re.findall(r"^\w+", told["mlplat status"].out, re.MULTILINE))
    assert repository.run("status", code=1).out


def test_it_pins_the_mlplat_that_made_it(repository: Mlplat) -> None:
    version = repository.run("version").out.strip()
    assert f"mlplat[engine]=={version}\n" in (repository.folder / "requirements.txt").read_text()


def test_an_older_stack_file_is_written_anew_by_up_and_changes_no_platform(repository: Mlplat) -> None:
    repository.run("up", timeout=900)
    running = repository.pids()
    stack = repository.folder / "stacks" / "Pulumi.local.yaml"
    new = stack.read_text().replace("retention: {days: 30}", "retention: {megabytes: 512}")
    stack.write_text(new)
    repository.run("up")
    stack.write_text(
        new.replace("version: 2", "version: 1").replace("retention: {megabytes: 512}", "keep_megabytes: 512")
    )
    done = repository.run("up", "--yes")
    assert "-        keep_megabytes: 512\n+        retention: {megabytes: 512}\n" in done.err
    assert "wrote stacks/Pulumi.local.yaml\n" in done.err
    assert "nothing to do: everything runs as written\n" in done.err
    assert stack.read_text() == new
    assert repository.pids() == running
