"""`mlplat cost` of a cluster that is there: what the platform asks of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from mlplat.cli import cli
from mlplat.errors import UsageError

ADDONS = ("gateway", "secrets", "autoscaling", "pipelines", "queues", "monitoring", "cost")


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Stand in a platform's repository, and return what writes the stack `there`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "stacks").mkdir()

    def written(**kubernetes: Any) -> None:
        on = {"context": "there", "production": False, **kubernetes}
        platform = {"version": 2, "target": "kubernetes", "engine": {}, "kubernetes": on}
        text = json.dumps({"config": {"mlplat:platform": platform}})
        (tmp_path / "stacks" / "Pulumi.there.yaml").write_text(text)

    return written


def cost(*arguments: str) -> Result:
    """Type the command."""
    return CliRunner().invoke(cli, ["cost", "-s", "there", *arguments], standalone_mode=False)


def test_requests_are_shown_by_group_with_their_sum(write: Any) -> None:
    write()
    result = cost()
    assert result.exception is None
    lines = {line.split()[0]: line.split()[1:] for line in result.stdout.splitlines()[1:]}
    assert set(lines) == {"services", "total", *ADDONS}
    for column in range(3):
        parts = sum(float(each[column]) for name, each in lines.items() if name != "total")
        assert parts == pytest.approx(float(lines["total"][column]), abs=0.05)
    assert "teams' are not counted" in result.stderr
    assert "each node has" in result.stderr


def test_without_addons_the_services_alone_are_left(write: Any) -> None:
    write(addons=dict.fromkeys(ADDONS, "off"))
    result = cost()
    assert [line.split()[0] for line in result.stdout.splitlines()[1:]] == ["services", "total"]
    assert "each node has" not in result.stderr


def test_all_names_each_kind_of_pod(write: Any) -> None:
    write()
    assert "monitoring node-metrics" in cost("--all").stdout


def test_a_program_gets_whole_numbers(write: Any) -> None:
    write()
    found = json.loads(cost("--json").stdout)
    counted = [each for each in found["lines"] if not each["everywhere"]]
    assert found["cpu_m"] == sum(each["replicas"] * each["cpu_m"] for each in counted)
    assert found["memory_mib"] == sum(each["replicas"] * each["memory_mib"] for each in counted)
    assert found["on_every_node"]["cpu_m"] > 0


@pytest.mark.parametrize("arguments", [("--live",), ("--against", "main")])
def test_prices_are_refused(write: Any, arguments: tuple[str, ...]) -> None:
    write()
    result = cost(*arguments)
    assert isinstance(result.exception, UsageError)
    assert f"`{arguments[0]}` is about prices" in result.exception.message
