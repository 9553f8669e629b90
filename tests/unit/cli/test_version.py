"""`mlplat version`, as a person types it."""

from __future__ import annotations

import json
from dataclasses import asdict

from click.testing import CliRunner

import mlplat
from mlplat import versions
from mlplat.cli import cli


def version(*arguments: str) -> str:
    """Type the command; return what it prints for a program."""
    result = CliRunner().invoke(cli, ["version", *arguments], standalone_mode=False)
    assert result.exception is None
    return result.stdout


def test_alone_it_is_one_word() -> None:
    assert version() == f"{mlplat.__version__}\n"


def test_all_shows_every_pin_with_the_kubernetes_that_takes_it() -> None:
    lines = version("--all").splitlines()
    shown = {line.split()[0]: line for line in lines}
    for chart in versions.CHARTS:
        assert chart.version in shown[chart.name]
        assert ", ".join(chart.kubernetes) in shown[chart.name]
    assert versions.ARGO_WORKFLOWS.app in shown["argo-workflows"]


def test_a_program_is_told_why_and_from_where() -> None:
    parts = {each["name"]: each for each in json.loads(version("--all", "--json"))["parts"]}
    assert parts["keda"]["repository"] == versions.KEDA.repository
    assert parts["keda"]["reason"] == versions.KEDA.reason
    assert parts["gateway-api"]["files"] == [asdict(each) for each in versions.GATEWAY_API.files]
    assert {"chart", "definitions", "addon", "image"} == {each["kind"] for each in parts.values()}


def test_a_program_that_asks_for_the_version_gets_nothing_more() -> None:
    assert set(json.loads(version("--json"))) == {"mlplat", "python", "system"}
