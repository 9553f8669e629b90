"""Nothing is open, unencrypted or unlogged that checkov knows of, but for what is said here and why."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass

import pytest

import awsstacks
import terraform
from terraform import Report

OWN_NAMES = "names under the domain are the endpoints' own, and change too often for a certificate each"
ONE_STACK = "the development stack is to be cheap, and gone when it is ended"


@dataclass(frozen=True)
class Skip:
    """A check that something is not to pass."""

    check: str
    reason: str
    key: str | None = None
    """The only resource; None for all."""
    stacks: tuple[str, ...] = awsstacks.STACKS

    def covers(self, stack: str, check: str, key: str) -> bool:
        """Tell whether a finding is the expected one."""
        return check == self.check and self.key in (None, key) and stack in self.stacks


SKIPPED = (
    Skip("CKV_AWS_144", "data stays in its region; AWS Backup keeps the copies"),
    Skip("CKV2_AWS_62", "nothing waits for events of the buckets"),
    Skip("CKV2_AWS_57", "who uses a secret turns it: the setup job the databases', its owner the others"),
    Skip("CKV_AWS_338", "how long logs are searched is in the stack file; a trail's records lie in the bucket longer"),
    Skip("CKV_AWS_145", "S3 delivers access logs only where its own key encrypts", "aws:s3/bucket:Bucket::logs"),
    Skip("CKV_AWS_61", "who may take it is said by the account's own policies", "aws:iam/role:Role::admin"),
    Skip("CKV_AWS_39", "the API answers the addresses that the stack file names", stacks=("dev", "prod")),
    Skip("CKV_AWS_38", "laptops come from anywhere, with credentials of the account", stacks=("dev",)),
    Skip("CKV_AWS_252", "a trail's records are searched; GuardDuty is who tells"),
    Skip("CKV2_AWS_3", "an organization's administrator turns it on for every account; this is one account's"),
    Skip("CKV2_AWS_38", "its key lies in us-east-1, and the parent zone, which is not ours, must name it"),
    Skip("CKV2_AWS_39", "its log group can only lie in us-east-1"),
    Skip("CKV2_AWS_71", OWN_NAMES),
    Skip("CKV_AWS_233", "Pulumi makes the new one before it deletes the old one, always"),
    Skip("CKV_AWS_157", ONE_STACK, stacks=("dev",)),
    Skip("CKV_AWS_293", ONE_STACK, stacks=("dev",)),
    Skip("CKV_AWS_28", ONE_STACK, stacks=("dev",)),
    Skip("CKV2_AWS_11", "its spec asks for none", stacks=(awsstacks.OTHERWISE,)),
)
"""What is not to pass, and why."""

FEWEST: Mapping[str, int] = {"dev": 400, "prod": 470, awsstacks.OTHERWISE: 440}
"""Checks that passed when this was written: fewer means that something is no longer checked."""

UNKNOWN = frozenset(
    {
        "aws_acm_certificate_validation",
        "aws_backup_restore_testing_plan",
        "aws_backup_restore_testing_selection",
        "aws_backup_vault_lock_configuration",
        "aws_budgets_budget",
        "aws_ce_anomaly_monitor",
        "aws_ce_anomaly_subscription",
        "aws_cloudwatch_event_rule",
        "aws_cloudwatch_log_stream",
        "aws_db_subnet_group",
        "aws_ec2_tag",
        "aws_ecr_lifecycle_policy",
        "aws_ecr_pull_through_cache_rule",
        "aws_ecr_repository_creation_template",
        "aws_eks_access_entry",
        "aws_eks_access_policy_association",
        "aws_eks_addon",
        "aws_eks_pod_identity_association",
        "aws_elasticache_parameter_group",
        "aws_elasticache_subnet_group",
        "aws_elasticache_user",
        "aws_elasticache_user_group",
        "aws_guardduty_detector_feature",
        "aws_iam_instance_profile",
        "aws_internet_gateway",
        "aws_placement_group",
        "aws_route_table_association",
        "aws_scheduler_schedule_group",
        "aws_secretsmanager_secret_policy",
        "aws_sns_topic_subscription",
        "aws_vpc_ipv4_cidr_block_association",
    }
)
"""Types that no check of checkov's names; these are Terraform's names for them."""

BESIDE = frozenset(
    {
        "aws_backup_plan",
        "aws_backup_selection",
        "aws_cloudwatch_event_target",
        "aws_db_parameter_group",
        "aws_default_security_group",
        "aws_flow_log",
        "aws_kinesis_firehose_delivery_stream",
        "aws_kms_alias",
        "aws_nat_gateway",
        "aws_route53_record",
        "aws_s3_bucket_logging",
        "aws_s3_bucket_server_side_encryption_configuration",
        "aws_s3_bucket_versioning",
        "aws_sns_topic_policy",
        "aws_vpc_endpoint",
    }
)
"""Types that checks read only to judge another, such as a bucket by its encryption."""


@functools.cache
def report(stack: str) -> Report:
    """Return what checkov says of a stack, asked once in a process."""
    return terraform.report(awsstacks.graph(stack))


@pytest.mark.parametrize("stack", awsstacks.STACKS)
def test_nothing_fails_but_what_has_a_reason(stack: str) -> None:
    found = [
        f"{key}: {check} {title}"
        for check, key, title in report(stack).failed
        if not any(each.covers(stack, check, key) for each in SKIPPED)
    ]
    assert found == []


@pytest.mark.parametrize("stack", awsstacks.STACKS)
def test_as_many_checks_run_as_ever(stack: str) -> None:
    """A type whose name is wrong is not checked, and nothing fails."""
    assert report(stack).passed >= FEWEST[stack]


def test_every_reason_is_still_needed() -> None:
    failed = [(stack, check, key) for stack in awsstacks.STACKS for check, key, _ in report(stack).failed]
    assert [each for each in SKIPPED if not any(each.covers(*one) for one in failed)] == []


def _types() -> set[str]:
    return {
        terraform.type_of(each.type)
        for stack in awsstacks.STACKS
        for each in awsstacks.graph(stack)
        if each.custom and each.type.startswith("aws:")
    }


def test_every_type_is_one_that_checkov_knows_or_is_listed() -> None:
    """A wrong name is unknown to checkov, and has to be written down here to pass unseen."""
    assert _types() - terraform.known() == UNKNOWN


def test_every_type_that_checkov_knows_is_checked() -> None:
    checked = {terraform.type_of(key.partition("::")[0]) for each in awsstacks.STACKS for key in report(each).checked}
    assert _types() - UNKNOWN - checked == BESIDE
