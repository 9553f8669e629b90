"""Names that a deployment's resources have taken in the account, although its state does not know them.

A state that was lost, or an `up` that was killed between a resource and its record, leaves them; the next `up` then
fails half-way with "already exists". So do secrets that wait for their deletion, and buckets that `down` kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlplat.errors import MlplatError
from mlplat.targets.aws.session import client, telling
from mlplat.targets.aws.site import ID_SIGNS, Site
from mlplat.targets.findings import Finding

if TYPE_CHECKING:
    import boto3

Lists = Callable[[Any], Iterable[tuple[str, str]]]
SHOWN = 5
PARTS = re.compile(r"[-/.:]")


@dataclass(frozen=True)
class Kind:
    """Resources of one kind, whose names two deployments, or a deployment and its own past, cannot both have."""

    name: str
    type: str
    """As the engine calls it."""
    service: str
    lists: Lists
    """Yields the id, as the engine imports it, and the name of each there is."""


def _pages(operation: str, key: str, identity: str, name: str, **asked: Any) -> Lists:
    def lists(asking: Any) -> Iterator[tuple[str, str]]:
        for page in asking.get_paginator(operation).paginate(**asked):
            yield from ((each[identity], each[name]) for each in page.get(key, []))

    return lists


def _buckets(s3: Any) -> Iterator[tuple[str, str]]:
    return ((each["Name"], each["Name"]) for each in s3.list_buckets()["Buckets"])


def _queues(sqs: Any) -> Iterator[tuple[str, str]]:
    for page in sqs.get_paginator("list_queues").paginate():
        yield from ((url, url.rpartition("/")[2]) for url in page.get("QueueUrls", []))


def _clusters(eks: Any) -> Iterator[tuple[str, str]]:
    for page in eks.get_paginator("list_clusters").paginate():
        yield from ((each, each) for each in page["clusters"])


KINDS = (
    Kind("clusters", "aws:eks/cluster:Cluster", "eks", _clusters),
    Kind(
        "log groups",
        "aws:cloudwatch/logGroup:LogGroup",
        "logs",
        _pages("describe_log_groups", "logGroups", "logGroupName", "logGroupName"),
    ),
    Kind("key aliases", "aws:kms/alias:Alias", "kms", _pages("list_aliases", "Aliases", "AliasName", "AliasName")),
    Kind("roles", "aws:iam/role:Role", "iam", _pages("list_roles", "Roles", "RoleName", "RoleName")),
    Kind("buckets", "aws:s3/bucket:Bucket", "s3", _buckets),
    Kind(
        "image repositories",
        "aws:ecr/repository:Repository",
        "ecr",
        _pages("describe_repositories", "repositories", "repositoryName", "repositoryName"),
    ),
    Kind("queues", "aws:sqs/queue:Queue", "sqs", _queues),
    Kind(
        "databases",
        "aws:rds/instance:Instance",
        "rds",
        _pages("describe_db_instances", "DBInstances", "DBInstanceIdentifier", "DBInstanceIdentifier"),
    ),
    Kind(
        "secrets",
        "aws:secretsmanager/secret:Secret",
        "secretsmanager",
        # One that waits for its deletion keeps its name until then.
        _pages("list_secrets", "SecretList", "ARN", "Name", IncludePlannedDeletion=True),
    ),
)


def is_ours(site: Site, name: str) -> bool:
    """Tell whether a name is of a site's deployment: each holds the first signs of its id, however it was cut."""
    return site.deployment[:ID_SIGNS] in PARTS.split(name)


def known_to(resources: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """Return every id, ARN and name that a state's resources have."""
    found: set[str] = set()
    for each in resources:
        outputs = each.get("outputs") or {}
        values = [each.get("id"), *(outputs.get(key) for key in ("arn", "name", "bucket", "identifier"))]
        found.update(value for value in values if isinstance(value, str))
    return frozenset(found)


def check(session: boto3.Session, site: Site, stack: str, known: frozenset[str]) -> Iterator[Finding]:
    """Yield, for each kind, which names of the deployment are taken by what the state does not know."""
    for kind in KINDS:
        what = f"names of {kind.name}"
        try:
            with telling(f"which {kind.name} there are"):
                there = list(kind.lists(client(session, kind.service)))
        except MlplatError as error:
            yield Finding(what, False, f"could not be asked: {error.message}", error.hint)
            continue
        left = [each for each in there if is_ours(site, each[1]) and not known.intersection(each)]
        yield judge(kind, stack, left)


def judge(kind: Kind, stack: str, left: list[tuple[str, str]]) -> Finding:
    """Judge one kind by what is there and not in the state: pairs of id and name."""
    if not left:
        return Finding(f"names of {kind.name}", True, "none is taken")
    names = ", ".join(name for _, name in left[:SHOWN]) + (f" and {len(left) - SHOWN} more" if left[SHOWN:] else "")
    mend = (
        f"`mlplat aws leftovers -s {stack}` lists and deletes it; or keep it:"
        f" `pulumi import {kind.type} NAME {left[0][0]} --parent PARENT`, as `mlplat up --preview` names them"
    )
    return Finding(f"names of {kind.name}", False, f"taken, and the state does not know by what: {names}", mend)
