"""Roles that pods take by EKS Pod Identity, for what the cluster itself needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pulumi
import pulumi_aws as aws

from mlplat.targets.aws.component import Component
from mlplat.targets.aws.iam import Statement, document, pods

POLICY_LIMIT = 6144
"""Most characters of a managed policy, white space aside."""
ROLE_LIMIT, POLICY_NAME_LIMIT = 64, 128


def pod_role(
    component: Component,
    label: str,
    *,
    description: str,
    policies: Mapping[str, Sequence[Statement]] | None = None,
    managed: Sequence[str] = (),
    boundary: str | None = None,
) -> tuple[aws.iam.Role, list[pulumi.Resource]]:
    """Make a role with policies of its own and AWS's (`managed`, by ARN).

    Returns it, and what must be there before a pod takes it.
    """
    site = component.site
    role = aws.iam.Role(
        label,
        name=site.name(label, limit=ROLE_LIMIT),
        description=description,
        assume_role_policy=pods(),
        permissions_boundary=boundary,
        tags=component.tags,
        opts=component.child(),
    )
    arns: dict[str, pulumi.Input[str]] = {arn.rpartition("/")[2]: arn for arn in managed}
    arns |= {each: _policy(component, label, each, made).arn for each, made in (policies or {}).items()}
    attachments = [
        aws.iam.RolePolicyAttachment(f"{label}-{each}", role=role.name, policy_arn=arn, opts=component.child())
        for each, arn in arns.items()
    ]
    return role, [role, *attachments]


def association(
    component: Component,
    label: str,
    *,
    cluster: pulumi.Input[str],
    namespace: str,
    service_account: str,
    role: aws.iam.Role,
    after: Sequence[pulumi.Resource],
) -> aws.eks.PodIdentityAssociation:
    """Bind a role to a service account. A pod that started before it has no identity until it is started again."""
    return aws.eks.PodIdentityAssociation(
        label,
        cluster_name=cluster,
        namespace=namespace,
        service_account=service_account,
        role_arn=role.arn,
        tags=component.tags,
        opts=component.child(depends_on=list(after)),
    )


def _policy(component: Component, label: str, name: str, statements: Sequence[Statement]) -> aws.iam.Policy:
    return aws.iam.Policy(
        f"{label}-{name}",
        name=component.site.name(label, name, limit=POLICY_NAME_LIMIT),
        policy=document(*statements),
        tags=component.tags,
        opts=component.child(),
    )
