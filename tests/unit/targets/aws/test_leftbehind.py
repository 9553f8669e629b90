"""Names that are taken although the state does not know by what."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

import awsasked
from mlplat.targets.aws import leftbehind
from mlplat.targets.aws.leftbehind import KINDS, is_ours, known_to
from mlplat.targets.aws.site import Site
from mlplat.targets.findings import Finding

MINE, OTHER = "0123456789abcdef", "fedcba9876543210"
TRUST = json.dumps({"Version": "2012-10-17", "Statement": []})


@pytest.fixture(autouse=True)
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have moto's account, and its credentials."""
    awsasked.enter(monkeypatch)
    with mock_aws():
        yield


def site(deployment: str = MINE, platform: str = "mlplat") -> Site:
    """Return a deployment's site."""
    return Site.of(awsasked.spec(name=platform), "prod", deployment)


def client(service: str) -> Any:
    """Return a client of the account."""
    return boto3.client(service, region_name="eu-west-1")


def leave(at: Site) -> None:
    """Leave one thing of every kind behind, as a lost state does."""
    name = at.name("left")
    client("logs").create_log_group(logGroupName=f"/aws/eks/{name}/cluster")
    key = client("kms").create_key()["KeyMetadata"]["KeyId"]
    client("kms").create_alias(AliasName=f"alias/{name}", TargetKeyId=key)
    client("iam").create_role(RoleName=at.name("left", limit=64), AssumeRolePolicyDocument=TRUST)
    role = f"arn:aws:iam::{awsasked.ACCOUNT}:role/{name}"
    client("s3").create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    client("ecr").create_repository(repositoryName=at.path("left"))
    client("sqs").create_queue(QueueName=name)
    client("rds").create_db_instance(DBInstanceIdentifier=name, DBInstanceClass="db.t4g.micro", Engine="postgres")
    client("secretsmanager").create_secret(Name=at.path("left"), SecretString="x")
    client("eks").create_cluster(name=name, roleArn=role, resourcesVpcConfig={"subnetIds": []})


def looked(at: Site, known: frozenset[str] = frozenset()) -> dict[str, Finding]:
    """Look for names that are taken."""
    session: Any = awsasked.Session()
    return {each.what: each for each in leftbehind.check(session, at, "prod", known)}


def test_an_empty_account_has_no_name_taken() -> None:
    found = looked(site())
    assert len(found) == len(KINDS)
    assert all(each.ok for each in found.values())


def test_every_kind_that_a_lost_state_leaves_is_found_with_a_mend() -> None:
    leave(site())
    for kind, found in zip(KINDS, looked(site()).values(), strict=True):
        assert not found.ok, kind.name
        assert "left" in found.said
        assert f"pulumi import {kind.type}" in str(found.mend)
        assert "mlplat aws leftovers -s prod" in str(found.mend)


def test_another_deployment_in_the_account_is_not_this_ones() -> None:
    leave(site(OTHER))
    assert all(each.ok for each in looked(site()).values())


def test_what_the_state_knows_is_not_left_behind() -> None:
    leave(site())
    names = [name for kind in KINDS for pair in kind.lists(client(kind.service)) for name in pair]
    assert all(each.ok for each in looked(site(), frozenset(names)).values())


def test_a_secret_that_waits_for_its_deletion_keeps_its_name() -> None:
    client("secretsmanager").create_secret(Name=site().path("left"), SecretString="x")
    client("secretsmanager").delete_secret(SecretId=site().path("left"), RecoveryWindowInDays=30)
    assert not looked(site())["names of secrets"].ok


def test_a_name_that_was_cut_is_still_its_deployments() -> None:
    long = site(platform="a-platform-with-a-name-as-long-as-names-may-be-for-one")
    for name in (long.name("node", limit=64), long.name(limit=40), long.path("x"), f"alias/{long.name('data')}"):
        assert is_ours(long, name)
        assert not is_ours(site(OTHER), name)


def test_a_kind_that_could_not_be_asked_is_its_own_line_and_the_others_are_asked() -> None:
    session: Any = awsasked.Session({"sqs": [("list_queues", "AccessDenied")]})
    found = {each.what: each for each in leftbehind.check(session, site(), "prod", frozenset())}
    assert found["names of queues"].said.startswith("could not be asked")
    assert [name for name, each in found.items() if not each.ok] == ["names of queues"]


def test_many_names_are_counted() -> None:
    found = leftbehind.judge(KINDS[3], "prod", [(f"role-{n}", f"role-{n}") for n in range(9)])
    assert found.said.endswith("role-4 and 4 more")


def test_a_state_knows_ids_arns_and_names() -> None:
    resources: list[dict[str, Any]] = [
        {"urn": "u", "id": "an-id", "outputs": {"arn": "an-arn", "name": "a-name", "port": 1}},
        {"urn": "v", "outputs": None},
    ]
    assert known_to(resources) == {"an-id", "an-arn", "a-name"}
