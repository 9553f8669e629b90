"""Pages on the AWS target that the captured program of `prod` is the source of: part of what `generate.py` writes."""

from __future__ import annotations

import fnmatch
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
for _folder in ("docs", "tests/support"):
    sys.path.insert(0, str(ROOT / _folder))

import picture  # noqa: E402

import awsprogram  # noqa: E402 - found by the lines above
import documents  # noqa: E402
from capture import Graph, Made  # noqa: E402
from changes import CHANGES, REFUSED  # noqa: E402
from createonly import inputs  # noqa: E402
from mlplat.targets.aws import cost, iam  # noqa: E402

NOTE = "<!-- Written by `make docs` from the code; do not edit. -->"
STACK = "prod"

WHY = {
    "keys": "Four keys, so that reading a log is not the right to read the database. AWS turns them every year.",
    "network": "Nodes and databases have private addresses only. Each zone has its own way out; S3 is reached past it.",
    "storage": "Five buckets, each with a purpose, a lifetime and a policy of its own; nothing in them is public.",
    "images": "One repository an image, so that rights and lifetimes differ; others' are copied when first asked for.",
    "cluster": "A plain control plane: who enters is a list in the stack file, and nobody by having made it.",
    "system-nodes": "Nodes for the platform's own services, which Karpenter, one of them, could not make for itself.",
    "addons": "EKS's own parts, pinned: what a node needs before it is ready, then what needs a node.",
    "karpenter": "What makes the machines of pools may touch only what it made, and hears when one will be taken away.",
    "compute": "What is put on the cluster: Karpenter, drivers of GPUs and balancers, and pools, which begin at none.",
    "layer": "The platform itself, the same on every cluster: add-ons, services, the gateway, what is watched, teams.",
    "endpoints": "The name under which endpoints answer, once names in the domain are found.",
    "database": "PostgreSQL for tracking, features and pipelines: each has a database, a user and a secret of its own.",
    "online-store": "Where features are looked up while somebody waits.",
    "stream": "Events, kept to be read again, and written to the data bucket by the minute.",
    "secrets": "Names for what people put in; no value is ever in the program, its state or its outputs.",
    "identities": "A role for each workload and team, taken by its service account: no keys, no right beyond its need.",
    "spend": "Budgets by tag, unusual cost, and the topic by which people are told.",
    "audit": "Who did what in the account, proved whole, and what looks like an attack.",
    "backup": "Copies of database and buckets in a vault that nobody empties, and a restore rehearsed each month.",
    "domain": "A zone and its certificate, so that endpoints have a name.",
    "runner": "Where the cluster's API is private, `mlplat up` runs inside the network.",
    "nights": "Where nobody works at night, nothing runs: nodes go to none, the database stops.",
}
"""Why each component is there, by its name in the program."""

COSTS = {
    "system-nodes": ["system nodes"],
    "online-store": ["online store"],
    "cluster": ["cluster", "logs"],
    "compute": ["gateway"],
}
"""Lines of the estimate that have another name than the component."""

IDS = {
    "arn:*:ec2:*": "EC2 gives the ids: none is known before the thing is made",
    "arn:*:elasticloadbalancing:*": "AWS's controller names what it makes",
    "arn:*:s3:::*": "objects of this bucket",
    "arn:*:acm:*": "AWS gives the id",
    "arn:*:backup:*": "AWS gives the id",
    "arn:*:ce::*": "AWS gives the id",
    "arn:*:guardduty:*": "AWS gives the id",
    "arn:*:kms:*:key/*": "AWS gives the id",
    "arn:*:route53:*": "AWS gives the id",
    "arn:*:iam::*:instance-profile/*": "Karpenter names the profiles that it makes",
    "arn:*:iam::*:role/aws-service-role/*": "AWS names its own roles",
    "arn:*:rds:*:og:default:*": "RDS names its own option groups",
    "arn:*:secretsmanager:*:secret:rds!db-*": "RDS names the master's secret itself",
    "arn:*:ssm:*::parameter/aws/service/*": "AWS's own, which everybody may read",
}
"""Why a resource's name ends, or begins, with anything: the first pattern that meets it."""


def pages() -> dict[str, str]:
    """Return every generated file's content, by its path in the repository."""
    captured = awsprogram.graph(STACK)
    # Siblings are declared in any order; a page is the same every time.
    graph = Graph(sorted(captured, key=lambda each: each.key), captured.exports)
    return {
        "docs/concepts/aws.md": concept(graph),
        "docs/concepts/aws.svg": picture.drawn(graph),
        "docs/reference/aws-wildcards.md": wildcards(graph),
        "docs/reference/aws-changes.md": changes(graph),
    }


def concept(graph: Graph) -> str:
    """Return the page of what is made, why, and what it costs."""
    found = components(graph)
    estimate = cost.estimate(awsprogram.spec(STACK))
    rows = [_component(name, found[name], estimate) for name in WHY if name in found]
    pools = [
        f"| {name} | {cost.money(idle)} | {cost.money(full)} |"
        for name, (idle, full) in estimate.components().items()
        if name.startswith("pool ")
    ]
    whole = f"| **all of it** | **{cost.money(estimate.idle_usd)}** | **{cost.money(estimate.full_usd)}** |"
    unpriced = sorted({line.component for line in estimate.by_volume})
    return _page(
        "What the AWS target makes, why, and what it costs",
        f"`pulumi up -s {STACK}` declares {sum(each.custom for each in graph)} resources. This is what"
        f" [stacks/Pulumi.{STACK}.yaml](../../stacks/Pulumi.{STACK}.yaml) makes of them, read from the program itself;"
        " `mlplat cost -s STACK` says the same of your own stack.",
        "![The platform in an account](aws.svg)",
        "## Components\n\nEach is a component of the program. Costs are USD a month:"
        " when nobody works, and at full use all month.",
        _table(("component", "makes", "why", "idle", "full"), rows),
        "## Pools\n\nA pool costs what runs on it. At full use every machine is there, of the dearest type, on-demand,"
        " day and night: a bound, which `cost.max_monthly_usd` refuses to cross, and no forecast.",
        "\n".join(["| pool | idle | full |", "|---|---:|---:|", *pools, whole]),
        f"Prices are list prices of {', '.join(sorted(estimate.elsewhere)) or estimate.region}; `mlplat cost --live`"
        " asks AWS for your region's. What is paid by volume is not in the sums unless `cost.volumes` says how much"
        f" it will be: {', '.join(unpriced)}.",
        "## What is kept\n\nOutside `dev` the engine refuses to delete or replace these, and the end of the stack"
        " leaves them:",
        "\n".join(f"- {line}" for line in _kept([each for each in graph if each.retain_on_delete])),
        "These it only refuses to delete or replace; of the database its last snapshot stays:",
        "\n".join(f"- {line}" for line in _kept([each for each in graph if not each.retain_on_delete])),
    )


def components(graph: Graph) -> dict[str, list[Made]]:
    """Return the resources of each component of the program. Raises `LookupError` for one that `WHY` does not have."""
    parents = {each.key: each.parent for each in graph}
    found: dict[str, list[Made]] = {}
    for each in graph:
        top = _top(each.key, parents)
        if each.custom and top and top != each.key:
            found.setdefault(top.rpartition("::")[2], []).append(each)
    if unknown := sorted(set(found) - set(WHY)):
        raise LookupError(f"nothing says why there is `{unknown[0]}`")
    return found


def _top(key: str, parents: dict[str, str | None]) -> str | None:
    while (above := parents.get(key)) is not None:
        key = above
    return key if key.startswith("mlplat:") else None


def _component(name: str, made: list[Made], estimate: cost.Estimate) -> tuple[str, ...]:
    kinds = Counter(each.type.rpartition(":")[2] for each in made if not each.type.startswith("pulumi:"))
    ranked = sorted(kinds.items(), key=lambda each: (-each[1], each[0]))
    sums = [estimate.components().get(each, (0.0, 0.0)) for each in COSTS.get(name, [name])]
    counted = ", ".join(f"{number} {kind}" if number > 1 else kind for kind, number in ranked)
    known = [line for line in estimate.lines if line.component in COSTS.get(name, [name])]
    if not known:
        money = ["", ""]
    elif all(line.full_units is None for line in known):
        money = ["by volume", "by volume"]
    else:
        money = [cost.money(sum(each[side] for each in sums)) for side in (0, 1)]
    return (f"`{name}`", counted, WHY[name], *money)


def _kept(graph: list[Made]) -> Iterator[str]:
    kinds: dict[str, list[str]] = {}
    for each in graph:
        if each.protect:
            kinds.setdefault(each.type.removeprefix("aws:").replace("/", " ").rpartition(":")[2], []).append(each.name)
    for kind, names in sorted(kinds.items()):
        yield f"{kind}: {', '.join(f'`{name}`' for name in dict.fromkeys(names))}"


def wildcards(graph: Graph) -> str:
    """Return the page of every statement that allows with a wildcard. Raises `LookupError` for one without a reason."""
    rows = [row for document in documents.documents(graph) for row in _wildcards(document)]
    return _page(
        "Wildcards in IAM, and why",
        f"Every statement of [stacks/Pulumi.{STACK}.yaml](../../stacks/Pulumi.{STACK}.yaml) that allows something, and"
        f" names an action or a resource with `*`: {len(rows)} of"
        f" {sum(len(each.statements) for each in documents.documents(graph))} statements. One without a reason fails"
        " the program, or this page. Refusals with `*` are not listed: they only take away.",
        _table(("policy", "statement", "with `*`", "why"), rows),
    )


def _wildcards(document: documents.Document) -> Iterator[tuple[str, ...]]:
    for statement in document.statements:
        actions = [str(each) for each in documents.listed(statement.get("Action"))]
        resources = [str(each) for each in documents.listed(statement.get("Resource"))]
        stars = [each for each in (*actions, *resources) if "*" in each]
        if statement.get("Effect") != "Allow" or not stars:
            continue
        why = dict.fromkeys(_reason(document, statement, each, actions) for each in stars)
        told = [*(each for each in stars if each != "*"), *(["`*`: " + ", ".join(actions)] if "*" in stars else [])]
        noun = document.made.type.rpartition(":")[2]
        shown = "<br>".join(each if each.startswith("`") else f"`{each}`" for each in told)
        yield (f"{noun} `{document.made.name}`", str(statement.get("Sid", "")), shown, "; ".join(why))


def _reason(document: documents.Document, statement: dict[str, Any], star: str, actions: list[str]) -> str:
    if document.made.type == "aws:kms/key:Key":
        return "in a key's own policy `*` is that key alone"
    if star == "*":
        found = dict.fromkeys(iam.reason(each) or "" for each in actions)
        if "" in found:
            raise LookupError(f"{document.where}: {actions} on everything, and `UNSCOPED` gives no reason")
        return "; ".join(found)
    if not star.startswith("arn:"):
        return iam.reason(star) or "every variant of one action"
    base = awsprogram.spec(STACK).name + "-" + STACK + "-" + awsprogram.DEPLOYMENT[:6]
    if base in star.replace("_", "-"):
        return "only what has this deployment's name"
    condition = str(statement.get("Condition", ""))
    tags = sorted(set(re.findall(r"(?:Resource|Request|Principal)Tag/[\w:.@/${}-]+", condition)))
    why = next((why for pattern, why in IDS.items() if fnmatch.fnmatchcase(star, pattern)), None)
    if why is None:
        raise LookupError(f"{document.where}: `{star}` has a wildcard without a reason")
    return f"{why}; only with {', '.join(f'`{tag}`' for tag in tags)}" if tags else why


def changes(graph: Graph) -> str:
    """Return the page of what a change of the spec replaces."""
    rows = [
        (each.says, f"`{next(iter(each.values))}`", _outcome(each.outcome), ", ".join(each.kinds)) for each in CHANGES
    ]
    types = sorted({each.type for each in graph if each.custom and each.type.startswith("aws:") and inputs(each.type)})
    replacing = [(f"`{_class(each)}`", ", ".join(f"`{name}`" for name in sorted(inputs(each)))) for each in types]
    return _page(
        "What a change replaces",
        "Some settings are read only when a thing is made: to change them is to make it again. Where that would end"
        " what holds data, or the ground that everything stands on, the engine refuses, and nothing happens.",
        f"## Changes of `{STACK}`\n\nEach was made to the captured program, and judged by AWS's own schemas.",
        _table(("change", "key", "happens", "to"), rows),
        "To have a refused one nevertheless: make the new thing under another name beside the old, move what is in it,"
        " and take the old one away with `--delete-data`.",
        "## Inputs that replace\n\nOf every kind that the program makes.",
        _table(("kind", "inputs"), replacing),
    )


def _outcome(outcome: str) -> str:
    return f"**{outcome}**" if outcome == REFUSED else outcome


def _class(type_: str) -> str:
    module, _, noun = type_.removeprefix("aws:").partition(":")
    return f"{module.partition('/')[0]}.{noun}"


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _page(title: str, *blocks: str) -> str:
    return "\n\n".join([NOTE, f"# {title}", *blocks]) + "\n"
