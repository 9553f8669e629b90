"""AWS Backup: daily and monthly copies of the database and of the buckets that cannot be made again.

Copies lie in a vault of their own. Where the stack is protected and `lock_days` is set, the vault is locked in AWS's
compliance mode: after three days of grace nobody, the account's root included, deletes a copy before its time or takes
the lock away, and the vault lives as long as its last copy. What is copied is also restored: once a month AWS makes a
database of the newest copy beside the real one, says how that went, and removes it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import pulumi
import pulumi_aws as aws

from mlplat.spec.aws.data import BackupSpec
from mlplat.targets.aws.component import Component
from mlplat.targets.aws.database import Database
from mlplat.targets.aws.iam import trusted
from mlplat.targets.aws.site import Site

BUCKETS = ("artifacts", "data")
"""Buckets that are copied: what is in the others can be made again from these."""
GRACE_DAYS = 3
"""Days for which a lock can still be taken away; fewer AWS does not take."""
MONTH_DAYS = 31
START_MINUTES = 60
COMPLETE_MINUTES = 480
REHEARSAL_HOURS = 4
"""How long a restored database stays for somebody to look at."""
PLAN_LIMIT = 50
MAKE = ("service-role/AWSBackupServiceRolePolicyForBackup", "AWSBackupServiceRolePolicyForS3Backup")
RESTORE = ("service-role/AWSBackupServiceRolePolicyForRestores", "AWSBackupServiceRolePolicyForS3Restore")
FAILURES = ("ABORTED", "EXPIRED", "FAILED")


class Backup(Component):
    """A vault, when copies go into it, and the rehearsal of a restore; nothing where the spec does not ask for one."""

    def __init__(
        self,
        name: str,
        spec: BackupSpec,
        *,
        site: Site,
        database: Database,
        buckets: Mapping[str, aws.s3.Bucket],
        key_arn: pulumi.Input[str],
        topic_arn: pulumi.Input[str] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("Backup", name, site, opts)
        self.spec = spec
        self.vault: aws.backup.Vault | None = None
        if spec.enabled:
            self.vault = self._vault(key_arn)
            self._plan(self.vault, database, buckets)
            self._rehearsal(self.vault, database)
            if topic_arn is not None:
                self._alarm(self.vault, topic_arn)
        self.register_outputs({"vault": self.vault.name if self.vault else None})

    def _vault(self, key_arn: pulumi.Input[str]) -> aws.backup.Vault:
        # By what is written: a stack that is being ended with its data still has the lock, which nobody takes away.
        locked = bool(self.spec.lock_days) and self.site.aws.protected
        vault = aws.backup.Vault(
            "backup",
            name=self.site.name("backup", limit=PLAN_LIMIT),
            kms_key_arn=key_arn,
            force_destroy=not self.site.protected,
            tags=self.named("backup"),
            opts=self.child(protect=self.site.protected, retain_on_delete=self.site.protected or locked),
        )
        if locked:
            aws.backup.VaultLockConfiguration(
                "backup",
                backup_vault_name=vault.name,
                min_retention_days=self.spec.lock_days,
                changeable_for_days=GRACE_DAYS,
                # To ask AWS for its deletion would fail, for ever.
                opts=self.child(retain_on_delete=True),
            )
        return vault

    def _plan(self, vault: aws.backup.Vault, database: Database, buckets: Mapping[str, aws.s3.Bucket]) -> None:
        plan = aws.backup.Plan(
            "backup",
            name=self.site.name("backup", limit=PLAN_LIMIT),
            rules=[
                self._rule(vault, "daily", "cron(0 3 * * ? *)", self.spec.keep_days),
                self._rule(vault, "monthly", "cron(0 4 1 * ? *)", self.spec.keep_months * MONTH_DAYS),
            ],
            tags=self.named("backup"),
            opts=self.child(),
        )
        aws.backup.Selection(
            "backup",
            name="database-and-buckets",
            plan_id=plan.id,
            iam_role_arn=self._role("backup", "AWS Backup makes copies with it", MAKE).arn,
            resources=[database.instance.arn, *(buckets[each].arn for each in BUCKETS)],
            opts=self.child(),
        )

    def _rule(self, vault: aws.backup.Vault, name: str, schedule: str, days: int) -> aws.backup.PlanRuleArgsDict:
        return {
            "rule_name": name,
            "target_vault_name": vault.name,
            "schedule": schedule,
            "start_window": START_MINUTES,
            "completion_window": COMPLETE_MINUTES,
            "lifecycle": {"delete_after": days},
            "recovery_point_tags": self.named(name),
        }

    def _rehearsal(self, vault: aws.backup.Vault, database: Database) -> None:
        plan = aws.backup.RestoreTestingPlan(
            "rehearsal",
            # It takes no hyphens.
            name=self.site.name("rehearsal", limit=PLAN_LIMIT).replace("-", "_"),
            schedule_expression="cron(0 5 ? * SUN#1 *)",
            start_window_hours=1,
            recovery_point_selection={
                "algorithm": "LATEST_WITHIN_WINDOW",
                "include_vaults": [vault.arn],
                "recovery_point_types": ["SNAPSHOT"],
                "selection_window_days": min(self.spec.keep_days, MONTH_DAYS),
            },
            tags=self.named("rehearsal"),
            opts=self.child(),
        )
        aws.backup.RestoreTestingSelection(
            "rehearsal",
            name="database",
            restore_testing_plan_name=plan.name,
            protected_resource_type="RDS",
            protected_resource_arns=[database.instance.arn],
            iam_role_arn=self._role("restore", "AWS Backup restores copies with it", RESTORE).arn,
            # Otherwise it goes into the account's default network, which there need not be.
            restore_metadata_overrides={"dbSubnetGroupName": database.subnets.name, "multiAz": "false"},
            validation_window_hours=REHEARSAL_HOURS,
            opts=self.child(),
        )

    def _role(self, name: str, about: str, policies: tuple[str, ...]) -> aws.iam.Role:
        role = aws.iam.Role(
            name,
            name=self.site.name(name, limit=64),
            description=about,
            assume_role_policy=trusted("backup.amazonaws.com", account=self.site.account),
            permissions_boundary=self.site.aws.identities.boundary,
            tags=self.named(name),
            opts=self.child(),
        )
        for each in policies:
            aws.iam.RolePolicyAttachment(
                f"{name}-{'s3' if 'S3' in each else 'database'}",
                role=role.name,
                policy_arn=f"arn:{self.site.aws.partition}:iam::aws:policy/{each}",
                opts=self.child(),
            )
        return role

    def _alarm(self, vault: aws.backup.Vault, topic_arn: pulumi.Input[str]) -> None:
        """Say it when a copy or a rehearsal fails: a backup that nobody misses is found missing when it is needed."""
        for name, detail in patterns(self.site.name("backup", limit=PLAN_LIMIT)).items():
            rule = aws.cloudwatch.EventRule(
                name,
                name=self.site.name(name, limit=64),
                description="A copy, or the rehearsal of a restore, has failed",
                event_pattern=json.dumps({"source": ["aws.backup"], **detail}),
                tags=self.named(name),
                opts=self.child(depends_on=[vault]),
            )
            aws.cloudwatch.EventTarget(name, rule=rule.name, arn=topic_arn, opts=self.child())


def patterns(vault: str) -> dict[str, dict[str, object]]:
    """Return what EventBridge looks for, by the rule's name."""
    return {
        "backup-failed": {
            "detail-type": ["Backup Job State Change"],
            "detail": {"state": list(FAILURES), "backupVaultName": [vault]},
        },
        "restore-failed": {
            "detail-type": ["Restore Job State Change"],
            "detail": {"status": ["ABORTED", "FAILED"], "backupVaultName": [vault]},
        },
    }
