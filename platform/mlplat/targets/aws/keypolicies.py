"""Policies of the platform's keys: the account rules, and each service that asks by itself has a statement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mlplat.targets.aws.iam import Statement, Texts, document
from mlplat.targets.aws.site import Site

USE = ("kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*")
LOOK = "kms:DescribeKey"
"""Comes with no encryption context: a statement that asks for one never allows it."""
ALWAYS, IF_SAID = "StringEquals", "StringEqualsIfExists"
PUBLISHERS = {"budgets": ALWAYS, "cloudwatch": ALWAYS, "costalerts": IF_SAID, "events": IF_SAID}
"""Services that write to the topic of alerts, and whether KMS is told for which account.

A topic with a key drops the messages of whoever its key does not admit, in silence. EventBridge names no account to
KMS, and of cost alerts it is not documented: of them it is asked only that it is not another one.
"""
LAUNCHERS = (
    "autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling",
    "spot.amazonaws.com/AWSServiceRoleForEC2Spot",
    "ec2fleet.amazonaws.com/AWSServiceRoleForEC2Fleet",
)
"""Roles of AWS's own that start nodes; no policy of ours can be put on them."""
OWN_SIGNS = 40
"""Signs of a site's base with which the names of all its roles begin, however long they would be."""


def policy(purpose: str, site: Site) -> str:
    """Return a key's policy as JSON."""
    services = {"cluster": _volumes, "logs": _logs}.get(purpose)
    made: str = document(_account(site), *(services(site) if services else ()))
    return made


def trail_name(site: Site) -> str:
    """Return the name of the audit trail: its key and its bucket admit no other."""
    return site.name("trail", limit=128)


def trail_arn(site: Site) -> str:
    """Return the ARN of the audit trail."""
    return site.arn("cloudtrail", f"trail/{trail_name(site)}")


def _account(site: Site) -> Statement:
    # Without it nobody could ever change the policy again, not even AWS's support: the key would be lost.
    root = {"AWS": site.arn("iam", "root", region=False)}
    return Statement("Account", ["kms:*"], principals=root, own=True)


def _volumes(site: Site) -> Sequence[Statement]:
    # By condition, not as principals: an account in which nothing was ever started has none of these roles yet, and
    # KMS refuses a policy that names a role which is not there. Ours are those of Karpenter and of the EBS driver.
    roles = [*(f"aws-service-role/{each}" for each in LAUNCHERS), f"{site.base[:OWN_SIGNS]}*"]
    conditions: dict[str, dict[str, Any]] = {
        "StringEquals": {"kms:CallerAccount": site.account, "kms:ViaService": f"ec2.{site.region}.amazonaws.com"},
        "ArnLike": {"aws:PrincipalArn": [site.arn("iam", f"role/{each}", region=False) for each in roles]},
    }
    anybody = {"AWS": "*"}
    granted = {**conditions, "Bool": {"kms:GrantIsForAWSResource": "true"}}
    return (
        Statement("Volumes", [*USE, LOOK], conditions=conditions, principals=anybody, own=True),
        Statement("VolumeGrants", ["kms:CreateGrant"], conditions=granted, principals=anybody, own=True),
    )


def _logs(site: Site) -> Sequence[Statement]:
    groups = {"ArnLike": {"kms:EncryptionContext:aws:logs:arn": site.arn("logs", "log-group:*")}}
    trail = {
        "StringEquals": {"aws:SourceArn": trail_arn(site)},
        "ArnLike": {"kms:EncryptionContext:aws:cloudtrail:arn": site.arn("cloudtrail", "trail/*")},
    }
    described = {"StringEquals": {"aws:SourceArn": trail_arn(site)}}
    return (
        _service("Logs", f"logs.{site.region}.amazonaws.com", USE, groups),
        _service("Trail", "cloudtrail.amazonaws.com", ["kms:GenerateDataKey*"], trail),
        _service("TrailLooks", "cloudtrail.amazonaws.com", [LOOK], described),
        *(_publisher(each, site) for each in PUBLISHERS),
    )


def _publisher(service: str, site: Site) -> Statement:
    conditions = {PUBLISHERS[service]: {"aws:SourceAccount": site.account}}
    actions = ["kms:Decrypt", "kms:GenerateDataKey*"]
    return _service(service.title(), f"{service}.amazonaws.com", actions, conditions)


def _service(sid: str, service: str, actions: Sequence[str], conditions: dict[str, dict[str, str]]) -> Statement:
    return Statement(sid, actions, conditions=conditions, principals={"Service": service}, own=True)


def disk_key(noun: str, site: Site, key_arn: Texts) -> list[Statement]:
    """Return what whoever makes disks may do with their key: EC2 alone uses it, in the name of who asked."""
    via = {"kms:ViaService": f"ec2.{site.region}.amazonaws.com"}
    grant = {"StringEquals": via, "Bool": {"kms:GrantIsForAWSResource": "true"}}
    return [
        Statement(f"{noun}s", sorted([*USE, LOOK]), [key_arn], {"StringEquals": via}),
        Statement(f"{noun}Grants", ["kms:CreateGrant"], [key_arn], grant),
    ]
