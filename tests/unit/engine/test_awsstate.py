"""The bucket and the key of a stack's state, made in an account of moto's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from moto import mock_aws

from mlplat.engine import awsstate
from mlplat.errors import RefusedError, UsageError
from mlplat.spec.aws import AwsSpec
from mlplat.spec.platform import EngineSpec, PlatformSpec

ACCOUNT, REGION, BUCKET = "123456789012", "eu-west-1", "acme-state"
KEY = f"awskms://alias/acme-state?region={REGION}"


@pytest.fixture(autouse=True)
def _account(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        yield


def spec(backend: str | None = f"s3://{BUCKET}/platform?region={REGION}", secrets: str | None = KEY) -> PlatformSpec:
    return PlatformSpec(
        name="acme",
        target="aws",
        owner="ada",
        aws=AwsSpec(account=ACCOUNT, region=REGION),
        engine=EngineSpec(backend=backend, secrets=secrets),
    )


def init(of: PlatformSpec | None = None) -> list[str]:
    return awsstate.init(of or spec(), boto3.Session(region_name=REGION), lambda _: None)


def s3() -> Any:
    return boto3.client("s3", region_name=REGION)


def kms() -> Any:
    return boto3.client("kms", region_name=REGION)


def test_a_bucket_is_made_that_nobody_else_reads_and_nothing_is_lost_in() -> None:
    init()
    key = kms().describe_key(KeyId="alias/acme-state")["KeyMetadata"]
    assert kms().get_key_rotation_status(KeyId=key["KeyId"])["KeyRotationEnabled"]
    assert s3().get_bucket_location(Bucket=BUCKET)["LocationConstraint"] == REGION
    assert s3().get_bucket_versioning(Bucket=BUCKET)["Status"] == "Enabled"
    (rule,) = s3().get_bucket_encryption(Bucket=BUCKET)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key["Arn"]}
    assert all(s3().get_public_access_block(Bucket=BUCKET)["PublicAccessBlockConfiguration"].values())
    policy = json.loads(s3().get_bucket_policy(Bucket=BUCKET)["Policy"])
    assert {each["Sid"]: each["Effect"] for each in policy["Statement"]} == {"TlsOnly": "Deny", "Locked": "Deny"}
    (end,) = s3().get_bucket_lifecycle_configuration(Bucket=BUCKET)["Rules"]
    assert end["NoncurrentVersionExpiration"]["NoncurrentDays"] == awsstate.OLD_DAYS
    assert {"Key": "mlplat:purpose", "Value": "state"} in s3().get_bucket_tagging(Bucket=BUCKET)["TagSet"]


def test_a_second_time_does_nothing() -> None:
    assert init()
    assert init() == []


def test_no_tag_of_a_deployment_is_on_it_for_it_outlives_them() -> None:
    init()
    key = kms().describe_key(KeyId="alias/acme-state")["KeyMetadata"]["KeyId"]
    names = {each["TagKey"] for each in kms().list_resource_tags(KeyId=key)["Tags"]}
    names |= {each["Key"] for each in s3().get_bucket_tagging(Bucket=BUCKET)["TagSet"]}
    assert "mlplat:deployment" not in names


def test_a_key_that_an_interrupted_run_made_is_named_and_not_made_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    init()
    kms().delete_alias(AliasName="alias/acme-state")
    assert init() == ["named it alias/acme-state"]
    assert len(kms().list_keys()["Keys"]) == 1


@pytest.mark.parametrize(
    ("undo", "said"),
    [
        (
            lambda: s3().put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Suspended"}),
            "versions",
        ),
        (lambda: s3().delete_bucket_policy(Bucket=BUCKET), "the policy"),
        (lambda: s3().delete_public_access_block(Bucket=BUCKET), "the refusal of public access"),
        (lambda: s3().delete_bucket_encryption(Bucket=BUCKET), "encryption"),
        (lambda: s3().delete_bucket_lifecycle(Bucket=BUCKET), "the end of old versions"),
        (lambda: s3().delete_bucket_tagging(Bucket=BUCKET), "the tags"),
    ],
)
def test_what_differs_is_set_again_and_nothing_else(undo: Any, said: str) -> None:
    init()
    undo()
    assert init() == [f"set {said} of {BUCKET}"]


def test_a_bucket_of_another_account_is_refused() -> None:
    session, asked = boto3.Session(region_name=REGION), []

    # S3's answer where `ExpectedBucketOwner` is not who owns it; moto does not look at that.
    def answer(params: dict[str, Any], **_: Any) -> tuple[Any, dict[str, Any]]:
        asked.append(params["headers"]["x-amz-expected-bucket-owner"])
        told = {"Error": {"Code": "403"}, "ResponseMetadata": {"HTTPStatusCode": 403}}
        return SimpleNamespace(status_code=403), told

    session.events.register("before-call.s3.HeadBucket", answer)
    with pytest.raises(RefusedError, match="not account 123456789012's"):
        awsstate.init(spec(), session, lambda _: None)
    assert asked == [ACCOUNT]


def test_a_bucket_of_another_region_is_refused() -> None:
    boto3.client("s3", "eu-central-1").create_bucket(
        Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
    )
    with pytest.raises(RefusedError, match="eu-central-1"):
        init()


def test_a_key_that_is_about_to_be_deleted_is_refused_before_a_bucket_stands_on_it() -> None:
    init()
    kms().schedule_key_deletion(KeyId=kms().describe_key(KeyId="alias/acme-state")["KeyMetadata"]["KeyId"])
    with pytest.raises(RefusedError, match="PendingDeletion"):
        init()


@pytest.mark.parametrize(
    ("backend", "secrets"),
    [
        ("file:///srv/state", KEY),
        (None, KEY),
        (f"s3://{BUCKET}", "gcpkms://projects/x"),
        (f"s3://{BUCKET}", "awskms://alias/x?region=us-east-1"),
    ],
)
def test_what_is_no_place_on_aws_is_refused(backend: str | None, secrets: str) -> None:
    with pytest.raises(UsageError):
        init(spec(backend, secrets))


def test_without_a_key_of_ones_own_the_bucket_is_encrypted_all_the_same() -> None:
    init(spec(secrets=None))
    (rule,) = s3().get_bucket_encryption(Bucket=BUCKET)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms"
    assert kms().list_keys()["Keys"] == []
