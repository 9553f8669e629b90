"""Whether state, key and cluster answer from here."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from moto import mock_aws

import awsasked
from mlplat.errors import UnreachableError
from mlplat.spec.platform import PlatformSpec
from mlplat.targets.aws import cluster, reachability
from mlplat.targets.aws.site import Site
from mlplat.targets.findings import Finding

PRIVATE: dict[str, Any] = {"environment": "dev", "protected": False}
SOME = {"cluster": {"public_access_cidrs": ["203.0.113.0/24", "198.51.100.0/24"]}}


@pytest.fixture(autouse=True)
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have moto's account, and its credentials."""
    awsasked.enter(monkeypatch)
    with mock_aws():
        yield


def state(**engine: str) -> dict[str, Finding]:
    """Look for a stack's state."""
    session: Any = awsasked.Session()
    return {each.what: each for each in reachability.state(session, awsasked.spec(engine=engine), "prod")}


def test_a_bucket_that_is_there_answers() -> None:
    s3 = boto3.client("s3", region_name="eu-central-1")
    s3.create_bucket(Bucket="state", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    assert state(backend="s3://state?region=eu-central-1")["state"].ok


def test_a_bucket_that_is_not_there_is_made_by_a_command() -> None:
    found = state(backend="s3://nothing?region=eu-west-1")["state"]
    assert not found.ok
    assert found.mend == "`mlplat state init -s prod` makes it"


def test_a_bucket_of_somebody_else_is_told_apart() -> None:
    session: Any = awsasked.Session({"s3": [("head_bucket", "403")]})
    spec = awsasked.spec(engine={"backend": "s3://theirs"})
    (found,) = reachability.state(session, spec, "prod")
    assert not found.ok
    assert "another account's" in str(found.mend)


def test_a_folder_and_what_is_no_bucket_are_told(tmp_path: Path) -> None:
    assert state(backend=f"file://{tmp_path}")["state"].said == str(tmp_path)
    assert state(backend=f"file://{tmp_path}/new")["state"].said == f"{tmp_path}/new, not made yet"
    assert state(backend="gs://bucket")["state"].said == "gs://bucket: not looked at"
    assert "nobody else" in state()["state"].said


def test_the_key_of_secrets_must_be_there_and_on() -> None:
    kms = boto3.client("kms", region_name="eu-west-1")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    kms.create_alias(AliasName="alias/mlplat-state", TargetKeyId=key)
    url = "awskms://alias/mlplat-state?region=eu-west-1"
    assert state(secrets=url)["secrets key"].ok
    kms.disable_key(KeyId=key)
    off = state(secrets=url)["secrets key"]
    assert (off.ok, off.said) == (False, "`alias/mlplat-state` is Disabled")
    gone = state(secrets="awskms://alias/nothing?region=eu-west-1")["secrets key"]
    assert "mlplat state init" in str(gone.mend)


def api(
    spec: PlatformSpec, *, local: str = "192.0.2.1", public: str = "192.0.2.1", there: bool = False
) -> list[Finding]:
    """Look for the cluster's API from a computer with these addresses."""
    site = Site.of(spec, "prod", "0123456789abcdef") if there else None
    session: Any = awsasked.Session()
    return list(reachability.api(session, site, spec, local=lambda _: local, public=lambda: public))


@pytest.mark.parametrize(("local", "good"), [("10.64.3.4", True), ("10.65.0.1", False), ("192.168.1.2", False)])
def test_a_private_api_needs_a_computer_inside_the_network(local: str, good: bool) -> None:
    (found,) = api(awsasked.spec(), local=local)
    assert found.ok is good
    assert good or "aws.runner" in str(found.mend)


@pytest.mark.parametrize(("public", "good"), [("203.0.113.9", True), ("198.51.100.1", True), ("192.0.2.9", False)])
def test_a_public_api_needs_an_address_that_it_answers(public: str, good: bool) -> None:
    (found,) = api(awsasked.spec(SOME), public=public)
    assert found.ok is good
    assert good or "192.0.2.9/32" in str(found.mend)


def test_an_api_open_to_all_asks_nobody_for_this_computers_address() -> None:
    spec = awsasked.spec({**PRIVATE, "cluster": {"public_access_cidrs": ["0.0.0.0/0"], "deletion_protection": False}})
    (found,) = api(spec, public="no address")
    assert (found.ok, found.said) == (True, "will answer everywhere")


def test_an_address_that_nobody_tells_is_its_own_line() -> None:
    def fail() -> str:
        raise UnreachableError("nobody says", hint="look")

    session: Any = awsasked.Session()
    (found,) = reachability.api(session, None, awsasked.spec(SOME), public=fail)
    assert (found.ok, found.said) == (False, "could not be asked: nobody says")


def test_the_cluster_is_known_by_the_name_that_the_program_gives_it() -> None:
    site = Site.of(awsasked.spec(), "prod", "0123456789abcdef")
    assert site.name(limit=reachability.CLUSTER_LIMIT) == cluster.cluster_name(site)


def test_a_cluster_that_is_there_is_tried(free_port: int) -> None:
    site = Site.of(awsasked.spec(), "prod", "0123456789abcdef")
    endpoint = f"https://127.0.0.1:{free_port}"
    with socket.create_server(("127.0.0.1", free_port)):
        told: awsasked.Answer = ("describe_cluster", {"cluster": {"endpoint": endpoint}})
        session: Any = awsasked.Session({"eks": [told, told]})
        (answers,) = reachability.api(session, site, awsasked.spec())
    assert (answers.ok, answers.said) == (True, f"{endpoint} answers")
    (silent,) = reachability.api(session, site, awsasked.spec())
    assert not silent.ok
    assert "aws.runner" in str(silent.mend)


def test_a_cluster_that_is_not_there_yet_is_judged_by_the_spec() -> None:
    (found,) = api(awsasked.spec(), local="10.64.0.9", there=True)
    assert found.said == "will answer inside 10.64.0.0/16, where this computer is"


def test_a_foundation_alone_puts_nothing_on_its_cluster() -> None:
    assert api(awsasked.spec(foundation={"only": True})) == []


@pytest.mark.parametrize(("text", "good"), [("203.0.113.9\n", True), ("<html>", False)])
def test_the_internet_tells_an_address_or_nothing(text: str, good: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = httpx.Response(200, text=text, request=httpx.Request("GET", reachability.WHO_AM_I))
    monkeypatch.setattr(httpx, "get", lambda *_, **__: answer)
    if good:
        assert reachability.public_address() == "203.0.113.9"
    else:
        with pytest.raises(UnreachableError, match="does not say which address"):
            reachability.public_address()
