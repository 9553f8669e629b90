"""Whether whoever runs `up` may do what it does: asked of IAM's own simulator, statement by statement.

What is asked is the policy that `mlplat aws policy` prints, as far as the spec's own components need it. The simulator
knows the identity's policies, its boundary and the organization's; it does not know resources' own policies. Where an
answer hangs on a condition that it was not told, it is no answer, and is not counted as a no.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlplat.spec.platform import PlatformSpec
from mlplat.targets.aws.session import client, telling
from mlplat.targets.aws.site import Site
from mlplat.targets.findings import Finding

if TYPE_CHECKING:
    import boto3

    from mlplat.targets.aws.iam import Statement

WHAT = "rights"
SHOWN = 8
SAMPLE = "doctor"
"""Stands for whatever a name may end with."""
SOME = "some"
BATCH = 50
"""Actions of one question: the simulator answers a hundred at once, and pages them."""
KINDS = {"Bool": "boolean", "Numeric": "numeric", "Date": "date"}


@dataclass(frozen=True)
class Question:
    """What the simulator is asked: may these actions be done to this, under these conditions?"""

    actions: tuple[str, ...]
    resource: str
    context: tuple[Mapping[str, Any], ...]


def wanted(spec: PlatformSpec, site: Site) -> list[Question]:
    """Return what an `up` of a stack asks the account to let it do."""
    from mlplat.targets.aws import deployer

    chosen = sorted(each for each in deployer.kinds() if each.split(":")[1].split("/")[0] in _services(spec))
    return [
        Question(actions, _sample(str(each.resources[0])), tuple(_context(each)))
        for each in deployer.statements(site, chosen)
        for actions in _batches(each.actions)
    ]


def _services(spec: PlatformSpec) -> set[str]:
    """Return the services of AWS that a stack's own components are of, as the engine's types name them."""
    if spec.aws is None or spec.foundation.stack:
        return set()
    aws = spec.aws
    optional = {
        "acm": aws.domain is not None,
        "route53": aws.domain is not None,
        "backup": aws.backup.enabled,
        "budgets": spec.cost.budget_usd is not None,
        "cloudtrail": aws.audit.trail == "make",
        "codebuild": aws.runner.enabled,
        "costexplorer": bool(spec.cost.emails),
        "dynamodb": aws.online_store.kind == "dynamodb",
        "elasticache": aws.online_store.kind == "valkey",
        "guardduty": aws.audit.guardduty,
        "kinesis": aws.stream.enabled,
        "scheduler": aws.cluster.nights is not None,
    }
    always = {"cloudwatch", "ec2", "ecr", "eks", "iam", "kms", "rds", "s3", "secretsmanager", "sns", "sqs", "vpc"}
    return always | {name for name, there in optional.items() if there}


def _batches(actions: Sequence[str]) -> Iterator[tuple[str, ...]]:
    for start in range(0, len(actions), BATCH):
        yield tuple(actions[start : start + BATCH])


def _sample(resource: str) -> str:
    """Return one thing that a pattern of ARNs is of."""
    return resource if resource == "*" else resource.replace("?", "0").replace("*", SAMPLE)


def _context(statement: Statement) -> Iterator[Mapping[str, Any]]:
    """Yield what a request would say of itself for a statement's conditions to hold."""
    for operator, pairs in statement.conditions.items():
        of_several = operator.startswith(("ForAllValues:", "ForAnyValue:"))
        plain = operator.partition(":")[2] if of_several else operator
        kind = next((each for begin, each in KINDS.items() if plain.startswith(begin)), "string")
        for key, value in pairs.items():
            values = [value] if isinstance(value, str) else list(value)
            told = [SOME] if plain == "Null" else [_sample(str(each)) for each in values[:1]]
            yield {
                "ContextKeyName": key,
                "ContextKeyValues": told,
                "ContextKeyType": f"{kind}List" if of_several else kind,
            }


def check(
    session: boto3.Session, identity: str, spec: PlatformSpec, stack: str, site: Site | None
) -> Iterator[Finding]:
    """Yield whether an identity may do what an `up` of the stack does."""
    from mlplat.targets.aws.deployer import UNNAMED

    if identity.endswith(":root"):
        yield Finding(WHAT, True, "the account's root may do everything; a role with `mlplat aws policy` would do")
        return
    iam = client(session, "iam")
    with telling("for the rights of these credentials"):
        principal = _principal(iam, identity)
    if principal is None:
        yield Finding(WHAT, True, f"{identity} is no user or role of this account: known only on trying")
        return
    questions = wanted(spec, site or Site.of(spec, stack, UNNAMED))
    results = [answer for question in questions for answer in _ask(iam, principal, question)]
    yield judge(results, stack)


def _ask(iam: Any, principal: str, question: Question) -> list[Mapping[str, Any]]:
    asked = {
        "PolicySourceArn": principal,
        "ActionNames": list(question.actions),
        "ResourceArns": [question.resource],
        "ContextEntries": [dict(each) for each in question.context],
    }
    with telling("for the rights of these credentials"):
        try:
            pages = iam.get_paginator("simulate_principal_policy").paginate(**asked)
            return [each for page in pages for each in page["EvaluationResults"]]
        except iam.exceptions.InvalidInputException:
            # It wants to know more of some actions than anybody can before they are done.
            return []


def judge(results: Sequence[Mapping[str, Any]], stack: str) -> Finding:
    """Judge by the simulator's answers."""
    if not results:
        return Finding(WHAT, True, "the simulator has no answer: known only on trying")
    denied = [each for each in results if each["EvalDecision"] != "allowed" and not each.get("MissingContextValues")]
    if not denied:
        return Finding(WHAT, True, f"{len({each['EvalActionName'] for each in results})} actions are allowed")
    names = list(dict.fromkeys(each["EvalActionName"] for each in denied))
    explicit = any(each["EvalDecision"] == "explicitDeny" for each in denied)
    shown = ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if names[SHOWN:] else "")
    mend = f"`mlplat aws policy -s {stack}` prints a policy with what is needed"
    mend += "; a boundary or the organization forbids some of it, which no policy mends" if explicit else ""
    return Finding(WHAT, False, f"not allowed: {shown}", mend)


def _principal(iam: Any, identity: str) -> str | None:
    """Return the user or role behind a session: the simulator does not take the session's own ARN."""
    kind, _, rest = identity.split(":", 5)[5].partition("/")
    if kind in ("user", "role"):
        return identity
    if kind != "assumed-role":
        return None
    # A session's ARN lacks the role's path.
    found: str = iam.get_role(RoleName=rest.partition("/")[0])["Role"]["Arn"]
    return found
