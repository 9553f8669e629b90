from __future__ import annotations

import functools
import json
import re
from dataclasses import replace
from typing import Any

import pulumi_aws as aws
import pytest

import capture
from awsparts import CLIENT, KEY, TOPIC, network, site, statements, untagged
from capture import Graph
from mlplat.errors import SpecError
from mlplat.targets.aws.backup import BUCKETS, FAILURES, Backup, patterns
from mlplat.targets.aws.database import Database

VAULT = "aws:backup/vault:Vault"
LOCK = "aws:backup/vaultLockConfiguration:VaultLockConfiguration"
DATABASE = "${aws:rds/instance:Instance::database.arn}"


def build(protected: bool = True, topic: str | None = TOPIC, deleting: bool = False, **settings: Any) -> Graph:
    def program() -> None:
        place = replace(site(backup=settings, protected=protected), deleting=deleting)
        opts = capture.provider()
        buckets = {each: aws.s3.Bucket(each, opts=opts) for each in ("artifacts", "data", "features", "logs")}
        database = Database(
            "database",
            place.aws.database,
            site=place,
            network=network(),
            key_arn=KEY,
            client_security_group_id=CLIENT,
            opts=opts,
        )
        Backup(
            "backup",
            place.aws.backup,
            site=place,
            database=database,
            buckets=buckets,
            key_arn=KEY,
            topic_arn=topic,
            opts=opts,
        )

    return capture.run(program)


@functools.cache
def made() -> Graph:
    return build()


def test_nothing_is_made_where_it_is_off() -> None:
    assert not build(enabled=False).of("aws:backup/")


def test_the_database_and_the_buckets_that_cannot_be_made_again_are_copied() -> None:
    selection = made().one("aws:backup/selection:Selection").inputs
    assert selection["resources"] == [DATABASE, *(f"${{aws:s3/bucket:Bucket::{each}.arn}}" for each in BUCKETS)]


@pytest.mark.parametrize(("days", "months"), [(35, 12), (7, 1)])
def test_copies_are_kept_as_long_as_the_spec_says(days: int, months: int) -> None:
    rules = build(keep_days=days, keep_months=months).one("aws:backup/plan:Plan").inputs["rules"]
    assert {each["ruleName"]: each["lifecycle"]["deleteAfter"] for each in rules} == {
        "daily": days,
        "monthly": 31 * months,
    }
    assert all(each["recoveryPointTags"]["mlplat:deployment"] for each in rules)


@pytest.mark.parametrize(("protected", "days", "locked"), [(True, 7, True), (True, 0, False), (False, 7, False)])
def test_the_vault_is_locked_where_it_is_protected_and_a_lock_is_asked_for(
    protected: bool, days: int, locked: bool
) -> None:
    found = build(protected, lock_days=days).of(LOCK)
    assert bool(found) is locked
    for each in found:
        assert each.inputs["minRetentionDays"] == days
        # Without these days the lock would be one that an administrator takes away.
        assert each.inputs["changeableForDays"] == 3
        # AWS deletes it for nobody: the engine is never to ask.
        assert each.retain_on_delete
        assert not each.protect


def test_a_locked_vault_is_let_go_of_and_not_deleted_with_the_data_of_its_stack() -> None:
    graph = build(deleting=True)
    assert graph.one(LOCK).retain_on_delete
    vault = graph.one(VAULT)
    assert (vault.protect, vault.retain_on_delete) == (False, True)


def test_no_copy_is_to_go_before_its_lock_lets_it() -> None:
    with pytest.raises(SpecError, match="lock_days"):
        site(backup={"lock_days": 8, "keep_days": 7})


@pytest.mark.parametrize("protected", [True, False])
def test_the_vault_is_kept_with_its_copies_where_the_stack_is_protected(protected: bool) -> None:
    vault = build(protected).one(VAULT)
    assert vault.inputs["kmsKeyArn"] == KEY
    assert (vault.protect, vault.retain_on_delete) == (protected, protected)
    assert vault.inputs["forceDestroy"] is not protected


def test_making_and_restoring_copies_are_two_roles_for_this_account_s_backups() -> None:
    roles = {each.name: each for each in made().of("aws:iam/role:Role")}
    attached = [each.inputs for each in made().of("aws:iam/rolePolicyAttachment:RolePolicyAttachment")]
    for name, word in (("backup", "Restore"), ("restore", "Backup$|ForBackup|S3Backup")):
        (trust,) = statements(roles[name], "assumeRolePolicy")
        assert trust["Condition"] == {"StringEquals": {"aws:SourceAccount": "111122223333"}}
        policies = [each["policyArn"] for each in attached if each["role"] == roles[name].inputs["name"]]
        assert len(policies) == 2
        assert not [each for each in policies if re.search(word, each)]


def test_a_restore_is_rehearsed_every_month_inside_the_network() -> None:
    plan = made().one("aws:backup/restoreTestingPlan:RestoreTestingPlan").inputs
    # AWS takes letters, digits and `_`, fifty of them.
    assert re.fullmatch(r"[A-Za-z0-9_]{1,50}", plan["name"])
    assert plan["scheduleExpression"] == "cron(0 5 ? * SUN#1 *)"
    assert plan["recoveryPointSelection"]["includeVaults"] == [f"${{{VAULT}::backup.arn}}"]
    selection = made().one("aws:backup/restoreTestingSelection:RestoreTestingSelection").inputs
    assert selection["protectedResourceArns"] == [DATABASE]
    subnets = made().one("aws:rds/subnetGroup:SubnetGroup").inputs["name"]
    assert selection["restoreMetadataOverrides"]["dbSubnetGroupName"] == subnets


def test_a_copy_or_a_rehearsal_that_fails_is_said() -> None:
    rules = {
        each.name: json.loads(each.inputs["eventPattern"]) for each in made().of("aws:cloudwatch/eventRule:EventRule")
    }
    assert rules.keys() == patterns("x").keys()
    vault = made().one(VAULT).inputs["name"]
    for pattern in rules.values():
        assert pattern["source"] == ["aws.backup"]
        assert pattern["detail"]["backupVaultName"] == [vault]
    assert rules["backup-failed"]["detail"]["state"] == list(FAILURES)
    targets = made().of("aws:cloudwatch/eventTarget:EventTarget")
    assert {each.inputs["arn"] for each in targets} == {TOPIC}
    assert {each.name for each in targets} == rules.keys()
    assert not build(topic=None).of("aws:cloudwatch/eventRule:EventRule")


def test_everything_of_it_is_tagged() -> None:
    assert [each for each in untagged(made()) if not each.startswith("aws:s3/")] == []
