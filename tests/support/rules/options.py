"""Rules on what the program tells the engine: providers, protection, order, what is left to others."""

from __future__ import annotations

import re
from graphlib import CycleError, TopologicalSorter

from capture import Graph, Made
from rules.base import EVERYBODY, Found, ancestors, aws, first, is_aws, kind, leaves, objects, parsed, place, refs, rule

KEPT = [
    kind(name)
    for name in ("s3.Bucket", "rds.Instance", "kms.Key", "ecr.Repository", "dynamodb.Table", "backup.Vault")
]  # fmt: skip
"""Kinds that hold data, or without which data cannot be read."""

OF_THE_ACCOUNT = {kind("costexplorer.CostAllocationTag")}
"""Kinds of which an account has one, whichever stack asks for it first."""
PROTECTED = [kind("ec2.Vpc"), kind("eks.Cluster")]
"""Kinds whose replacement would take everything with it that stands on them."""

LEFT_TO_OTHERS = {
    "aws:eks/nodeGroup:NodeGroup": {"scalingConfig.desiredSize"},
    "aws:rds/instance:Instance": {"engineVersion", "allocatedStorage", "snapshotIdentifier"},
    "aws:eks/addon:Addon": set[str](),
}
"""Inputs that only creation reads, or that something else changes afterwards: an autoscaler, AWS's own upgrades."""

FREE = re.compile(
    r"(^|\.)(tags|tagsAll|labels|annotations|parameters|matchLabels|nodeSelector|values|data|spec|defaultTags)(\.|$)"
)
"""Maps whose keys are anybody's."""
SECRET = re.compile(
    r"AKIA[0-9A-Z]{16}|-----BEGIN [A-Z ]*PRIVATE KEY|://[^/\s:$]+:[^@\s$]{3,}@|xox[bp]-\w{8,}|gh[pousr]_\w{20,}"
)
PASSWORD = re.compile(
    r"(^|\.)(password|masterPassword|authToken|secretString|secretBinary|passwords)(\.\d+)?$", re.IGNORECASE
)


@rule
def provider_is_explicit(graph: Graph) -> Found:
    """No resource may fall to credentials that the environment happens to have."""
    for each in graph:
        if each.custom and not each.type.startswith("pulumi:") and each.provider is None:
            yield each.key, "has no explicit provider"


@rule
def provider_is_bound(graph: Graph) -> Found:
    """A provider names its region and its one account, and tags whatever it makes."""
    for each in graph:
        if each.type != "pulumi:providers:aws":
            continue
        if not each.inputs.get("region"):
            yield each.key, "names no region"
        if len(parsed(each.inputs.get("allowedAccountIds")) or []) != 1:
            yield each.key, "does not name exactly one account"
        if "mlplat:deployment" not in (parsed(each.inputs.get("defaultTags")) or {}).get("tags", {}):
            yield each.key, "does not tag what it makes with the deployment"


@rule
def data_is_kept(graph: Graph) -> Found:
    """Outside `dev`, what holds data is neither replaced nor lost; in `dev` nothing stands in the way of its end."""
    here = place(graph)
    for each in graph:
        # A database that stayed would hold the network: what stays of it is its last snapshot.
        stays = each.retain_on_delete or each.inputs.get("finalSnapshotIdentifier")
        if each.type in KEPT and not here.is_dev and not (each.protect and stays):
            yield each.key, "holds data, and is not both protected and kept when the stack ends"
        if here.is_dev and (each.protect or each.retain_on_delete) and each.type not in OF_THE_ACCOUNT:
            yield each.key, "is protected or retained in a stack that must end without leftovers"


@rule
def ground_is_kept(graph: Graph) -> Found:
    """Outside `dev`, the engine refuses to replace what everything else stands on."""
    for each in graph:
        if each.type in PROTECTED and not each.protect and not place(graph).is_dev:
            yield each.key, "can be replaced, and everything on it with it"


@rule
def nothing_else_is_ignored(graph: Graph) -> Found:
    """A change that the program ignores is drift that nobody sees."""
    for each in graph:
        for path in set(each.ignore_changes) - LEFT_TO_OTHERS.get(each.type, set()):
            yield each.key, f"ignores changes of `{path}`, which nobody else changes"


@rule
def inputs_are_spelled(graph: Graph) -> Found:
    """A nested argument that does not exist passes the SDK's type check, and stays in snake case."""
    for each in graph:
        if not is_aws(each):
            continue
        for path in _paths(each.inputs, ""):
            if "_" in path.rpartition(".")[2] and not FREE.search(path):
                yield each.key, f"`{path}` is no argument of it"


def _paths(value: object, path: str) -> list[str]:
    if isinstance(value, dict):
        found = [f"{path}.{key}".lstrip(".") for key in value]
        return [*found, *(each for key in value for each in _paths(value[key], f"{path}.{key}".lstrip(".")))]
    if isinstance(value, list):
        return [each for below in value for each in _paths(below, path)]
    return []


@rule
def references_are_there(graph: Graph) -> Found:
    """An id is taken only from what the program makes itself, and from what it waits for."""
    before = ancestors(graph)
    known = {each.key for each in graph}
    for each in graph:
        for key in refs(each.inputs):
            if key not in known:
                yield each.key, f"takes an output of `{key}`, which is not made"
            elif key not in before(each.key):
                yield each.key, f"takes an output of `{key}` without waiting for it"


@rule
def keys_are_unique(graph: Graph) -> Found:
    """Two resources of one type and name could not be told apart in a message."""
    seen: set[str] = set()
    for each in graph:
        if each.key in seen:
            yield each.key, "is there twice"
        seen.add(each.key)


@rule
def nothing_waits_for_itself(graph: Graph) -> Found:
    """Resources that wait for each other could never be made, nor deleted."""
    waits = {each.key: {*each.depends_on, *filter(None, [each.parent])} for each in graph}
    try:
        TopologicalSorter(waits).prepare()
    except CycleError as error:
        circle: list[str] = error.args[1]
        yield circle[0], f"waits for itself by {' and '.join(circle[1:])}"


@rule
def secrets_stay_outside(graph: Graph) -> Found:
    """No password and no key is an input of anything: inputs are kept in the state."""
    for each in graph:
        for path, leaf in leaves(each.inputs):
            if not isinstance(leaf, str) or not leaf:
                continue
            if SECRET.search(leaf) or PASSWORD.search(path):
                yield each.key, f"`{path}` looks like a secret"
    for made in aws(graph, "secretsmanager.SecretVersion", "iam.AccessKey"):
        yield made.key, "keeps a secret's value in the state"


@rule
def nothing_is_open_outside_dev(graph: Graph) -> Found:
    """Nothing answers the whole internet, whatever field says so; a way out may lead anywhere."""
    here = place(graph)
    for each in graph:
        if not is_aws(each) or here.is_dev or _leads_out(each):
            continue
        for path, leaf in leaves(each.inputs):
            if leaf in EVERYBODY and not path.startswith("egress"):
                yield each.key, f"`{path}` is open to everybody"


def _leads_out(made: Made) -> bool:
    kinds = ("ec2.Route", "ec2.RouteTable", "vpc.SecurityGroupEgressRule", "ec2.DefaultRouteTable")
    return made.type in map(kind, kinds) or made.inputs.get("type") == "egress"


@rule
def deployer_outlives_objects(graph: Graph) -> Found:
    """What opens the cluster to the program is there before, and after, every object on it."""
    before = ancestors(graph)
    openings = {each.key for each in aws(graph, "eks.AccessPolicyAssociation")}
    if first(graph, "eks.Cluster") is None:
        return
    for each in objects(graph):
        if not openings & before(each.key):
            yield each.key, "does not wait for the access of whoever makes it"


@rule
def objects_name_their_provider(graph: Graph) -> Found:
    """An object on a cluster goes through the provider of that very cluster."""
    providers = {each.key: each for each in graph if each.type == "pulumi:providers:kubernetes"}
    for each in objects(graph):
        if each.custom and each.provider not in providers:
            yield each.key, "has no provider of this program"
    for key, made in providers.items():
        if not made.inputs.get("clusterIdentifier"):
            yield key, "names no `clusterIdentifier`: a new endpoint would replace every object"
