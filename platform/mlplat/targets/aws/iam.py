"""IAM documents: statements as values, roles for pods and services, and why some statements name every resource.

Where AWS offers no scoping for an action, its statement has `Resource: "*"`, and `UNSCOPED` says why. A statement for
every resource whose actions are not all listed there is refused when it is made.
"""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi

EVERYTHING = "*"
VERSION = "2012-10-17"

UNSCOPED: Mapping[str, str] = {
    "ec2:Describe*": "EC2's reads of many things take no resource",
    "ecr:GetAuthorizationToken": "the token is the account's, for all of its repositories",
    "iam:ListInstanceProfiles": "a list of the account's takes no resource",
    "pricing:GetProducts": "prices are nobody's resources",
    "kms:CreateKey": "a key has no id before it is made",
    "kms:ListAliases": "a list of the account's takes no resource",
    "logs:DescribeLogGroups": "a list of the account's takes no resource",
    "xray:PutTraceSegments": "traces are no resources",
    "elasticloadbalancing:Describe*": "ELB's reads take no resource",
    "dynamodb:ListTables": "a list of the account's takes no resource",
    # The deployer's, whose statements name the region or the request's tag besides.
    "acm:RequestCertificate": "a certificate has no name before it is made",
    "backup-storage:MountCapsule": "a vault's storage is no resource of anybody's policy",
    "ce:*": "monitors and tags of costs are the account's, and are made before they have a name",
    "cloudtrail:DescribeTrails": "a list of the account's takes no resource",
    "ecr:*PullThroughCacheRule*": "rules belong to the account's registry, and take no resource",
    "ecr:*RepositoryCreationTemplate*": "templates belong to the account's registry, and take no resource",
    "eks:CreateCluster": "a cluster is no resource before it is made",
    "guardduty:CreateDetector": "a detector has no id before it is made",
    "iam:ListPolicies": "a list of the account's takes no resource",
    "iam:ListRoles": "a list of the account's takes no resource",
    "kinesis:UpdateShardCount": "the reference of these rights names no resource",
    "kinesis:UpdateStreamMode": "the reference of these rights names no resource",
    "route53:CreateHostedZone": "a zone has no id before it is made",
    "servicequotas:*": "reads of the account's quotas take no resource",
    "sns:*Subscription*": "a subscription is no resource of a policy",
    "sns:Unsubscribe": "a subscription is no resource of a policy",
    "tag:GetResources": "a list of the account's takes no resource",
}
"""Actions, with `*` as a wildcard, that may be allowed for every resource, and the reason."""

Texts = str | pulumi.Output[str]


@dataclass(frozen=True)
class Statement:
    """One statement of a policy. Raises `ValueError` for one that names every resource without a reason."""

    sid: str
    actions: Sequence[str]
    resources: Sequence[Texts] = (EVERYTHING,)
    conditions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    principals: Mapping[str, Any] | None = None
    """Who, in a resource's own policy or a trust policy, such as `{"Service": "events.amazonaws.com"}`."""
    effect: str = "Allow"
    own: bool = False
    """Whether this is part of a resource's own policy, or of a trust policy, which name no resource."""

    def __post_init__(self) -> None:
        if self.effect == "Deny" or self.own or EVERYTHING not in self.resources:
            return
        if unknown := [each for each in self.actions if reason(each) is None]:
            raise ValueError(f"{self.sid}: {', '.join(unknown)} on every resource, and `UNSCOPED` gives no reason")

    def value(self) -> dict[str, Any]:
        """Return it as IAM writes it."""
        return {
            "Sid": self.sid,
            "Effect": self.effect,
            **({"Principal": self.principals} if self.principals else {}),
            "Action": list(self.actions),
            **({"Resource": list(self.resources)} if self.resources else {}),
            **({"Condition": self.conditions} if self.conditions else {}),
        }


def reason(action: str) -> str | None:
    """Return why an action may be allowed for every resource; None where it may not."""
    return next((why for pattern, why in UNSCOPED.items() if fnmatch.fnmatchcase(action, pattern)), None)


def document(*statements: Statement) -> Any:
    """Return a policy as JSON: a text where every leaf is known, an output otherwise."""
    value = {"Version": VERSION, "Statement": [each.value() for each in statements]}
    return pulumi.Output.json_dumps(value, sort_keys=True) if _has_outputs(value) else json.dumps(value, sort_keys=True)


def _has_outputs(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(_has_outputs(each) for each in value.values())
    if isinstance(value, (list, tuple)):
        return any(_has_outputs(each) for each in value)
    return isinstance(value, pulumi.Output)


def trusted(service: str, *, account: str | None = None, source: Texts | None = None) -> str:
    """Return the trust policy of a role that an AWS service takes; with `account`, only on that account's behalf."""
    conditions: dict[str, dict[str, Any]] = {}
    if account:
        conditions["StringEquals"] = {"aws:SourceAccount": account}
    if source:
        conditions["ArnLike"] = {"aws:SourceArn": source}
    made = Statement("Service", ["sts:AssumeRole"], (), conditions, {"Service": service}, own=True)
    found: str = document(made)
    return found


def pods() -> str:
    """Return the trust policy of a role that pods take by EKS Pod Identity, with their session's tags."""
    service = {"Service": "pods.eks.amazonaws.com"}
    made = Statement("Pods", ["sts:AssumeRole", "sts:TagSession"], (), {}, service, own=True)
    found: str = document(made)
    return found


def tls_only(*arns: Texts) -> Statement:
    """Return the statement of a resource's own policy that refuses whoever does not encrypt the way to it."""
    return Statement(
        "TlsOnly", ["*"], arns, {"Bool": {"aws:SecureTransport": "false"}}, {"AWS": "*"}, effect="Deny", own=True
    )
