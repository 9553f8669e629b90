"""Policies of the buckets: what is refused to everybody, and which AWS services may write into the logs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pulumi

from mlplat.targets.aws.iam import Statement, document, tls_only
from mlplat.targets.aws.keypolicies import trail_arn
from mlplat.targets.aws.site import Site

ENCRYPTION = "s3:x-amz-server-side-encryption"
KEY = "s3:x-amz-server-side-encryption-aws-kms-key-id"
EVERYBODY = {"AWS": "*"}
Conditions = dict[str, dict[str, Any]]


def policy(arn: str, key_arn: pulumi.Input[str]) -> Any:
    """Return the policy of a bucket with data: TLS only, and nothing encrypted otherwise than by its key."""
    # A request that says nothing is encrypted by the bucket's own setting, and must pass; `Null` lets it, since the
    # other operators are true of a header that is absent.
    other: Conditions = {"StringNotEquals": {ENCRYPTION: "aws:kms"}, "Null": {ENCRYPTION: "false"}}
    foreign: Conditions = {"ArnNotEquals": {KEY: key_arn}, "Null": {KEY: "false"}}
    return document(
        tls_only(arn, f"{arn}/*"),
        _refused("OtherEncryption", arn, other),
        _refused("OtherKey", arn, foreign),
    )


def logs_policy(site: Site, arn: str, sources: Sequence[str]) -> Any:
    """Return the policy of the logs: S3's of `sources`, the trail's and load balancers' of this account."""
    account = {"aws:SourceAccount": site.account}
    access: Conditions = {"StringEquals": account, "ArnLike": {"aws:SourceArn": list(sources)}}
    trail: Conditions = {"StringEquals": {"aws:SourceArn": trail_arn(site)}}
    delivery: Conditions = {"StringEquals": account, "ArnLike": {"aws:SourceArn": site.arn("logs", "*")}}
    trails, balancers = f"{arn}/trail/AWSLogs/{site.account}/*", f"{arn}/balancers/AWSLogs/{site.account}/*"
    return document(
        tls_only(arn, f"{arn}/*"),
        _writer("AccessLogs", "logging.s3", [f"{arn}/access/*"], access),
        _looker("TrailLooks", "cloudtrail", arn, trail),
        _writer("Trail", "cloudtrail", [trails], _given(trail)),
        _looker("BalancersLook", "delivery.logs", arn, delivery),
        _writer("Balancers", "delivery.logs", [balancers], _given(delivery)),
    )


def _refused(sid: str, arn: str, conditions: Conditions) -> Statement:
    return Statement(sid, ["s3:PutObject"], [f"{arn}/*"], conditions, EVERYBODY, effect="Deny", own=True)


def _writer(sid: str, service: str, resources: Sequence[str], conditions: Conditions) -> Statement:
    principals = {"Service": f"{service}.amazonaws.com"}
    return Statement(sid, ["s3:PutObject"], resources, conditions, principals, own=True)


def _looker(sid: str, service: str, arn: str, conditions: Conditions) -> Statement:
    principals = {"Service": f"{service}.amazonaws.com"}
    return Statement(sid, ["s3:GetBucketAcl"], [arn], conditions, principals, own=True)


def _given(conditions: Conditions) -> Conditions:
    # Both services say that the bucket's owner owns what they write, and are refused if they ever do not.
    return {**conditions, "StringEquals": {**conditions["StringEquals"], "s3:x-amz-acl": "bucket-owner-full-control"}}
