"""Rules on physical names and tags: within AWS's limits, of this deployment, found again by their tags."""

from __future__ import annotations

import functools
import importlib
import inspect
import re
from typing import Any

from capture import TOKEN, Graph, Made
from rules.base import (
    COMPONENT_TAG,
    DEPLOYMENT_TAG,
    Found,
    at,
    aws,
    customs,
    is_aws,
    kind,
    leaves,
    objects,
    parsed,
    place,
    rule,
)

LOWER = r"(?!.*--)[a-z][a-z0-9-]*[a-z0-9]"
WORDS = r"[\w+=,.@-]+"

PHYSICAL: dict[str, tuple[str, int, str]] = {
    kind(name): (path, limit, pattern)
    for name, path, limit, pattern in (
        ("acm.Certificate", "", 0, ""),
        ("backup.Plan", "name", 50, r"[\w.-]+"),
        ("backup.Selection", "name", 50, r"[\w.-]+"),
        ("backup.Vault", "name", 50, r"[\w-]+"),
        ("budgets.Budget", "name", 100, r"[^:\\]+"),
        ("cloudtrail.Trail", "name", 128, r"[A-Za-z0-9][\w.-]+[A-Za-z0-9]"),
        ("cloudwatch.EventRule", "name", 64, r"[\w.-]+"),
        ("cloudwatch.LogGroup", "name", 512, r"[\w./#-]+"),
        ("cloudwatch.MetricAlarm", "name", 255, r".+"),
        ("codebuild.Project", "name", 150, r"[A-Za-z0-9][\w-]+"),
        ("costexplorer.AnomalyMonitor", "name", 255, r".+"),
        ("costexplorer.AnomalySubscription", "name", 255, r".+"),
        ("dynamodb.Table", "name", 255, r"[\w.-]{3,}"),
        ("ec2.LaunchTemplate", "name", 128, r"[\w().\-/]{3,}"),
        ("ec2.SecurityGroup", "name", 255, r"(?!sg-)[\w .:/()#,@\[\]+=&;{}!$*-]+"),
        ("ecr.PullThroughCacheRule", "ecrRepositoryPrefix", 30, r"[a-z0-9]+([._-][a-z0-9]+)*/?"),
        ("ecr.Repository", "name", 256, r"[a-z0-9]+([._/-][a-z0-9]+)*"),
        ("ecr.RepositoryCreationTemplate", "prefix", 256, r"[a-z0-9]+([._/-][a-z0-9]+)*/?"),
        ("eks.Cluster", "name", 100, r"[A-Za-z0-9][\w-]*"),
        ("eks.NodeGroup", "nodeGroupName", 63, r"[A-Za-z0-9][\w-]*"),
        ("elasticache.ReplicationGroup", "replicationGroupId", 40, LOWER),
        ("elasticache.SubnetGroup", "name", 255, LOWER),
        ("elasticache.User", "userId", 40, LOWER),
        ("elasticache.UserGroup", "userGroupId", 40, LOWER),
        ("iam.InstanceProfile", "name", 128, WORDS),
        ("iam.Policy", "name", 128, WORDS),
        ("iam.Role", "name", 64, WORDS),
        ("kinesis.FirehoseDeliveryStream", "name", 64, r"[\w.-]+"),
        ("kinesis.Stream", "name", 128, r"[\w.-]+"),
        ("kms.Alias", "name", 256, r"alias/(?!aws/)[\w/-]+"),
        ("rds.Instance", "identifier", 63, LOWER),
        ("rds.ParameterGroup", "name", 255, LOWER),
        ("rds.SubnetGroup", "name", 255, r"[a-z0-9 ._-]+"),
        ("s3.Bucket", "bucket", 63, r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]"),
        ("scheduler.Schedule", "name", 64, r"[\w.-]+"),
        ("scheduler.ScheduleGroup", "name", 64, r"[\w.-]+"),
        ("secretsmanager.Secret", "name", 512, r"[\w/+=.@-]+"),
        ("sns.Topic", "name", 256, r"[\w-]+"),
        ("sqs.Queue", "name", 80, r"[\w-]+"),
    )
    if path
}
"""Kinds that somebody names: by which input, with how many characters, of which form."""
WITHIN = {kind("backup.Selection")}
"""Kinds whose name is one within another thing's, and need not differ from a neighbour's."""

UNTAGGED = {kind("backup.Selection"): "AWS offers no tags on it"}
BY_GROUPS = {kind("autoscaling.Group"), kind("autoscaling.Tag")}


@rule
def names_fit(graph: Graph) -> Found:
    """A name that is too long, or of a wrong form, is only refused when the thing is made."""
    for each in graph:
        if each.type not in PHYSICAL:
            continue
        path, limit, pattern = PHYSICAL[each.type]
        name = at(each.inputs, path)
        if not isinstance(name, str):
            yield each.key, f"has no `{path}`: the engine would invent one that no limit is kept for"
        elif not TOKEN.search(name) and (len(name) > limit or not re.fullmatch(pattern, name)):
            yield each.key, f"`{path}` {name!r} is not {pattern} of at most {limit} characters"


@rule
def names_hold_the_deployment(graph: Graph) -> Found:
    """Two deployments in one account and region may meet in no name."""
    here = place(graph)
    for made, name in physical(graph):
        if here.mark not in name:
            yield made.key, f"{name!r} does not hold `{here.mark}`, the deployment's"


def physical(graph: Graph) -> list[tuple[Made, str]]:
    """Return everything's name in the account, for kinds that have one of their own."""
    own = [each for each in graph if each.type in PHYSICAL and each.type not in WITHIN]
    named = [(each, at(each.inputs, PHYSICAL[each.type][0])) for each in own]
    return [(each, name) for each, name in named if isinstance(name, str) and not TOKEN.search(name)]


@rule
def everything_is_tagged(graph: Graph) -> Found:
    """Whatever can have a tag has the deployment's and its component's, written: default tags reach not everything."""
    here = place(graph)
    for each in graph:
        if not is_aws(each) or not is_taggable(each.type) or each.type in UNTAGGED:
            continue
        tags = each.inputs.get("tags") or {}
        if tags.get(DEPLOYMENT_TAG) != here.deployment:
            yield each.key, f"has no tag `{DEPLOYMENT_TAG}` of this deployment"
        if not tags.get(COMPONENT_TAG):
            yield each.key, f"has no tag `{COMPONENT_TAG}`"


@rule
def tags_are_legal(graph: Graph) -> Found:
    """AWS takes fifty tags, keys of 128 and values of 256 characters, and keeps `aws:` to itself."""
    for each in graph:
        tags = each.inputs.get("tags") if is_aws(each) else None
        for key, value in (tags or {}).items() if isinstance(tags, dict) else ():
            legal = 0 < len(key) <= 128 and len(str(value)) <= 256 and not key.lower().startswith("aws:")
            if not legal or not re.fullmatch(r"[\w\s.:/=+@${}-]*", f"{key}{value}"):
                yield each.key, f"tag {key!r}: {value!r} is not AWS's form"
        if isinstance(tags, dict) and len(tags) > 50:
            yield each.key, f"has {len(tags)} tags, and AWS takes 50"


@rule
def machines_are_tagged(graph: Graph) -> Found:
    """Default tags reach no machine, disk or volume that something else makes in the platform's name."""
    here = place(graph)
    for each in aws(graph, "ec2.LaunchTemplate"):
        found = {spec.get("resourceType"): spec.get("tags", {}) for spec in each.inputs.get("tagSpecifications", [])}
        for wanted in ("instance", "volume"):
            if found.get(wanted, {}).get(DEPLOYMENT_TAG) != here.deployment:
                yield each.key, f"does not tag an {wanted} that is made of it"
    for each in customs(graph, "EC2NodeClass"):
        if (at(each.inputs, "spec.tags") or {}).get(DEPLOYMENT_TAG) != here.deployment:
            yield each.key, "does not tag the machines that Karpenter makes"
    for each in objects(graph):
        if each.type.endswith(":StorageClass") and "ebs" in str(each.inputs.get("provisioner")):
            written = [str(value) for key, value in each.inputs.get("parameters", {}).items() if "tagSpec" in key]
            if f"{DEPLOYMENT_TAG}={here.deployment}" not in written:
                yield each.key, "does not tag the volumes that it makes"


@rule
def balancers_are_tagged(graph: Graph) -> Found:
    """What the load balancer controller makes has the tags that its chart is told."""
    here = place(graph)
    for each in objects(graph):
        if each.inputs.get("chart") == "aws-load-balancer-controller":
            tags = at(each.inputs, "values.defaultTags") or {}
            if parsed(tags).get(DEPLOYMENT_TAG) != here.deployment:
                yield each.key, "does not tag the load balancers that it makes"


@rule
def bills_are_told_apart(graph: Graph) -> Found:
    """A budget on a tag sees nothing until the tag is a cost allocation tag."""
    active = {each.inputs.get("tagKey") for each in aws(graph, "costexplorer.CostAllocationTag")
              if each.inputs.get("status") == "Active"}  # fmt: skip
    for each in aws(graph, "budgets.Budget", "costexplorer.AnomalyMonitor"):
        for path, leaf in leaves(each.inputs):
            match = re.match(r"user:([^$]+)\$", leaf) if isinstance(leaf, str) else None
            if match and match[1] not in active:
                yield each.key, f"`{path}` filters by the tag `{match[1]}`, which is no active cost allocation tag"
    for each in aws(graph, "costexplorer.AnomalyMonitor"):
        key = at(parsed(each.inputs.get("monitorSpecification")), "Tags.Key")
        if key and key.removeprefix("user:") not in active:
            yield each.key, f"watches the tag `{key}`, which is no active cost allocation tag"


def collisions(one: Graph, other: Graph) -> list[str]:
    """Return the names in which two deployments meet."""
    theirs = {(made.type, name) for made, name in physical(other)}
    return [f"{made.key}: {name}" for made, name in physical(one) if (made.type, name) in theirs]


@functools.cache
def is_taggable(type_: str) -> bool:
    """Tell whether a type of `pulumi_aws` has tags."""
    return "tags" in arguments(type_) and type_ not in BY_GROUPS


@functools.cache
def arguments(type_: str) -> frozenset[str]:
    """Return a type's arguments, as `pulumi_aws` has them. Raises `AssertionError` for a type that it has not."""
    _, path, noun = type_.split(":")
    module: Any = importlib.import_module(f"pulumi_aws.{path.partition('/')[0]}")
    made = getattr(module, noun, None)
    assert made is not None, f"pulumi_aws has no {type_}"
    return frozenset(inspect.signature(made._internal_init).parameters)
