"""`mlplat aws` and `mlplat state init`, as they are typed, in an account of moto's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from click.testing import CliRunner, Result
from moto import mock_aws
from ruamel.yaml import YAML

from mlplat.cli import cli, stacks
from mlplat.engine import declared
from mlplat.engine import stack as engine_stack
from mlplat.errors import MlplatError

ACCOUNT, REGION, IDENTITY = "123456789012", "eu-west-1", "0123456789abcdef"
FILE = f"""\
config:
  mlplat:deployment: {IDENTITY}
  mlplat:platform:
    version: 2
    name: acme
    target: aws
    engine:
      backend: s3://acme-state?region={REGION}
      secrets: awskms://alias/acme-state?region={REGION}
    aws:
      account: "{ACCOUNT}"
      region: {REGION}
"""
CLUSTER = f"acme-dev-{IDENTITY[:6]}"


@pytest.fixture(autouse=True)
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Have a stack file in the present folder, and an account of moto's."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "KUBECONFIG"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    file = tmp_path / "stacks" / "Pulumi.dev.yaml"
    file.parent.mkdir()
    file.write_text(FILE)
    monkeypatch.chdir(tmp_path)
    # Without an engine there is no state to ask.
    monkeypatch.setattr(stacks, "find", lambda *_: None)
    with mock_aws():
        yield file


def typed(*argv: str) -> Result:
    """Type a command without a terminal; its exit code is the one a person would see."""
    result = CliRunner().invoke(cli, argv, standalone_mode=False)
    if isinstance(result.exception, MlplatError):
        result.exit_code = result.exception.exit_code
    elif result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    elif isinstance(result.return_value, int):
        result.exit_code = result.return_value
    return result


def test_a_token_is_all_that_is_printed() -> None:
    told = json.loads(typed("aws", "token", "--cluster", CLUSTER, "--region", REGION, "--account", ACCOUNT).stdout)
    assert told["status"]["token"].startswith("k8s-aws-v1.")
    assert typed("aws", "token", "--cluster", CLUSTER, "--region", REGION, "--account", "9" * 12).exit_code == 1


def test_a_kubeconfig_is_printed_or_merged(tmp_path: Path) -> None:
    assert typed("aws", "kubeconfig", "-s", "dev").exit_code == 1
    boto3.client("eks", REGION).create_cluster(
        name=CLUSTER, roleArn=f"arn:aws:iam::{ACCOUNT}:role/x", resourcesVpcConfig={"subnetIds": []}
    )
    printed = YAML(typ="safe").load(typed("aws", "kubeconfig", "-s", "dev").stdout)
    assert printed["users"][0]["user"]["exec"]["args"][-1].endswith("-cluster-admin")
    file = tmp_path / "kubeconfig"
    written = typed("aws", "kubeconfig", "-s", "dev", "--write", "--file", str(file))
    assert written.stdout == ""
    assert YAML(typ="safe").load(file.read_text()) == printed
    assert typed("aws", "kubeconfig", "-s", "dev", "--file", str(file)).exit_code == 2


def test_another_accounts_stack_is_refused(stack: Path) -> None:
    stack.write_text(FILE.replace(ACCOUNT, "999999999999"))
    for verb in ("kubeconfig", "leftovers"):
        assert typed("aws", verb, "-s", "dev").exit_code == 1


def test_leftovers_are_an_exit_code_and_json() -> None:
    clean = typed("aws", "leftovers", "-s", "dev", "--json")
    assert (clean.exit_code, json.loads(clean.stdout)) == (0, [])
    ec2 = boto3.client("ec2", REGION)
    tag = {"Key": f"kubernetes.io/cluster/{CLUSTER}", "Value": "owned"}
    volume = ec2.create_volume(
        AvailabilityZone=f"{REGION}a", Size=1, TagSpecifications=[{"ResourceType": "volume", "Tags": [tag]}]
    )["VolumeId"]
    found = typed("aws", "leftovers", "-s", "dev", "--json")
    (row,) = json.loads(found.stdout)
    assert found.exit_code == 1
    assert (row["kind"], row["name"], row["left_over"]) == ("ec2:volume", volume, True)
    assert typed("aws", "leftovers", "-s", "dev", "--delete").exit_code == 2
    assert ec2.describe_volumes()["Volumes"]
    assert typed("aws", "leftovers", "-s", "dev", "--delete", "--yes", "--timeout", "1").exit_code == 0
    assert not ec2.describe_volumes()["Volumes"]


def test_leftovers_of_an_id_that_no_file_names_any_more_are_found() -> None:
    boto3.client("sqs", REGION).create_queue(QueueName="acme-dev-fedcba-x", tags={"mlplat:deployment": "fedcba98"})
    assert typed("aws", "leftovers", "-s", "dev").exit_code == 0
    assert typed("aws", "leftovers", "-s", "dev", "--deployment", "fedcba98").exit_code == 1


def test_the_policy_is_for_what_the_stack_makes(monkeypatch: pytest.MonkeyPatch, stack: Path) -> None:
    monkeypatch.setattr(declared, "types", lambda *_: frozenset({"aws:sqs/queue:Queue", "mlplat:aws:Keys"}))
    result = typed("aws", "policy", "-s", "dev", "--json")
    text = result.stdout
    assert isinstance(json.loads(text), list)
    assert "sqs:CreateQueue" in text
    assert "rds:" not in text
    assert "arn:aws:s3:::acme-state/*" in text
    assert "boundary" in result.stderr
    assert "rds:CreateDBInstance" in typed("aws", "policy", "-s", "dev", "--all").stdout
    stack.write_text(FILE.replace(f"  mlplat:deployment: {IDENTITY}\n", ""))
    unnamed = typed("aws", "policy", "-s", "dev", "--json")
    assert "acme-dev-??????" in unnamed.stdout
    assert "no deployment id" in unnamed.stderr


def test_a_stack_that_is_not_on_aws_is_refused_with_the_way_to_one() -> None:
    result = typed("aws", "policy", "-s", "local")
    assert isinstance(result.exception, MlplatError)
    assert result.exit_code == 2


def test_state_init_makes_the_place_and_then_begins_the_stack_there(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []

    def opened(*_: Any, **__: Any) -> Any:
        # The bucket is there by now.
        order.extend(each["Name"] for each in boto3.client("s3", REGION).list_buckets()["Buckets"])
        return SimpleNamespace(backend=SimpleNamespace(url="s3://acme-state"))

    monkeypatch.setattr(stacks, "binary", lambda *_, **__: None)
    monkeypatch.setattr(engine_stack, "opened", opened)
    first = typed("state", "init", "-s", "dev")
    assert first.exit_code == 0
    assert order == ["acme-state"]
    assert "made the bucket acme-state" in first.stderr
    assert first.stdout == ""
    assert "as they are to be" in typed("state", "init", "-s", "dev").stderr


def test_state_init_with_another_accounts_credentials_makes_nothing(stack: Path) -> None:
    stack.write_text(FILE.replace(ACCOUNT, "999999999999"))
    assert typed("state", "init", "-s", "dev").exit_code == 1
    assert boto3.client("s3", REGION).list_buckets()["Buckets"] == []
