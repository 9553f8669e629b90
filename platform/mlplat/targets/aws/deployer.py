"""The least IAM policy of whoever runs `up` and `down` on AWS: from the types that the program makes.

`data/permissions.json` (made by `scripts/permissions.py`) says which actions a type needs and what each can be narrowed
to. Things that have names are narrowed to the deployment's, things that AWS numbers to its tag: on the request where
they are made, on the thing itself afterwards. What AWS offers no narrowing for is in `iam.UNSCOPED`, with the reason.

Whoever may write roles may give itself more, unless `aws.identities.boundary` names a boundary: every role must then
have that one.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import resources
from typing import Any
from urllib.parse import urlsplit

from mlplat.spec.aws.network import ExistingNetworkSpec
from mlplat.spec.platform import EngineSpec
from mlplat.targets.aws.iam import VERSION, Statement
from mlplat.targets.aws.site import TAG, Site

CUT = 26
"""Signs of a name of at most 40 that are left before the id and the hash of a cut one."""
ANY = "?"
UNNAMED = ANY * 16
"""Stands for the id of a deployment that has none yet: IAM takes each sign for any one."""
LIMIT = 6_144
"""Signs that a managed policy may have, white space not counted."""
PASSED_TO = (
    "backup.amazonaws.com",
    "cloudtrail.amazonaws.com",
    "codebuild.amazonaws.com",
    "ec2.amazonaws.com",
    "ecr.amazonaws.com",
    "eks.amazonaws.com",
    "events.amazonaws.com",
    "firehose.amazonaws.com",
    "monitoring.rds.amazonaws.com",
    "pods.eks.amazonaws.com",
    "scheduler.amazonaws.com",
    "vpc-flow-logs.amazonaws.com",
)
"""Services that a role of the platform is handed to."""
LINKED = (
    "backup.amazonaws.com",
    "eks.amazonaws.com",
    "eks-nodegroup.amazonaws.com",
    "elasticache.amazonaws.com",
    "guardduty.amazonaws.com",
    "malware-protection.guardduty.amazonaws.com",
    "pullthroughcache.ecr.amazonaws.com",
    "rds.amazonaws.com",
    "restore-testing.backup.amazonaws.com",
    "spot.amazonaws.com",
)
"""Services that make a role of their own in the account when they are first used."""
ATTACHED = (
    "AmazonEC2ContainerRegistryPullOnly",
    "AmazonEKSClusterPolicy",
    "AmazonEKSWorkerNodePolicy",
    "AmazonEKS_CNI_Policy",
    "AmazonSSMManagedInstanceCore",
    "AWSBackupServiceRolePolicyForS3*",
    "service-role/AWSBackupServiceRolePolicyFor*",
    "service-role/AmazonEBSCSIDriverPolicy",
    "service-role/AmazonRDSEnhancedMonitoringRole",
)
"""AWS's own policies that the platform's roles may have."""
NOT_REGIONAL = frozenset({"iam", "route53", "ce", "budgets", "pricing", "tag", "servicequotas"})
"""Services that answer from another region than the stack's, or from none."""
DISCOVERY = "karpenter.sh/discovery"
BOUND = ("iam:CreateRole", "iam:PutRolePermissionsBoundary")
ATTACHES = ("iam:AttachRolePolicy", "iam:DetachRolePolicy")
Scope = tuple[str, str | None]


def kinds() -> frozenset[str]:
    """Return every type whose rights are known."""
    return frozenset(_data()["types"])


def documents(
    site: Site, types: Iterable[str] | None = None, *, engine: EngineSpec | None = None
) -> list[dict[str, Any]]:
    """Return the policies of whoever brings a site up, each short enough for a managed policy.

    `engine` says where the state is, which they may then read and write. `types` are those that the program makes, such
    as `aws:s3/bucket:Bucket`; without them it is every type that it can make, for whoever is to bring changes of the
    spec up as well. Raises `KeyError` for a type of AWS's that has no line.
    """
    chosen = sorted(kinds() if types is None else {each for each in types if each.startswith("aws:")})
    packed: list[list[dict[str, Any]]] = [[]]
    for each in [*statements(site, chosen), *state(site, engine)]:
        if _signs([*packed[-1], each.value()]) > LIMIT:
            packed.append([])
        packed[-1].append(each.value())
    return [{"Version": VERSION, "Statement": each} for each in packed if each]


def statements(site: Site, types: Sequence[str]) -> list[Statement]:
    """Return what the rights are, statement by statement."""
    data = _data()
    actions = {action for kind in types for action in data["types"][kind]} | set(data["beside"])
    groups: dict[tuple[tuple[str, ...], str | None], list[str]] = {}
    for action in sorted(actions - {*BOUND, *ATTACHES}):
        for condition, scopes in _by_condition(data["scopes"][action], action, site).items():
            groups.setdefault((tuple(sorted(scopes)), condition), []).append(action)
    found = [
        Statement(_sid(named, number), named, scopes, _condition(condition, site))
        for number, ((scopes, condition), named) in enumerate(sorted(groups.items(), key=_group), start=1)
    ]
    return [*found, *_roles(site, actions)]


def _by_condition(scopes: Iterable[Sequence[str | None]], action: str, site: Site) -> dict[str | None, list[str]]:
    found: dict[str | None, list[str]] = {}
    for tail, condition in scopes:
        for arn, narrowed in _narrowed(str(tail), condition, action, site):
            found.setdefault(narrowed, []).append(arn)
    return found


def _narrowed(tail: str, condition: str | None, action: str, site: Site) -> Iterator[Scope]:
    """Return the ARNs that a scope stands for, and under which condition."""
    service = action.partition(":")[0]
    if tail == "*":
        yield "*", condition or (None if service in NOT_REGIONAL else "region")
        return
    domain = site.aws.domain
    if "hostedzone/" in tail and domain and domain.zone_id:
        tail = tail.replace("hostedzone/*", f"hostedzone/{domain.zone_id}")
    there = site.aws.network.existing
    if there and condition == "resource" and (own := _existing(tail, there)) is not None:
        # Somebody else's network has their tags.
        yield from ((_arn(service, each, site), None) for each in own)
        return
    yield _arn(service, tail, site), condition


def _existing(tail: str, network: ExistingNetworkSpec) -> list[str] | None:
    """Return what a scope is in a network that is there already: its VPC and subnets by name; None for what is ours."""
    head, _, kind = tail.rpartition(":")
    ids = {
        "vpc/*": [network.vpc_id],
        "subnet/*": [*network.private_subnet_ids, *network.public_subnet_ids],
        "route-table/*": ["*"],
    }
    return [f"{head}:{kind.replace('*', each)}" for each in ids[kind]] if kind in ids else None


def _arn(service: str, tail: str, site: Site) -> str:
    values = {"base": named(site), "under": named(site).replace("-", "_")}
    for name, value in values.items():
        tail = tail.replace("{" + name + "}", value)
    tail = tail.replace("${Region}", site.region).replace("${Account}", site.account)
    # A stream's encryption names its key, which is another service's.
    owner = "" if tail.startswith("kms:") else f"{service}:"
    return f"arn:{site.aws.partition}:{owner}{tail}"


def named(site: Site) -> str:
    """Return what the names of a site begin with, as far as no limit cuts them: the shortest has 26 signs of it."""
    return site.base if len(site.base) <= CUT else f"{site.base[:CUT]}*{site.deployment[:6]}"


def _condition(name: str | None, site: Site) -> Mapping[str, Mapping[str, Any]]:
    """Return a condition as IAM writes it."""
    ours = {f"aws:{where}Tag/{TAG}": site.deployment for where in ("Request", "Resource")}
    request, resource = ({key: value} for key, value in ours.items())
    # Before there is an id its signs are written as wildcards.
    how = "StringLike" if ANY in site.deployment else "StringEquals"
    conditions: dict[str | None, Mapping[str, Mapping[str, Any]]] = {
        None: {},
        "request": {how: request},
        "resource": {how: resource},
        # There is such a key only while a thing is made, whatever makes it.
        "created": {how: request, "Null": {"ec2:CreateAction": "false"}},
        "discovery": {"ForAllValues:StringEquals": {"aws:TagKeys": [DISCOVERY]}},
        "region": {"StringEquals": {"aws:RequestedRegion": site.region}},
    }
    return conditions[name]


def _roles(site: Site, actions: set[str]) -> Iterator[Statement]:
    """Return the rights about roles: which there may be, what they may have, whom they are handed to."""
    roles = [site.arn("iam", f"role/{named(site)}*", region=False)]
    boundary = site.aws.identities.boundary
    bound = {"StringEquals": {"iam:PermissionsBoundary": boundary}} if boundary else {}
    if makes := sorted(actions & set(BOUND)):
        yield Statement("Roles", makes, roles, bound)
    if attaches := sorted(actions & set(ATTACHES)):
        own = site.arn("iam", f"policy/{named(site)}*", region=False)
        theirs = [f"arn:{site.aws.partition}:iam::aws:policy/{each}" for each in ATTACHED]
        yield Statement("Attach", attaches, roles, {"ArnLike": {"iam:PolicyARN": [own, *theirs]}})
    yield Statement("Pass", ["iam:PassRole"], roles, {"StringEquals": {"iam:PassedToService": list(PASSED_TO)}})
    # `up` and `down` enter the cluster by this one where the spec names no administrators.
    yield Statement("Enter", ["sts:AssumeRole"], roles)
    linked = site.arn("iam", "role/aws-service-role/*", region=False)
    services = {"StringEquals": {"iam:AWSServiceName": list(LINKED)}}
    yield Statement("Linked", ["iam:CreateServiceLinkedRole"], [linked], services)


def state(site: Site, engine: EngineSpec | None) -> Iterator[Statement]:
    """Return the rights to the bucket that the state is kept in, and to the key that encrypts it and its secrets."""
    backend, secrets = urlsplit((engine and engine.backend) or ""), urlsplit((engine and engine.secrets) or "")
    if backend.scheme == "s3":
        bucket = f"arn:{site.aws.partition}:s3:::{backend.netloc}"
        yield Statement("State", ["s3:ListBucket", "s3:GetBucketLocation"], [bucket])
        yield Statement("States", ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"], [f"{bucket}/*"])
    if secrets.scheme == "awskms":
        name = (secrets.netloc + secrets.path).removeprefix("/")
        actions = ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey"]
        if name.startswith("alias/"):
            # An alias is no resource of these actions, but a condition of the key's.
            by_alias = {"ForAnyValue:StringEquals": {"kms:ResourceAliases": name}}
            yield Statement("StateKey", actions, [site.arn("kms", "key/*")], by_alias)
        else:
            key = name if name.startswith("arn:") else site.arn("kms", f"key/{name}")
            yield Statement("StateKey", actions, [key])


def _group(item: tuple[tuple[tuple[str, ...], str | None], list[str]]) -> tuple[str, str, tuple[str, ...]]:
    (scopes, condition), actions = item
    return actions[0], condition or "", scopes


def _sid(actions: Sequence[str], number: int) -> str:
    return f"{actions[0].partition(':')[0].title().replace('-', '')}{number}"


def _signs(statements: Sequence[Mapping[str, Any]]) -> int:
    return len(json.dumps({"Version": VERSION, "Statement": statements}, separators=(",", ":")))


@functools.cache
def _data() -> dict[str, Any]:
    text = resources.files("mlplat.targets.aws").joinpath("data", "permissions.json").read_text()
    found: dict[str, Any] = json.loads(text)
    return found
