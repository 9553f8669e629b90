"""Who did what in the account: a trail for all regions, and GuardDuty where it is wanted.

An account that already has a trail for all regions adopts it: a second one is paid for every event. GuardDuty is the
account's too, one detector a region; it is off unless the spec says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
import pulumi_aws as aws

from mlplat.spec.aws.governance import AuditSpec
from mlplat.targets.aws.component import Component
from mlplat.targets.aws.iam import Statement, document, trusted
from mlplat.targets.aws.keypolicies import trail_arn, trail_name
from mlplat.targets.aws.logs import retention
from mlplat.targets.aws.site import Site

PREFIX = "trail"
"""First part of the keys under which the trail is written; the bucket's policy knows it."""
WATCHED = {
    "EKS_AUDIT_LOGS": True,
    "S3_DATA_EVENTS": True,
    "RDS_LOGIN_EVENTS": True,
    "EBS_MALWARE_PROTECTION": True,
    "LAMBDA_NETWORK_LOGS": False,
    # Runtime monitoring puts an agent on every node, GPU nodes too.
    "RUNTIME_MONITORING": False,
}
"""What GuardDuty looks at. All are said: a new detector turns on whatever is not."""


class Audit(Component):
    """CloudTrail with validated files in the logs bucket and a copy that can be searched."""

    def __init__(
        self,
        name: str,
        spec: AuditSpec,
        *,
        site: Site,
        logs_bucket: aws.s3.Bucket,
        buckets: Mapping[str, aws.s3.Bucket],
        key_arn: pulumi.Input[str],
        after: Sequence[pulumi.Resource] = (),
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("Audit", name, site, opts)
        self.trail: aws.cloudtrail.Trail | None = None
        if spec.trail == "make":
            self.trail = self._trail(spec, logs_bucket, buckets, key_arn, after)
        if spec.guardduty:
            self._guardduty()
        self.register_outputs({"trail": self.trail.arn if self.trail else None})

    def _trail(
        self,
        spec: AuditSpec,
        logs_bucket: aws.s3.Bucket,
        buckets: Mapping[str, aws.s3.Bucket],
        key_arn: pulumi.Input[str],
        after: Sequence[pulumi.Resource],
    ) -> aws.cloudtrail.Trail:
        name = trail_name(self.site)
        group = aws.cloudwatch.LogGroup(
            "trail",
            name=f"/aws/cloudtrail/{name}",
            retention_in_days=retention(spec.log_days),
            kms_key_id=key_arn,
            tags=self.tags,
            opts=self.child(),
        )
        role, policy = self._role(f"/aws/cloudtrail/{name}")
        # Not the bucket that the trail is written to: each record of it would be recorded again.
        recorded = [each for each in buckets.values() if each is not logs_bucket]
        return aws.cloudtrail.Trail(
            "trail",
            name=name,
            s3_bucket_name=logs_bucket.bucket,
            s3_key_prefix=PREFIX,
            is_multi_region_trail=True,
            include_global_service_events=True,
            enable_logging=True,
            enable_log_file_validation=True,
            kms_key_id=key_arn,
            cloud_watch_logs_group_arn=pulumi.Output.format("{0}:*", group.arn),
            cloud_watch_logs_role_arn=role.arn,
            advanced_event_selectors=selectors(recorded if spec.data_events else []),
            tags=self.named(name),
            # CloudTrail tries both ways when it is told of them, and refuses those that are not open yet.
            opts=self.child(depends_on=[*after, policy]),
        )

    def _role(self, group: str) -> tuple[aws.iam.Role, aws.iam.RolePolicy]:
        role = aws.iam.Role(
            "trail",
            name=self.site.name("trail", limit=64),
            description="Writes the audit trail where it can be searched",
            assume_role_policy=trusted(
                "cloudtrail.amazonaws.com", account=self.site.account, source=trail_arn(self.site)
            ),
            permissions_boundary=self.site.aws.identities.boundary,
            tags=self.tags,
            opts=self.child(),
        )
        streams = self.site.arn("logs", f"log-group:{group}:log-stream:{self.site.account}_CloudTrail_*")
        writes = Statement("Write", ["logs:CreateLogStream", "logs:PutLogEvents"], [streams])
        policy = aws.iam.RolePolicy("trail", role=role.name, policy=document(writes), opts=self.child())
        return role, policy

    def _guardduty(self) -> None:
        detector = aws.guardduty.Detector(
            "guardduty",
            enable=True,
            finding_publishing_frequency="FIFTEEN_MINUTES",
            tags=self.named(self.site.name("guardduty")),
            opts=self.child(),
        )
        for feature, watched in WATCHED.items():
            aws.guardduty.DetectorFeature(
                feature.lower().replace("_", "-"),
                detector_id=detector.id,
                name=feature,
                status="ENABLED" if watched else "DISABLED",
                opts=self.child(),
            )


def selectors(buckets: Sequence[aws.s3.Bucket]) -> list[Any]:
    """Return what the trail records: every change and look at the account, and what happens in these buckets."""
    management = {
        "name": "management",
        "field_selectors": [{"field": "eventCategory", "equals": ["Management"]}],
    }
    if not buckets:
        return [management]
    objects = {
        "name": "objects",
        "field_selectors": [
            {"field": "eventCategory", "equals": ["Data"]},
            {"field": "resources.type", "equals": ["AWS::S3::Object"]},
            {"field": "resources.ARN", "starts_withs": [pulumi.Output.format("{0}/", each.arn) for each in buckets]},
        ],
    }
    return [management, objects]
