"""Every IAM document of a capture, and what is wrong with it: parliament's findings and rules of our own."""

from __future__ import annotations

import fnmatch
import functools
import json
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import awsshapes
from capture import TOKEN, Graph, Made
from mlplat.targets.aws import iam

MANAGED_LIMIT, INLINE_LIMIT, TRUST_LIMIT = 6_144, 10_240, 2_048
"""Signs without white space: of a managed policy, of all inline policies of a role, of a trust policy."""
BUCKET_LIMIT, KEY_LIMIT = 20_480, 32_768
"""Bytes of a bucket's and of a key's own policy."""
ACCOUNT_CONDITIONS = ("aws:sourceaccount", "aws:sourcearn", "aws:principalaccount", "kms:calleraccount")
PODS = "pods.eks.amazonaws.com"
INSTANCE_SERVICES = {"ec2.amazonaws.com", "eks.amazonaws.com", PODS}
"""Services that act for this account alone: EC2 and EKS send no source, and Pod Identity names the association."""
EITHER: Mapping[str, str] = {
    "route53:ChangeTagsForResource": "tags a zone or a health check",
}
"""Actions on one of several kinds of resources, of which parliament asks for every one."""
DEPLOYER = "deployer-"
"""What begins the policies of who runs `up`: it writes the resources' own policies, and reads none of their data."""
UNCONDITIONAL: Mapping[str, str] = {
    "ecr.amazonaws.com": "ECR sends no source, and takes only a role of the registry's own account",
}
"""Services whose trust AWS documents without a condition, and why nobody else can use it."""
NEWER: Mapping[str, str] = {
    "elasticloadbalancing:CreateAction": "since 2023, for tags on creation",
    "kms:ResourceAliases": "since 2020, for every use of a key",
}
"""Actions and conditions that parliament's data does not have, and since when AWS does."""


@dataclass(frozen=True)
class Document:
    """One policy, with every token as a literal of AWS's shape."""

    made: Made
    field: str
    value: dict[str, Any]
    beside: tuple[dict[str, Any], ...] = ()
    """Statements of other policies of the same roles."""

    @property
    def where(self) -> str:
        """Return the resource and the input it was found in."""
        return f"{self.made.key} {self.field}"

    @property
    def kind(self) -> str:
        """Return `trust`, `identity` or `resource`."""
        if self.field.endswith("assumeRolePolicy"):
            return "trust"
        return "resource" if any("Principal" in each for each in self.statements) else "identity"

    @property
    def statements(self) -> list[dict[str, Any]]:
        """Return its statements."""
        found = self.value.get("Statement", [])
        return found if isinstance(found, list) else [found]

    @property
    def size(self) -> int:
        """Return its length in signs as AWS counts it, without white space."""
        return len(json.dumps(self.value, separators=(",", ":")))


def documents(graph: Graph) -> list[Document]:
    """Return every document of a graph. A text that begins as JSON and is none is an error."""
    found = [
        Document(made, field, awsshapes.shaped(graph, json.loads(text)))
        for made in graph
        if made.type.startswith("aws:")
        for field, text in _texts(made.inputs, "")
    ]
    roles = _roles(graph)
    return [
        replace(each, beside=tuple(one for other in found if other is not each for one in _shared(each, other, roles)))
        for each in found
    ]


def _roles(graph: Graph) -> dict[str, set[str]]:
    """Return the roles, as they are named, that have each policy, by its key."""
    roles = {each.key: {each.inputs["role"]} for each in graph.of("aws:iam/rolePolicy:RolePolicy")}
    for each in graph.of("aws:iam/rolePolicyAttachment:RolePolicyAttachment"):
        if policy := TOKEN.fullmatch(each.inputs["policyArn"]):
            roles.setdefault(policy["key"], set()).add(each.inputs["role"])
    return roles


def _shared(document: Document, other: Document, roles: Mapping[str, set[str]]) -> list[dict[str, Any]]:
    both = roles.get(document.made.key, set()) & roles.get(other.made.key, set())
    return other.statements if both else []


def _texts(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, each in value.items():
            yield from _texts(each, f"{path}.{name}".lstrip("."))
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from _texts(each, f"{path}[{number}]")
    elif isinstance(value, str) and value.lstrip().startswith("{") and _is_document(value):
        yield path, value


def _is_document(text: str) -> bool:
    return '"Statement"' in text


def findings(graph: Graph) -> list[str]:
    """Return what is wrong with a graph's documents, each with the place and the reason."""
    found = documents(graph)
    return [*(f"{each.where}: {problem}" for each in found for problem in problems(each)), *_totals(found)]


def problems(document: Document) -> list[str]:
    """Return what is wrong with one document."""
    return [*_own(document), *_size(document), *_parliament(document)]


def _own(document: Document) -> Iterator[str]:
    for statement in document.statements:
        sid = statement.get("Sid", "a statement without Sid")
        for turned in ("NotAction", "NotResource", "NotPrincipal"):
            # A denial of all but a few is how AWS writes some guards; an allowance of all but a few has no bottom.
            if turned in statement and statement.get("Effect") == "Allow":
                yield f"{sid} allows by `{turned}`"
        if statement.get("Effect") == "Allow":
            yield from (f"{sid} {problem}" for problem in _allowed(document, statement))
    if document.value.get("Version") != iam.VERSION:
        yield f"its version is {document.value.get('Version')}"


def _allowed(document: Document, statement: dict[str, Any]) -> Iterator[str]:
    actions = listed(statement.get("Action"))
    conditions = _conditions(statement)
    if document.kind == "trust":
        yield from _trust(statement, conditions)
        return
    if "iam:PassRole" in actions and "iam:passedtoservice" not in conditions:
        yield "passes a role to any service"
    # What passes an endpoint to a named bucket still needs rights there; ECR's layers lie in a bucket of AWS's own.
    named = document.made.type == "aws:ec2/vpcEndpoint:VpcEndpoint" and "*" not in listed(statement.get("Resource"))
    if document.kind == "resource" and not named:
        yield from _open(statement, conditions)
    if document.made.type in {"aws:kms/key:Key", "aws:ec2/vpcEndpoint:VpcEndpoint"}:
        # A key's policy is about that key alone; an endpoint's grants nothing, it says what may pass.
        return
    if "*" in listed(statement.get("Resource")):
        for action in actions:
            if iam.reason(action) is None and document.kind == "identity":
                yield f"allows `{action}` on every resource, and `UNSCOPED` gives no reason"
    if any(action in {"*", "*:*"} or re.fullmatch(r"[a-z0-9-]+:\*", action) for action in actions):
        yield f"allows every action of a service: {', '.join(actions)}"


def _trust(statement: dict[str, Any], conditions: set[str]) -> Iterator[str]:
    principal = statement.get("Principal", {})
    if principal == "*" or "*" in [each for who in _who(principal) for each in listed(who)]:
        yield "lets everybody take the role"
        return
    for service in listed(principal.get("Service")):
        if service not in {*INSTANCE_SERVICES, *UNCONDITIONAL} and not conditions & set(ACCOUNT_CONDITIONS):
            yield f"lets {service} take the role on any account's behalf (no `aws:SourceAccount`)"
    if PODS in listed(principal.get("Service")) and "sts:TagSession" not in listed(statement.get("Action")):
        yield "lets pods take the role without `sts:TagSession`, which EKS then refuses"


def _open(statement: dict[str, Any], conditions: set[str]) -> Iterator[str]:
    principal = statement.get("Principal", {})
    everybody = principal == "*" or "*" in listed(principal.get("AWS") if isinstance(principal, dict) else None)
    if everybody and not conditions & {*ACCOUNT_CONDITIONS, "aws:principalorgid"}:
        yield "allows everybody"


def _who(principal: Any) -> list[Any]:
    return list(principal.values()) if isinstance(principal, dict) else [principal]


def _conditions(statement: dict[str, Any]) -> set[str]:
    return {key.lower() for each in statement.get("Condition", {}).values() for key in each}


def listed(value: Any) -> list[Any]:
    """Return what IAM lets be one thing or a list, as a list."""
    return value if isinstance(value, list) else [] if value is None else [value]


def _size(document: Document) -> Iterator[str]:
    limit = {
        "aws:iam/policy:Policy": MANAGED_LIMIT,
        "aws:s3/bucketPolicy:BucketPolicy": BUCKET_LIMIT,
        "aws:kms/key:Key": KEY_LIMIT,
    }.get(document.made.type, TRUST_LIMIT if document.kind == "trust" else INLINE_LIMIT)
    if document.size > limit:
        yield f"has {document.size} signs of {limit}"


def _totals(found: list[Document]) -> Iterator[str]:
    roles: dict[str, int] = {}
    for each in found:
        if each.made.type == "aws:iam/rolePolicy:RolePolicy":
            roles[each.made.inputs["role"]] = roles.get(each.made.inputs["role"], 0) + each.size
    yield from (
        f"{role}: its inline policies have {size} signs of {INLINE_LIMIT}"
        for role, size in roles.items()
        if size > INLINE_LIMIT
    )


@functools.cache
def _analyze() -> Callable[..., Any]:
    with warnings.catch_warnings():
        # On its import it leaves a file open.
        warnings.simplefilter("ignore", ResourceWarning)
        from parliament import analyze_policy_string
    found: Callable[..., Any] = analyze_policy_string
    return found


def _parliament(document: Document) -> list[str]:
    analyzed = _analyze()(json.dumps(_readable(document.value)), ignore_private_auditors=True)
    return [
        f"{each.issue}: {each.title or ''} {each.detail or ''} {_shortened(each.location)}".strip()
        for each in analyzed.findings
        if not _is_known(document, each)
    ]


def _readable(value: dict[str, Any]) -> dict[str, Any]:
    """Return a document as parliament, which knows identities' policies only, can read it."""
    return {**value, "Statement": [_readable_statement(each) for each in listed(value.get("Statement"))]}


def _readable_statement(statement: dict[str, Any]) -> dict[str, Any]:
    conditions: dict[str, dict[str, Any]] = {}
    for operator, keys in statement.get("Condition", {}).items():
        for key, value in keys.items():
            # A context's values are texts to parliament, whatever service writes them; ARNs compare as such to IAM.
            free = operator.startswith("Arn") and key.lower().startswith("kms:encryptioncontext:")
            conditions.setdefault(operator.replace("Arn", "String") if free else operator, {})[key] = value
    kept = {name: each for name, each in statement.items() if name not in {"Principal", "Condition"}}
    # A trust policy names no resource.
    return {"Resource": "*", **kept, **({"Condition": conditions} if conditions else {})}


def _is_known(document: Document, finding: Any) -> bool:
    # Statements for every resource have a rule of their own above, which knows the reasons; an ARN may be compared as
    # a text.
    if finding.issue in {"RESOURCE_STAR", "MISMATCHED_TYPE_BUT_USABLE"}:
        return True
    if finding.issue == "RESOURCE_POLICY_PRIVILEGE_ESCALATION" and document.made.name.startswith(DEPLOYER):
        return True
    if finding.issue == "RESOURCE_MISMATCH" and isinstance(finding.detail, list):
        return all(_is_elsewhere(document, each["action"], each["required_format"]) for each in finding.detail)
    return any(name in str(finding.detail) for name in NEWER)


def _is_elsewhere(document: Document, action: str, needed: str) -> bool:
    """Tell whether any statement allows an action on a resource of the needed kind.

    parliament looks at one statement at a time, and at every kind as if all were needed: `ec2:RunInstances` needs
    eight, under conditions of their own, and a listener is that of a network or of an application.
    """
    if action in EITHER:
        return True
    kind = _kind(needed)
    resources = [
        resource
        for each in (*document.statements, *document.beside)
        if any(fnmatch.fnmatchcase(action, pattern) for pattern in listed(each.get("Action")))
        for resource in listed(each.get("Resource"))
    ]
    return any(fnmatch.fnmatchcase(each, needed) or ("*" not in kind and _kind(each) == kind) for each in resources)


def _kind(arn: str) -> str:
    return arn.split(":", 5)[-1].partition("/")[0]


def _shortened(location: Any) -> str:
    return str({name: value for name, value in dict(location).items() if name in {"action", "line", "string"}})[:200]
