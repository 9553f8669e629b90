"""The buckets: data, artifacts, features, pipelines, and the logs of the others.

Each is encrypted, versioned, closed to the public and reached over TLS only. A bucket that is kept when the platform
ends is kept with all of that: its policy, its block and its versions stay too.
"""

from __future__ import annotations

from typing import Any

import pulumi
import pulumi_aws as aws

from mlplat.spec.aws.data import StorageSpec
from mlplat.targets.aws.bucketpolicies import logs_policy, policy
from mlplat.targets.aws.component import Component
from mlplat.targets.aws.lifecycle import rules
from mlplat.targets.aws.site import Site

DATA_KINDS = ("data", "artifacts", "features", "pipelines")
LOGS = "logs"
KINDS = (*DATA_KINDS, LOGS)
ACCESS_LOGS = "access"
"""First part of the keys under which S3 writes who read and wrote what."""


def bucket_name(site: Site, kind: str) -> str:
    """Return the name of a bucket. It holds the account, since names are taken from the whole world's."""
    return site.name(kind, site.account, limit=63)


def bucket_arn(site: Site, kind: str) -> str:
    """Return the ARN of a bucket."""
    return site.arn("s3", bucket_name(site, kind), region=False, account=False)


class Storage(Component):
    """Five buckets and everything that is set on them."""

    def __init__(
        self,
        name: str,
        spec: StorageSpec,
        *,
        site: Site,
        key_arn: pulumi.Input[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("Storage", name, site, opts)
        self.spec = spec
        self.buckets: dict[str, aws.s3.Bucket] = {kind: self._bucket(kind) for kind in KINDS}
        sources = [bucket_arn(site, kind) for kind in DATA_KINDS]
        self.logs_ready: aws.s3.BucketPolicy = self._settings(
            LOGS, None, logs_policy(site, bucket_arn(site, LOGS), sources)
        )
        """The logs' policy: whatever writes there depends on it."""
        for kind in DATA_KINDS:
            self._settings(kind, key_arn, policy(bucket_arn(site, kind), key_arn))
            self._access_logs(kind)
        self.register_outputs({kind: bucket.bucket for kind, bucket in self.buckets.items()})

    def _bucket(self, kind: str) -> aws.s3.Bucket:
        name = bucket_name(self.site, kind)
        return aws.s3.Bucket(
            kind,
            bucket=name,
            # A bucket with something in it cannot be deleted otherwise: the last guard of what is protected.
            force_destroy=not self.site.protected,
            tags=self.named(name),
            opts=self.kept(),
        )

    def _settings(
        self, kind: str, key_arn: pulumi.Input[str] | None, document: pulumi.Input[str]
    ) -> aws.s3.BucketPolicy:
        bucket = self.buckets[kind].bucket
        owned = aws.s3.BucketOwnershipControls(
            kind, bucket=bucket, rule={"object_ownership": "BucketOwnerEnforced"}, opts=self._stays()
        )
        aws.s3.BucketServerSideEncryptionConfiguration(
            kind, bucket=bucket, rules=[encryption(key_arn)], opts=self._stays()
        )
        versioned = aws.s3.BucketVersioning(
            kind, bucket=bucket, versioning_configuration={"status": "Enabled"}, opts=self._stays()
        )
        aws.s3.BucketLifecycleConfiguration(
            kind,
            bucket=bucket,
            rules=rules(kind, self.spec),
            # Rules for previous versions mean nothing before there are versions.
            opts=self._stays(depends_on=[versioned]),
        )
        block = aws.s3.BucketPublicAccessBlock(
            kind,
            bucket=bucket,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=self._stays(),
        )
        # After both: S3 refuses two changes of who may reach a bucket at once (`OperationAborted`).
        return aws.s3.BucketPolicy(kind, bucket=bucket, policy=document, opts=self._stays(depends_on=[block, owned]))

    def _access_logs(self, kind: str) -> None:
        aws.s3.BucketLogging(
            kind,
            bucket=self.buckets[kind].bucket,
            target_bucket=self.buckets[LOGS].bucket,
            target_prefix=f"{ACCESS_LOGS}/{kind}/",
            # By day in the keys: a search of one week reads one week.
            target_object_key_format={"partitioned_prefix": {"partition_date_source": "EventTime"}},
            opts=self._stays(depends_on=[self.logs_ready]),
        )

    def _stays(self, **more: Any) -> pulumi.ResourceOptions:
        return self.child(retain_on_delete=self.site.protected, **more)


def encryption(key_arn: pulumi.Input[str] | None) -> Any:
    """Return how a bucket encrypts; without a key, with S3's own, the only one that S3 delivers access logs with."""
    if key_arn is None:
        return {"apply_server_side_encryption_by_default": {"sse_algorithm": "AES256"}}
    default = {"sse_algorithm": "aws:kms", "kms_master_key_id": key_arn}
    # With a key of the bucket KMS is asked once in a while, and not for each object: a hundredth of the cost.
    return {"apply_server_side_encryption_by_default": default, "bucket_key_enabled": True}
