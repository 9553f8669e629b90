from __future__ import annotations

import json
from typing import Any

import pulumi
import pytest

import capture
from capture import Graph
from mlplat.spec.aws import AwsSpec
from mlplat.spec.aws.data import KeysSpec
from mlplat.targets.aws.keypolicies import LAUNCHERS, PUBLISHERS, policy
from mlplat.targets.aws.keys import PURPOSES, Keys
from mlplat.targets.aws.site import Site

ROOT = "arn:aws:iam::111122223333:root"


def site(protected: bool = True, platform: str = "mlplat") -> Site:
    spec = AwsSpec(account="111122223333", region="eu-west-1", environment="dev", protected=protected)
    return Site(platform, "dev", "0123456789abcdef", spec)


def made(spec: KeysSpec | None = None, protected: bool = True) -> Graph:
    return capture.run(lambda: Keys("keys", spec or KeysSpec(), site=site(protected), opts=capture.provider()) and None)


def statements(purpose: str, where: Site | None = None) -> dict[str, Any]:
    return {each["Sid"]: each for each in json.loads(policy(purpose, where or site()))["Statement"]}


def test_every_key_is_turned_and_found_by_a_name() -> None:
    graph = made(KeysSpec(rotation_days=180, deletion_days=7))
    for purpose in PURPOSES:
        key = graph.one("aws:kms/key:Key", purpose).inputs
        assert key["enableKeyRotation"] is True
        assert (key["rotationPeriodInDays"], key["deletionWindowInDays"]) == (180, 7)
        alias = graph.one("aws:kms/alias:Alias", purpose).inputs
        assert alias["name"] == f"alias/mlplat-dev-012345-{purpose}"
        assert alias["targetKeyId"] == f"${{aws:kms/key:Key::{purpose}.keyId}}"


@pytest.mark.parametrize("protected", [True, False])
def test_keys_are_kept_with_what_they_encrypt(protected: bool) -> None:
    for key in made(protected=protected).of("aws:kms/key:Key"):
        assert (key.protect, key.retain_on_delete) == (protected, protected)


def test_an_arn_is_that_of_the_purpose_s_key() -> None:
    found: dict[str, str] = {}

    def program() -> None:
        keys = Keys("keys", KeysSpec(), site=site(), opts=capture.provider())
        pulumi.Output.all(**{purpose: keys.arn(purpose) for purpose in PURPOSES}).apply(found.update)

    capture.run(program)
    assert found == {purpose: f"${{aws:kms/key:Key::{purpose}.arn}}" for purpose in PURPOSES}


@pytest.mark.parametrize("purpose", PURPOSES)
def test_the_account_rules_every_key_and_nobody_else_may_do_everything(purpose: str) -> None:
    """Without the account's statement nobody could change the policy again."""
    found = statements(purpose)
    account = found.pop("Account")
    assert (account["Principal"], account["Action"]) == ({"AWS": ROOT}, ["kms:*"])
    for each in found.values():
        assert "kms:*" not in each["Action"]
        assert each["Condition"], each["Sid"]


def test_only_the_keys_of_nodes_and_of_logs_admit_services() -> None:
    assert set(statements("data")) == set(statements("database")) == {"Account"}
    assert set(statements("cluster")) == {"Account", "Volumes", "VolumeGrants"}


def test_nodes_start_with_encrypted_disks_in_an_account_where_none_ever_did() -> None:
    """A policy that names a role which is not there yet is refused, so the launchers stand in a condition."""
    found = statements("cluster")
    for sid in ("Volumes", "VolumeGrants"):
        assert found[sid]["Principal"] == {"AWS": "*"}
        conditions = found[sid]["Condition"]
        assert conditions["StringEquals"] == {
            "kms:CallerAccount": "111122223333",
            "kms:ViaService": "ec2.eu-west-1.amazonaws.com",
        }
        allowed = conditions["ArnLike"]["aws:PrincipalArn"]
        assert {f"arn:aws:iam::111122223333:role/aws-service-role/{each}" for each in LAUNCHERS} < set(allowed)
        assert allowed[-1] == "arn:aws:iam::111122223333:role/mlplat-dev-012345*"
    assert found["VolumeGrants"]["Condition"]["Bool"] == {"kms:GrantIsForAWSResource": "true"}
    assert found["VolumeGrants"]["Action"] == ["kms:CreateGrant"]


@pytest.mark.parametrize("platform", ["m", "mlplat", "a-platform-with-a-name-of-many-signs-and-more", "p" * 63])
def test_names_of_our_own_roles_begin_with_what_the_key_admits(platform: str) -> None:
    where = site(platform=platform)
    pattern = statements("cluster", where)["Volumes"]["Condition"]["ArnLike"]["aws:PrincipalArn"][-1]
    role = where.arn("iam", f"role/{where.name('karpenter-controller', limit=64)}", region=False)
    assert pattern.endswith("*")
    assert role.startswith(pattern.removesuffix("*"))


@pytest.mark.parametrize("publisher", PUBLISHERS)
def test_the_topic_of_alerts_can_be_written_by_who_alerts_for_this_account(publisher: str) -> None:
    """A publisher that its key does not admit fails in silence."""
    found = statements("logs")[publisher.title()]
    assert found["Principal"] == {"Service": f"{publisher}.amazonaws.com"}
    assert set(found["Action"]) == {"kms:Decrypt", "kms:GenerateDataKey*"}
    # EventBridge names no account to KMS: a condition that asks for one would drop every message.
    operator = "StringEqualsIfExists" if publisher in ("events", "costalerts") else "StringEquals"
    assert found["Condition"] == {operator: {"aws:SourceAccount": "111122223333"}}


def test_logs_and_the_trail_use_their_key_for_this_account_only() -> None:
    found = statements("logs")
    assert found["Logs"]["Principal"] == {"Service": "logs.eu-west-1.amazonaws.com"}
    context = found["Logs"]["Condition"]["ArnLike"]["kms:EncryptionContext:aws:logs:arn"]
    assert context == "arn:aws:logs:eu-west-1:111122223333:log-group:*"
    trail = "arn:aws:cloudtrail:eu-west-1:111122223333:trail/mlplat-dev-012345-trail"
    for sid in ("Trail", "TrailLooks"):
        assert found[sid]["Condition"]["StringEquals"] == {"aws:SourceArn": trail}


def test_no_statement_asks_for_a_context_that_its_action_never_has() -> None:
    """`kms:DescribeKey` comes without one, so such a statement would allow nothing."""
    for purpose in PURPOSES:
        for each in statements(purpose).values():
            contexts = [
                key for kind in each.get("Condition", {}).values() for key in kind if "EncryptionContext" in key
            ]
            assert not (contexts and "kms:DescribeKey" in each["Action"]), each["Sid"]


@pytest.mark.parametrize("purpose", PURPOSES)
def test_a_policy_fits_into_what_kms_takes(purpose: str) -> None:
    assert len(policy(purpose, site(platform="p" * 63))) < 32 * 1024
