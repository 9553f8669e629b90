"""What holds data, under a real engine on an emulated account: made, changed in place, guarded, kept, taken along."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from awsengine import ACCOUNT, OTHERS, Emulation, Repository, spec
from mlplat.engine import refusals

pytestmark = pytest.mark.engine
SECRET = "a value that is nobody's business"  # noqa: S105 - of the tests'
PLATFORM = spec()
BUCKET = f"tests-dev-012345-data-{ACCOUNT}"
PROTECTED = {
    *(f"aws:s3/bucket:Bucket::{kind}" for kind in ("data", "artifacts", "features", "pipelines", "logs")),
    *(f"aws:kms/key:Key::{purpose}" for purpose in ("cluster", "data", "database", "logs")),
}


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory, emulation: Emulation) -> Repository:
    """Return a stack that is up."""
    made = Repository(tmp_path_factory.mktemp("data"), emulation, "data")
    made.write(PLATFORM)
    made.init()
    made.pulumi.run("config", "set", "--secret", "tests:secret", SECRET, "-s", made.stack)
    made.up()
    return made


@pytest.fixture
def quiet(standing: Repository) -> Repository:
    """Return the stack as it stands, with no call that was not looked at."""
    standing.write(PLATFORM)
    standing.calls()
    return standing


def test_what_stands_in_the_account_is_what_was_declared(standing: Repository, emulation: Emulation) -> None:
    s3, kms = emulation.client("s3"), emulation.client("kms")
    key = kms.describe_key(KeyId="alias/tests-dev-012345-data")["KeyMetadata"]["Arn"]
    rules = s3.get_bucket_encryption(Bucket=BUCKET)["ServerSideEncryptionConfiguration"]["Rules"]
    assert [each["ApplyServerSideEncryptionByDefault"]["KMSMasterKeyID"] for each in rules] == [key]
    assert s3.get_bucket_versioning(Bucket=BUCKET)["Status"] == "Enabled"
    assert all(s3.get_public_access_block(Bucket=BUCKET)["PublicAccessBlockConfiguration"].values())
    assert kms.get_key_rotation_status(KeyId=key)["KeyRotationEnabled"]
    state = standing.resources()
    assert {key for key, each in state.items() if each.get("protect")} >= PROTECTED
    assert state["aws:s3/bucket:Bucket::data"]["id"] == BUCKET


def test_a_second_up_asks_the_account_for_nothing(quiet: Repository) -> None:
    quiet.up("--expect-no-changes")
    assert quiet.calls() == {}


def test_a_new_owner_changes_tags_where_they_stand(quiet: Repository, emulation: Emulation) -> None:
    quiet.write(spec(owner="data-team"))
    assert quiet.preview().keys() == {"same", "update"}
    quiet.up()
    assert quiet.calls().keys() == {"update"}
    tags = emulation.client("s3").get_bucket_tagging(Bucket=BUCKET)["TagSet"]
    assert {"Key": "mlplat:owner", "Value": "data-team"} in tags
    quiet.write(PLATFORM)
    quiet.up()
    assert "data-team" not in json.dumps(emulation.client("s3").get_bucket_tagging(Bucket=BUCKET)["TagSet"])


def test_a_new_name_is_refused_before_anything_is_touched(quiet: Repository) -> None:
    quiet.write(spec(name="renamed"))
    refused = quiet.pulumi.run("up", "--yes", "-s", "dev", code=None)
    assert refused.code != 0
    told = str(refusals.of(Exception(refused.err), [refused.out], 0, quiet.folder / "log"))
    assert "`data`" in told
    assert "protected, and what the stack file says now would make another one in its place" in told
    assert quiet.calls() == {}


def test_an_end_is_refused_before_anything_is_touched(quiet: Repository) -> None:
    refused = quiet.pulumi.run("destroy", "--yes", "-s", "dev", code=None)
    assert refused.code != 0
    assert "`pulumi state unprotect" in refused.out
    assert quiet.calls() == {}


def test_what_somebody_changed_by_hand_is_seen_and_put_right(quiet: Repository, emulation: Emulation) -> None:
    s3, kms = emulation.client("s3"), emulation.client("kms")
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Suspended"})
    kms.delete_alias(AliasName="alias/tests-dev-012345-logs")
    quiet.refresh()
    state = quiet.resources()
    assert "aws:kms/alias:Alias::logs" not in state
    versioning = "aws:s3/bucketVersioning:BucketVersioning::data"
    assert state[versioning]["outputs"]["versioningConfiguration"] == {"status": "Suspended"}
    quiet.up()
    assert quiet.calls() == {"create": ["aws:kms/alias:Alias::logs"], "update": [versioning]}
    assert s3.get_bucket_versioning(Bucket=BUCKET)["Status"] == "Enabled"


def test_what_a_lost_state_left_is_taken_over_by_import(quiet: Repository) -> None:
    state = quiet.resources()
    lost = state["aws:kms/alias:Alias::data"]
    run = quiet.pulumi.run
    run("state", "delete", lost["urn"], "-s", "dev", "--yes")
    told = quiet.up(code=None)
    assert told.code != 0
    assert "AlreadyExistsException" in told.out
    provider, parent = (state[key]["urn"] for key in ("pulumi:providers:aws::aws", "mlplat:aws:Keys::keys"))
    below = ("--parent", f"keys={parent}", "--provider", f"aws={provider}", "--generate-code=false", "--skip-preview")
    run("import", "aws:kms/alias:Alias", "data", lost["id"], *below, "-s", "dev", "--yes", "--protect=false")
    quiet.calls()
    quiet.up("--expect-no-changes")
    assert quiet.calls() == {}


def test_another_accounts_credentials_are_refused(quiet: Repository, emulation: Emulation) -> None:
    mine = dict(quiet.pulumi.env)
    quiet.pulumi.env |= emulation.credentials(OTHERS)
    try:
        refused = quiet.up(code=None)
    finally:
        quiet.pulumi.env = mine
    assert refused.code != 0
    assert f"AWS account ID not allowed: {OTHERS}" in refused.out
    assert quiet.calls() == {}
    assert emulation.client("s3", OTHERS).list_buckets()["Buckets"] == []


def test_a_resource_without_a_provider_of_its_own_is_refused(quiet: Repository) -> None:
    quiet.write(PLATFORM, **{"tests:loose": "true"})
    refused = quiet.pulumi.run("preview", "-s", "dev", code=None)
    assert refused.code != 0
    assert "Default provider for 'aws' disabled." in refused.out
    assert "aws:s3/bucket:Bucket::loose' must use an explicit provider" in refused.out
    assert quiet.calls() == {}


def test_a_secret_is_nowhere_in_the_state_and_whole_at_the_provider(standing: Repository) -> None:
    raw = standing.pulumi.raw_state()
    assert "aws:secretsmanager/secretVersion:SecretVersion" in raw
    assert SECRET not in raw
    kept = standing.resources()["aws:secretsmanager/secretVersion:SecretVersion::value"]
    for where in ("inputs", "outputs"):
        assert "ciphertext" in kept[where]["secretString"]
    (record,) = [each for each in standing.world.all() if each["type"].endswith(":SecretVersion")]
    assert record["inputs"]["secretString"] == SECRET


def test_data_leaves_in_two_steps_and_another_deployment_keeps_its_own(
    standing: Repository, tmp_path: Path, emulation: Emulation
) -> None:
    second = Repository(tmp_path, emulation, "data", identity="fedcba9876543210")
    second.write(PLATFORM)
    second.init()
    second.up()
    mine, theirs = (_buckets(emulation, each) for each in ("fedcba", "012345"))
    assert len(mine) == len(theirs) == 5
    _write(emulation, mine[0])
    second.calls()
    second.write(PLATFORM, **{"mlplat:deleting": "true"})
    second.up()
    assert second.calls().keys() == {"update"}, (
        "buckets may now be deleted with what they hold, and nothing else changes"
    )
    second.destroy()
    assert set(second.calls()["delete"]) >= PROTECTED
    assert _buckets(emulation, "fedcba") == []
    assert _buckets(emulation, "012345") == theirs


def test_an_end_that_keeps_data_leaves_buckets_keys_and_their_settings(
    standing: Repository, emulation: Emulation
) -> None:
    s3 = emulation.client("s3")
    _write(emulation, BUCKET)
    standing.pulumi.run("state", "unprotect", "--all", "--yes", "-s", "dev")
    standing.calls()
    standing.destroy()
    ended = standing.calls()["delete"]
    assert not [key for key in ended if key.startswith(("aws:s3/", "aws:kms/key:"))]
    assert standing.resources().keys() <= {"pulumi:pulumi:Stack::mlplat-dev"}
    assert [each["Key"] for each in s3.list_objects_v2(Bucket=BUCKET)["Contents"]] == ["model"]
    assert all(s3.get_public_access_block(Bucket=BUCKET)["PublicAccessBlockConfiguration"].values())
    states = [_state(emulation, each["KeyId"]) for each in emulation.client("kms").list_keys()["Keys"]]
    assert states.count("Enabled") == 4


def _buckets(emulation: Emulation, deployment: str) -> list[str]:
    return [each["Name"] for each in emulation.client("s3").list_buckets()["Buckets"] if deployment in each["Name"]]


def _write(emulation: Emulation, bucket: str) -> None:
    """Put an object into a bucket, whose policy is aside meanwhile: moto denies without looking at the conditions."""
    s3 = emulation.client("s3")
    policy = s3.get_bucket_policy(Bucket=bucket)["Policy"]
    s3.delete_bucket_policy(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="model", Body=b"kept")
    s3.put_bucket_policy(Bucket=bucket, Policy=policy)


def _state(emulation: Emulation, key: str) -> Any:
    return emulation.client("kms").describe_key(KeyId=key)["KeyMetadata"]["KeyState"]
