"""What is asked of AWS itself before a stack is ended."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from mlplat.errors import RefusedError
from mlplat.spec.aws import AwsSpec
from mlplat.targets.aws import ends, token
from mlplat.targets.aws.site import Site

REGION = "eu-west-1"
SITE = Site("acme", "dev", "0123456789abcdef", AwsSpec(account="123456789012", region=REGION))
ADMIN = "arn:aws:iam::123456789012:role/acme-dev-012345-cluster-admin"


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Iterator[boto3.Session]:
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        yield boto3.Session(region_name=REGION)


def state(*resources: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"type": "pulumi:pulumi:Stack"}, *resources]


def test_a_stack_knows_its_cluster_and_so_does_one_that_stands_on_it() -> None:
    assert ends.cluster_of(state({"type": ends.CLUSTER, "outputs": {"name": "acme"}})) == "acme"
    below = {"outputs": {"foundation": {"cluster": "acme"}}}
    assert ends.cluster_of(state({"type": ends.REFERENCE, "outputs": below})) == "acme"
    assert ends.cluster_of(state({"type": ends.REFERENCE, "outputs": {"outputs": {}}})) is None
    assert ends.cluster_of(state()) is None


def test_a_cluster_that_is_gone_is_nothing_to_drain(session: boto3.Session) -> None:
    with ends.reached(session, SITE, "acme-dev-012345") as cluster:
        assert cluster is None


@pytest.mark.parametrize(("admins", "role"), [([], ADMIN), (["arn:aws:iam::123456789012:role/ops"], None)])
def test_a_cluster_is_entered_as_its_administrator(
    session: boto3.Session, monkeypatch: pytest.MonkeyPatch, admins: list[str], role: str | None
) -> None:
    asked: list[dict[str, Any]] = []

    def get(*_: str, **more: Any) -> Any:
        asked.append(more)
        raise RefusedError("asked")

    monkeypatch.setattr(token, "get", get)
    monkeypatch.setattr(
        ends,
        "_described",
        lambda *_: {"endpoint": "http://127.0.0.1:1", "certificateAuthority": {"data": _authority()}},
    )
    spec = SITE.aws.model_copy(update={"cluster": SITE.aws.cluster.model_copy(update={"admins": admins})})
    site = Site("acme", "dev", SITE.deployment, spec)
    with ends.reached(session, site, "acme-dev-012345") as cluster:
        assert cluster
        with pytest.raises(RefusedError, match="asked"):
            cluster.groups()
    assert asked == [{"account": "123456789012", "role": role}]


def test_awss_own_locks_are_taken_back_and_what_is_gone_is_passed_over(session: boto3.Session) -> None:
    rds = session.client("rds")
    rds.create_db_instance(
        DBInstanceIdentifier="acme",
        DBInstanceClass="db.t4g.micro",
        Engine="postgres",
        AllocatedStorage=20,
        MasterUsername="master",
        MasterUserPassword="for-tests-only",
        DeletionProtection=True,
    )
    said: list[str] = []
    ends.unlock(session, [(ends.DATABASE, "acme"), (ends.DATABASE, "gone")], said.append)
    (found,) = rds.describe_db_instances()["DBInstances"]
    assert not found["DeletionProtection"]
    assert said == ["instance acme: may be deleted now"]


def test_a_cluster_is_deleted_only_once_the_change_of_its_lock_is_over(
    session: boto3.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    # moto does not change clusters.
    order: list[str] = []

    class Waiter:
        def wait(self, **asked: Any) -> None:
            order.append(f"wait for {asked['name']}")

    class Eks:
        def update_cluster_config(self, **asked: Any) -> None:
            order.append(f"update {asked['name']} {asked['deletionProtection']}")
            if asked["name"] == "gone":
                raise ClientError({"Error": {"Code": "ResourceNotFoundException", "Message": ""}}, "Update")

        def get_waiter(self, name: str) -> Waiter:
            assert name == "cluster_active"
            return Waiter()

    monkeypatch.setattr(ends, "client", lambda *_: Eks())
    ends.unlock(session, [(ends.CLUSTER, "acme"), (ends.CLUSTER, "gone")], lambda _: None)
    assert order == ["update acme False", "wait for acme", "update gone False"]


def _authority() -> str:
    import ssl

    found = ssl.create_default_context().get_ca_certs(binary_form=True)[0]
    return base64.b64encode(ssl.DER_cert_to_PEM_cert(found).encode()).decode()
