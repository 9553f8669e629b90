"""What ending a stack ends, and what it keeps."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from mlplat.engine import ending

NOW = datetime(2013, 7, 1, 12, tzinfo=UTC)
STACK = "urn:pulumi:dev::p::pulumi:pulumi:Stack::p-dev"


def urn(kind: str, name: str) -> str:
    return f"urn:pulumi:dev::p::{kind}::{name}"


def made(kind: str, name: str, *, on: list[str] | None = None, parent: str = STACK, **more: Any) -> dict[str, Any]:
    return {
        "urn": urn(kind, name),
        "type": kind,
        "custom": not kind.startswith(("mlplat:", "pulumi:pulumi:Stack")),
        "id": name,
        "parent": parent,
        "dependencies": on or [],
        **more,
    }


KEYS, KEY = urn("mlplat:aws:Keys", "keys"), urn("aws:kms/key:Key", "data")
BUCKET, PROVIDER = urn("aws:s3/bucket:Bucket", "data"), urn("pulumi:providers:aws", "aws")
ROOT = {"urn": STACK, "type": "pulumi:pulumi:Stack", "custom": False}
STATE: list[dict[str, Any]] = [
    ROOT,
    made("pulumi:providers:aws", "aws"),
    made("mlplat:aws:Keys", "keys"),
    made("aws:kms/key:Key", "data", parent=KEYS, protect=True, retainOnDelete=True, provider=f"{PROVIDER}::1"),
    made("aws:kms/alias:Alias", "data", on=[KEY], parent=KEYS),
    made("mlplat:aws:Storage", "storage"),
    made(
        "aws:s3/bucket:Bucket",
        "data",
        parent=urn("mlplat:aws:Storage", "storage"),
        protect=True,
        retainOnDelete=True,
        provider=f"{PROVIDER}::1",
    ),
    made("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock", "data", on=[BUCKET]),
    made("aws:s3/bucketPolicy:BucketPolicy", "data", propertyDependencies={"bucket": [BUCKET]}),
    made("mlplat:aws:Network", "network"),
    made("aws:ec2/vpc:Vpc", "vpc", parent=urn("mlplat:aws:Network", "network")),
    made("aws:iam/rolePolicy:RolePolicy", "reader", on=[BUCKET]),
    made(
        "aws:rds/instance:Instance",
        "database",
        on=[KEY],
        protect=True,
        retainOnDelete=True,
        inputs={"finalSnapshotIdentifier": "acme-final"},
        outputs={"identifier": "acme", "deletionProtection": True, "finalSnapshotIdentifier": "acme-final"},
    ),
    made("aws:eks/cluster:Cluster", "cluster", protect=True, outputs={"name": "acme", "deletionProtection": True}),
    made("aws:secretsmanager/secret:Secret", "app", inputs={"recoveryWindowInDays": 30}),
    made("aws:secretsmanager/secret:Secret", "fleeting", inputs={"recoveryWindowInDays": 0}),
]


def names(urns: tuple[str, ...]) -> set[str]:
    return {each.rpartition("::")[2] for each in urns}


def test_what_holds_data_stays_with_its_settings_and_all_that_it_stands_on() -> None:
    found = ending.of(STATE)
    assert {each.split("::", 2)[2] for each in found.stays} == {
        "pulumi:providers:aws::aws",
        "mlplat:aws:Keys::keys",
        "aws:kms/key:Key::data",
        "aws:kms/alias:Alias::data",
        "mlplat:aws:Storage::storage",
        "aws:s3/bucket:Bucket::data",
        "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock::data",
        "aws:s3/bucketPolicy:BucketPolicy::data",
        "aws:secretsmanager/secret:Secret::app",
    }


def test_nothing_that_stays_stands_on_something_that_goes() -> None:
    found = ending.of(STATE)
    for each in STATE:
        if each["urn"] in found.stays:
            assert not set(each["dependencies"]) & set(found.goes)
            assert each["parent"] not in found.goes


def test_a_stack_is_all_of_what_goes_and_what_stays() -> None:
    found = ending.of(STATE)
    assert set(found.goes) | set(found.stays) == {each["urn"] for each in STATE} - {STACK}
    assert not set(found.goes) & set(found.stays)


def test_what_is_paid_by_the_hour_goes_even_if_the_program_retains_it() -> None:
    assert "database" in names(ending.of(STATE).goes)


def test_what_only_reads_a_bucket_is_no_setting_of_it() -> None:
    assert "reader" in names(ending.of(STATE).goes)


def test_with_its_data_everything_goes() -> None:
    found = ending.of(STATE, delete_data=True)
    assert found.stays == ()
    assert {urn("aws:s3/bucket:Bucket", "data"), KEY} <= set(found.guarded)


def test_a_locked_vault_stays_even_then_with_the_key_of_its_copies() -> None:
    """AWS refuses to delete it until its last copy has expired, so asking would fail on every try."""
    kind = "aws:backup/vaultLockConfiguration:VaultLockConfiguration"
    vault = urn("aws:backup/vault:Vault", "backup")
    state = [*STATE, made("aws:backup/vault:Vault", "backup", on=[KEY]), made(kind, "backup", on=[vault])]
    found = ending.of(state, delete_data=True)
    assert {vault, urn(kind, "backup"), KEY, KEYS} == {each for each in found.stays if each != PROVIDER}
    assert BUCKET in found.goes


def test_what_is_protected_and_what_aws_locks_is_told() -> None:
    found = ending.of(STATE)
    assert names(found.guarded) == {"database", "cluster"}
    assert set(found.locked) == {("aws:rds/instance:Instance", "acme"), ("aws:eks/cluster:Cluster", "acme")}


def test_only_what_goes_is_let_go_of_and_a_snapshot_never_takes_an_older_ones_name() -> None:
    loose = {each["urn"]: each for each in ending.loosened(STATE, ending.of(STATE), NOW)}
    assert loose[BUCKET]["protect"]
    assert loose[BUCKET]["retainOnDelete"]
    database = loose[urn("aws:rds/instance:Instance", "database")]
    assert not {"protect", "retainOnDelete"} & set(database)
    assert database["inputs"]["finalSnapshotIdentifier"] == "acme-final-20130701-120000"
    assert database["outputs"]["finalSnapshotIdentifier"] == "acme-final-20130701-120000"
    assert database["outputs"]["identifier"] == "acme"
    assert list(loose) == [each["urn"] for each in STATE]


def test_a_stack_whose_rest_was_ended_has_nothing_more_to_end() -> None:
    found = ending.of(STATE)
    left = [each for each in STATE if each["urn"] not in found.goes]
    assert ending.counted(left, ending.of(left).goes) == {}


def test_real_things_are_counted_and_what_is_kept_is_named() -> None:
    found = ending.of(STATE)
    assert ending.counted(STATE, found.goes)["Cluster"] == 1
    assert "aws" not in ending.counted(STATE, found.stays)
    assert set(ending.names(STATE, found.stays)) == {"key data", "bucket data"}
