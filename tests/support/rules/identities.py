"""Rules on roles: each has one user, which it trusts, and each service account one role."""

from __future__ import annotations

import json
import re
from collections import Counter

from capture import Graph, Made
from rules.base import (
    Found,
    at,
    aws,
    customs,
    first,
    kind,
    listed,
    objects,
    refs,
    rule,
    services,
    statements,
)

USERS = {
    kind(name): service
    for name, service in (
        ("eks.PodIdentityAssociation", "pods.eks.amazonaws.com"),
        ("eks.Addon", "pods.eks.amazonaws.com"),
        ("eks.Cluster", "eks.amazonaws.com"),
        ("eks.NodeGroup", "ec2.amazonaws.com"),
        ("iam.InstanceProfile", "ec2.amazonaws.com"),
        ("ec2.FlowLog", "vpc-flow-logs.amazonaws.com"),
        ("backup.Selection", "backup.amazonaws.com"),
        ("backup.RestoreTestingSelection", "backup.amazonaws.com"),
        ("codebuild.Project", "codebuild.amazonaws.com"),
        ("kinesis.FirehoseDeliveryStream", "firehose.amazonaws.com"),
        ("rds.Instance", "monitoring.rds.amazonaws.com"),
        ("scheduler.Schedule", "scheduler.amazonaws.com"),
        ("cloudtrail.Trail", "cloudtrail.amazonaws.com"),
        ("ecr.RepositoryCreationTemplate", "ecr.amazonaws.com"),
        ("cloudwatch.EventTarget", "events.amazonaws.com"),
    )
}
"""Kinds that take a role, and the service that then assumes it."""
PODS = "pods.eks.amazonaws.com"


def _roles_of(graph: Graph, made: Made) -> list[Made]:
    text = json.dumps(made.inputs)
    return [
        role for role in aws(graph, "iam.Role")
        if role.key in refs(made.inputs) or f":role/{role.inputs.get('name')}" in text
    ]  # fmt: skip


@rule
def roles_have_users(graph: Graph) -> Found:
    """A role that nobody takes is a way in that nobody watches."""
    used = {role.key for each in graph if each.type in USERS for role in _roles_of(graph, each)}
    named = {at(each.inputs, "spec.role") for each in customs(graph, "EC2NodeClass")}
    entries = {role.key for each in aws(graph, "eks.AccessEntry") for role in _roles_of(graph, each)}
    for role in aws(graph, "iam.Role"):
        # The node role of Karpenter: in one stack a class names it, in two the cluster's entry for nodes does.
        if role.key not in used | entries and role.inputs.get("name") not in named:
            yield role.key, "is nobody's"


@rule
def roles_trust_their_users(graph: Graph) -> Found:
    """A role trusts the service that is told to take it, and only one."""
    for each in graph:
        for role in _roles_of(graph, each) if each.type in USERS else []:
            trusted = _trusted(role)
            if USERS[each.type] not in trusted:
                yield role.key, f"does not trust `{USERS[each.type]}`, and {each.key} takes it"
    for role in aws(graph, "iam.Role"):
        if len(set(_trusted(role))) != 1:
            yield role.key, f"trusts {', '.join(_trusted(role)) or 'nobody'}: one service is to take a role"
        if any("*" in json.dumps(found.get("Principal")) for found in statements(role)):
            yield role.key, "trusts everybody"


def _trusted(role: Made) -> list[str]:
    principals = [found.get("Principal") for found in statements(role)]
    accounts = [str(arn) for each in principals if isinstance(each, dict) for arn in listed(each.get("AWS"))]
    return [*(service for found in statements(role) for service in services(found)), *accounts]


@rule
def pods_roles_can_be_taken(graph: Graph) -> Found:
    """Pod Identity assumes a role and tags its session: without either action the pod has no credentials."""
    for role in aws(graph, "iam.Role"):
        for found in statements(role):
            actions = set(listed(found.get("Action")))
            if PODS in services(found) and not {"sts:AssumeRole", "sts:TagSession"} <= actions:
                yield role.key, f"lets pods only {', '.join(sorted(actions))}"


@rule
def identities_are_unique(graph: Graph) -> Found:
    """A service account has one role, on a cluster of this program, in a namespace with a legal name."""
    cluster = first(graph, "eks.Cluster")
    pairs = Counter(
        (each.inputs.get("namespace"), each.inputs.get("serviceAccount"))
        for each in aws(graph, "eks.PodIdentityAssociation")
    )
    for each in aws(graph, "eks.PodIdentityAssociation"):
        pair = (each.inputs.get("namespace"), each.inputs.get("serviceAccount"))
        if pairs[pair] > 1:
            yield each.key, f"{pair[0]}/{pair[1]} has two roles"
        if not all(re.fullmatch(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?", str(name)) for name in pair):
            yield each.key, f"{pair[0]}/{pair[1]} is no service account"
        named = each.inputs.get("clusterName")
        if cluster and named != cluster.inputs.get("name") and cluster.key not in refs(named):
            yield each.key, f"is of another cluster, {named!r}"


@rule
def identities_are_used(graph: Graph) -> Found:
    """An association for a chart names the service account that the chart makes: a misspelt one gives no role."""
    charts = {
        str(each.inputs.get("chart")).rpartition("/")[2]: each for each in objects(graph) if each.inputs.get("chart")
    }
    pairs = {
        (e.inputs.get("namespace"), e.inputs.get("serviceAccount")) for e in aws(graph, "eks.PodIdentityAssociation")
    }
    if first(graph, "eks.Cluster") is None:
        return
    for name in ("karpenter", "aws-load-balancer-controller"):
        if name not in charts:
            continue
        chart = charts[name]
        account = at(chart.inputs, "values.serviceAccount.name") or name
        if (chart.inputs.get("namespace"), account) not in pairs:
            yield chart.key, f"its service account {chart.inputs.get('namespace')}/{account} has no role"


@rule
def boundary_is_on_every_role(graph: Graph) -> Found:
    """A permissions boundary that one role has, all have: one without is the way around it."""
    roles = aws(graph, "iam.Role")
    bound = {each.inputs.get("permissionsBoundary") for each in roles}
    for each in roles:
        if len(bound) > 1 and not each.inputs.get("permissionsBoundary"):
            yield each.key, "has no boundary, and others have"
