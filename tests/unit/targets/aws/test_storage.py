from __future__ import annotations

import fnmatch
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import capture
from capture import Graph
from mlplat.spec.aws import AwsSpec
from mlplat.spec.aws.data import StorageSpec
from mlplat.targets.aws.bucketpolicies import logs_policy, policy
from mlplat.targets.aws.lifecycle import rules
from mlplat.targets.aws.site import Site
from mlplat.targets.aws.storage import DATA_KINDS, KINDS, Storage, bucket_arn, bucket_name

KEY = "arn:aws:kms:eu-west-1:111122223333:key/data"
ENCRYPTION = "s3:x-amz-server-side-encryption"
LABELS = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", fullmatch=True)
STAYING = (
    "bucketLifecycleConfiguration:BucketLifecycleConfiguration",
    "bucketOwnershipControls:BucketOwnershipControls",
    "bucketPolicy:BucketPolicy",
    "bucketPublicAccessBlock:BucketPublicAccessBlock",
    "bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
    "bucketVersioning:BucketVersioning",
)


def site(protected: bool = True, platform: str = "mlplat", stack: str = "dev") -> Site:
    spec = AwsSpec(account="111122223333", region="eu-west-1", environment="dev", protected=protected)
    return Site(platform, stack, "0123456789abcdef", spec)


def made(protected: bool = True) -> Graph:
    def program() -> None:
        Storage("storage", StorageSpec(), site=site(protected), key_arn=KEY, opts=capture.provider())

    return capture.run(program)


def refused(document: str, request: dict[str, str]) -> list[str]:
    """Return the statements that refuse a request by its condition keys, as S3 reads them.

    Operators that begin with `StringNot` or `ArnNot` are true of a key that is absent.
    """
    holds = {
        "StringNotEquals": lambda key, value: request.get(key) != value,
        "ArnNotEquals": lambda key, value: request.get(key) != value,
        "Null": lambda key, value: (key not in request) == (value == "true"),
        "Bool": lambda key, value: request.get(key, "").lower() == value,
    }
    return [
        each["Sid"]
        for each in json.loads(document)["Statement"]
        if each["Effect"] == "Deny"
        and all(holds[kind](key, value) for kind, keys in each["Condition"].items() for key, value in keys.items())
    ]


@pytest.mark.parametrize(
    ("headers", "reasons"),
    [
        ({}, []),
        ({ENCRYPTION: "aws:kms", f"{ENCRYPTION}-aws-kms-key-id": KEY}, []),
        ({ENCRYPTION: "aws:kms"}, []),
        ({ENCRYPTION: "AES256"}, ["OtherEncryption"]),
        ({ENCRYPTION: "aws:kms", f"{ENCRYPTION}-aws-kms-key-id": KEY.replace("data", "other")}, ["OtherKey"]),
        ({ENCRYPTION: "aws:kms:dsse"}, ["OtherEncryption"]),
    ],
)
def test_what_says_nothing_is_encrypted_by_the_bucket_and_what_says_otherwise_is_refused(
    headers: dict[str, str], reasons: list[str]
) -> None:
    document = policy("arn:aws:s3:::b", KEY)
    assert refused(document, {"aws:SecureTransport": "true", **headers}) == reasons
    assert refused(document, {"aws:SecureTransport": "false", **headers}) == ["TlsOnly", *reasons]


@pytest.mark.parametrize("kind", KINDS)
def test_every_bucket_is_closed_versioned_owned_and_has_a_policy(kind: str) -> None:
    graph = made()
    block = graph.one("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock", kind).inputs
    closed = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
    assert all(block[each] is True for each in closed)
    versioning = graph.one("aws:s3/bucketVersioning:BucketVersioning", kind).inputs
    assert versioning["versioningConfiguration"] == {"status": "Enabled"}
    owned = graph.one("aws:s3/bucketOwnershipControls:BucketOwnershipControls", kind).inputs
    assert owned["rule"] == {"objectOwnership": "BucketOwnerEnforced"}
    document = json.loads(graph.one("aws:s3/bucketPolicy:BucketPolicy", kind).inputs["policy"])
    arn = bucket_arn(site(), kind)
    assert document["Statement"][0]["Resource"] == [arn, f"{arn}/*"]


def test_data_is_encrypted_by_the_key_and_logs_as_their_writers_can() -> None:
    """S3 delivers access logs into no bucket that a key of KMS encrypts."""
    graph = made()
    kind = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
    for name in DATA_KINDS:
        [rule] = graph.one(kind, name).inputs["rules"]
        default = rule["applyServerSideEncryptionByDefault"]
        assert default == {"sseAlgorithm": "aws:kms", "kmsMasterKeyId": KEY}
        assert rule["bucketKeyEnabled"] is True
    [rule] = graph.one(kind, "logs").inputs["rules"]
    assert rule == {"applyServerSideEncryptionByDefault": {"sseAlgorithm": "AES256"}}


@pytest.mark.parametrize("protected", [True, False])
def test_a_bucket_that_is_kept_is_kept_with_all_that_guards_it(protected: bool) -> None:
    """Otherwise `down` would leave the data, and take away its encryption, its versions and its block."""
    graph = made(protected)
    for kind in KINDS:
        bucket = graph.one("aws:s3/bucket:Bucket", kind)
        assert (bucket.protect, bucket.retain_on_delete) == (protected, protected)
        assert bucket.inputs["forceDestroy"] is not protected
        for each in STAYING:
            assert graph.one(f"aws:s3/{each}", kind).retain_on_delete is protected


def test_every_use_of_data_is_logged_and_the_log_can_be_written_before() -> None:
    graph = made()
    logging = {each.name: each for each in graph.of("aws:s3/bucketLogging:BucketLogging")}
    # The logs' own would be written into themselves, for ever.
    assert set(logging) == set(DATA_KINDS)
    for kind, each in logging.items():
        assert each.inputs["targetBucket"] == bucket_name(site(), "logs")
        assert each.inputs["targetPrefix"] == f"access/{kind}/"
        assert "aws:s3/bucketPolicy:BucketPolicy::logs" in each.depends_on


def test_services_write_into_the_logs_for_this_account_only() -> None:
    where = site()
    sources = [bucket_arn(where, kind) for kind in DATA_KINDS]
    found = {each["Sid"]: each for each in json.loads(logs_policy(where, "arn:aws:s3:::logs", sources))["Statement"]}
    assert found["AccessLogs"]["Condition"]["ArnLike"] == {"aws:SourceArn": sources}
    trail = "arn:aws:cloudtrail:eu-west-1:111122223333:trail/mlplat-dev-012345-trail"
    for sid in ("Trail", "TrailLooks"):
        assert found[sid]["Condition"]["StringEquals"]["aws:SourceArn"] == trail
    assert found["Trail"]["Resource"] == ["arn:aws:s3:::logs/trail/AWSLogs/111122223333/*"]
    for sid, each in found.items():
        if sid != "TlsOnly":
            assert set(each["Principal"]) == {"Service"}
            source = each["Condition"]["StringEquals"]
            assert source.get("aws:SourceAccount") == "111122223333" or source.get("aws:SourceArn") == trail


def test_where_the_trail_is_written_is_where_its_policy_lets_it() -> None:
    from mlplat.targets.aws.audit import PREFIX

    document = json.loads(logs_policy(site(), "arn:aws:s3:::logs", []))
    [resource] = next(each["Resource"] for each in document["Statement"] if each["Sid"] == "Trail")
    assert fnmatch.fnmatchcase(f"arn:aws:s3:::logs/{PREFIX}/AWSLogs/111122223333/CloudTrail/x.json.gz", resource)


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("data", ["unfinished", "previous", "infrequent"]),
        ("artifacts", ["unfinished", "previous", "infrequent"]),
        ("features", ["unfinished", "previous"]),
        ("pipelines", ["unfinished", "previous", "intermediate"]),
        ("logs", ["unfinished", "previous", "old"]),
    ],
)
def test_objects_stay_for_as_long_as_their_bucket_says(kind: str, names: list[str]) -> None:
    spec = StorageSpec(infrequent_days=31, previous_days=3, pipeline_days=5, log_days=7)
    found: dict[str, Any] = {each["id"]: each for each in rules(kind, spec)}
    assert list(found) == names
    assert found["previous"]["noncurrent_version_expiration"] == {"noncurrent_days": 3}
    assert "filter" not in found["unfinished"]
    expected = {
        "infrequent": {"transitions": [{"days": 31, "storage_class": "STANDARD_IA"}]},
        "intermediate": {"expiration": {"days": 5}},
        "old": {"expiration": {"days": 7}},
    }
    for name in names[2:]:
        assert {key: found[name][key] for key in found[name] if key not in ("id", "status")} == expected[name]


def test_nothing_that_people_made_is_ever_deleted_by_age() -> None:
    for kind in ("data", "artifacts", "features"):
        assert all("days" not in each.get("expiration", {}) for each in rules(kind, StorageSpec()))


@settings(deadline=None)
@given(LABELS, LABELS, st.sampled_from(KINDS))
def test_names_of_buckets_are_legal(platform: str, stack: str, kind: str) -> None:
    name = bucket_name(site(platform=platform, stack=stack), kind)
    assert 3 <= len(name) <= 63
    assert name == name.lower()
    assert "012345" in name
    assert name[0].isalnum()
    assert name[-1].isalnum()


def test_the_bucket_of_another_account_has_another_name() -> None:
    other = Site("mlplat", "dev", "0123456789abcdef", AwsSpec(account="999999999999", region="eu-west-1"))
    assert bucket_name(other, "data") != bucket_name(site(), "data")
