"""`mlplat cost`, as a person types it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import awsasked
from mlplat.cli import cli
from mlplat.errors import MlplatError
from mlplat.targets.aws import session

POOL = {"instance_types": ["m7i.large"], "max_size": 2}


@pytest.fixture
def stacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a platform's repository, and return the folder of its stack files."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "stacks"
    folder.mkdir()
    return folder


def write(folder: Path, name: str = "prod", *, size: int = 2, **more: Any) -> Path:
    """Write a stack file with a pool."""
    aws = {"account": "123456789012", "region": "eu-west-1"}
    pools = {"cpu": {**POOL, "max_size": size}}
    platform = {"version": 2, "target": "aws", "engine": {}, "aws": aws, "pools": pools, **more}
    path = folder / f"Pulumi.{name}.yaml"
    path.write_text(json.dumps({"config": {"mlplat:platform": platform}}))
    return path


def cost(*arguments: str) -> Result:
    """Type the command; the exit code is the one a person would see."""
    result = CliRunner().invoke(cli, ["cost", "-s", "prod", *arguments], standalone_mode=False)
    if isinstance(result.exception, MlplatError):
        result.exit_code = result.exception.exit_code
    elif result.exception:
        raise result.exception
    else:
        result.exit_code = result.return_value or 0
    return result


def git(folder: Path, *arguments: str) -> None:
    """Run git in a folder."""
    who = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)


def test_components_and_the_whole_are_shown_idle_and_full(stacks: Path) -> None:
    write(stacks)
    result = cost()
    assert result.exit_code == 0
    head, *rows, total = result.stdout.splitlines()
    assert head.split() == ["COMPONENT", "IDLE", "USD", "FULL", "USD"]
    amounts = [[float(each.replace(",", "")) for each in row.split()[-2:]] for row in [*rows, total]]
    for column in (0, 1):
        assert sum(row[column] for row in amounts[:-1]) == pytest.approx(amounts[-1][column], abs=0.05)
    assert "those of eu-west-1 differ" in result.stderr
    assert "database: its disk is paid while it sleeps, too" in result.stderr
    assert "not counted, as it is paid by volume" in result.stderr


def test_json_holds_every_price_with_date_and_source(stacks: Path) -> None:
    write(stacks, cost={"max_monthly_usd": 5000.0})
    found = json.loads(cost("--json").stdout)
    assert found["cap"] == 5000.0
    assert found["full"] == pytest.approx(sum(line["full_usd"] or 0 for line in found["lines"]))
    for line in found["lines"]:
        if line["unit_usd"] is not None:
            assert line["date"]
            assert line["source"]


def test_all_shows_what_is_paid_by_volume_and_what_nobody_knows(stacks: Path) -> None:
    write(stacks)
    shown = cost("--all").stdout
    assert "s3.standard" in shown
    assert next(line for line in shown.splitlines() if "backup.s3" in line).count("unknown") == 1


def test_over_the_cap_is_a_failure_and_says_so(stacks: Path) -> None:
    write(stacks, cost={"max_monthly_usd": 10.0})
    result = cost()
    assert result.exit_code == 1
    assert "is more than `cost.max_monthly_usd`, 10.00 USD" in result.stderr


def test_an_unknown_price_is_a_failure_and_says_so(stacks: Path) -> None:
    write(stacks, cost={"volumes": {"backup.s3": 10.0}})
    result = cost()
    assert result.exit_code == 1
    assert "nobody knows what `backup.s3` costs (backup: copies of the buckets)" in result.stderr
    assert next(line for line in result.stdout.splitlines() if line.startswith("backup")).endswith(
        "and what is not known"
    )


def test_a_change_is_shown_in_money_against_a_file(stacks: Path) -> None:
    write(stacks, size=4)
    other = write(stacks, "other", size=2)
    result = cost("--against", str(other))
    name, idle, full = result.stdout.splitlines()[-2].rsplit(maxsplit=2)
    assert (name, idle) == ("pool cpu", "+0.00")
    assert float(full) == pytest.approx(2 * (0.1008 * 730 + 8), abs=0.01)
    back = json.loads(cost("--against", str(other), "--json").stdout)
    assert back["changes"] == [
        {"component": "pool cpu", "idle_usd": 0.0, "full_usd": pytest.approx(float(full), abs=0.01)}
    ]


def test_a_change_is_shown_in_money_against_a_revision(stacks: Path) -> None:
    git(stacks.parent, "init", "-b", "main")
    write(stacks, size=2)
    git(stacks.parent, "add", ".")
    git(stacks.parent, "commit", "-m", "two")
    assert "costs the same as main" in cost("--against", "main").stderr
    write(stacks, size=1)
    assert cost("--against", "main").stdout.splitlines()[-2].split()[-1].startswith("-")


@pytest.mark.parametrize("against", ["nowhere", "--output=x"])
def test_what_is_neither_file_nor_revision_is_refused(stacks: Path, against: str) -> None:
    git(stacks.parent, "init", "-b", "main")
    write(stacks)
    result = cost(f"--against={against}")
    assert result.exit_code == 2
    assert f"`{against}` is" in str(result.exception)


def test_outside_a_repository_a_revision_is_refused(stacks: Path) -> None:
    write(stacks)
    result = cost("--against", "main")
    assert result.exit_code == 2


def test_live_prices_are_the_regions(stacks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(stacks)
    price = {"unit": "Hrs", "pricePerUnit": {"USD": "0.2"}}
    product = json.dumps({"terms": {"OnDemand": {"S.T": {"priceDimensions": {"S.T.1": price}}}}})
    answer: awsasked.Answer = ("get_products", {"FormatVersion": "aws_v1", "PriceList": [product]})
    awsasked.enter(monkeypatch)
    asked = awsasked.Session({"pricing": [answer] * 40})
    monkeypatch.setattr(session, "open", lambda _: asked)
    monkeypatch.setattr("mlplat.targets.aws.liveprices.SIDE_BY_SIDE", 1)  # a stub answers one at a time
    lines = {line["item"]: line for line in json.loads(cost("--live", "--json").stdout)["lines"]}
    assert (lines["ec2.m7i.large"]["unit_usd"], lines["ec2.m7i.large"]["region"]) == (0.2, "eu-west-1")
    assert lines["route53.zone" if "route53.zone" in lines else "rds.backup"]["region"] == "us-east-1"


def test_a_local_platform_costs_nothing(stacks: Path) -> None:
    (stacks / "Pulumi.prod.yaml").write_text("config:\n  mlplat:platform:\n    version: 2\n")
    result = cost()
    assert result.exit_code == 2
    assert "costs nothing" in str(result.exception)
