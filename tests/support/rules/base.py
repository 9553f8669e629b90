"""What a rule is, and what all of them read off a captured program.

A rule looks at one graph and yields where it is broken and why. Rules hold what the tools that know AWS's schemas
cannot see: whether fields fit each other, options, order, names, and what one resource says of another.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from capture import TOKEN, Graph, Made

Found = Iterator[tuple[str, str]]
"""Where a rule is broken, and why: a resource's key and a sentence."""
Rule = Callable[[Graph], Found]
RULES: dict[str, Rule] = {}
"""Every rule by its name."""

DEPLOYMENT_TAG = "mlplat:deployment"
COMPONENT_TAG = "mlplat:component"
EVERYBODY = ("0.0.0.0/0", "::/0")


def rule(made: Rule) -> Rule:
    """Enter a rule under its function's name."""
    RULES[made.__name__] = made
    return made


def broken(graph: Graph, *names: str) -> list[str]:
    """Return what rules, or all of them, find: `<rule>: <where>: <why>`."""
    return [f"{name}: {where}: {why}" for name in names or RULES for where, why in RULES[name](graph)]


@dataclass(frozen=True)
class Place:
    """Where a captured program stands, as its own provider says."""

    region: str
    account: str
    tags: dict[str, str]

    @property
    def deployment(self) -> str:
        """Return the deployment's id."""
        return self.tags[DEPLOYMENT_TAG]

    @property
    def mark(self) -> str:
        """Return what every physical name holds of it."""
        return self.deployment[:6]

    @property
    def is_dev(self) -> bool:
        """Tell whether open and unprotected settings are allowed."""
        return self.tags["mlplat:environment"] == "dev"


def place(graph: Graph) -> Place:
    """Return where a graph stands. Raises `AssertionError` for one without an AWS provider."""
    provider = next((each for each in graph if each.type == "pulumi:providers:aws"), None)
    assert provider, "the program has no AWS provider"
    accounts = parsed(provider.inputs.get("allowedAccountIds")) or [""]
    tags = (parsed(provider.inputs.get("defaultTags")) or {}).get("tags", {})
    return Place(provider.inputs.get("region", ""), accounts[0], tags)


def parsed(value: Any) -> Any:
    """Return what a provider's argument says: the engine hands them over as JSON."""
    return json.loads(value) if isinstance(value, str) and value[:1] in "[{" and value else value


def aws(graph: Graph, *classes: str) -> list[Made]:
    """Return the resources of classes of `pulumi_aws`, such as `ec2.Vpc`."""
    wanted = [kind(each) for each in classes]
    return [each for each in graph if each.type in wanted]


def kind(name: str) -> str:
    """Return the type of a class of `pulumi_aws`."""
    module, _, noun = name.partition(".")
    return f"aws:{module}/{noun[0].lower()}{noun[1:]}:{noun}"


def is_aws(made: Made) -> bool:
    """Tell whether a resource is one of AWS's, and no provider or component."""
    return made.type.startswith("aws:") and made.custom


def objects(graph: Graph) -> list[Made]:
    """Return what the program puts on the cluster: charts and objects."""
    return [each for each in graph if each.type.startswith("kubernetes:")]


def customs(graph: Graph, noun: str) -> list[Made]:
    """Return the cluster's custom objects of a kind, such as `NodePool`."""
    return [each for each in objects(graph) if each.inputs.get("kind") == noun]


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Return every leaf of a value with its path; JSON inside a text is looked into."""
    if isinstance(value, dict):
        for key, below in value.items():
            yield from leaves(below, f"{path}.{key}".lstrip("."))
    elif isinstance(value, list):
        for index, below in enumerate(value):
            yield from leaves(below, f"{path}.{index}")
    elif isinstance(value, str) and value[:1] in ("{", "[") and (below := _json(value)) is not None:
        yield from leaves(below, path)
    else:
        yield path, value


def _json(text: str) -> Any:
    if TOKEN.match(text):
        return None
    try:
        return json.loads(text)
    except ValueError:
        return None


def ancestors(graph: Graph) -> Callable[[str], set[str]]:
    """Return what tells the keys of all that must be there before a resource; a large graph is indexed once."""
    known = {each.key: {*each.depends_on, *filter(None, [each.parent])} for each in graph}

    @functools.cache
    def before(key: str) -> set[str]:
        found: set[str] = set()
        ahead = [key]
        while ahead:
            fresh = known.get(ahead.pop(), set()) - found
            found |= fresh
            ahead += fresh
        return found

    return before


def refs(value: Any) -> set[str]:
    """Return the keys of the resources whose outputs a value holds."""
    return {match["key"] for _, leaf in leaves(value) if isinstance(leaf, str) for match in TOKEN.finditer(leaf)}


def named(graph: Graph, value: Any, *classes: str) -> set[str]:
    """Return the keys of resources of classes that a value names, by an output of theirs or by their name."""
    found = {leaf for _, leaf in leaves(value) if isinstance(leaf, str)}
    own = ("name", "bucket", "identifier")
    keys = refs(value)
    return {
        each.key for each in aws(graph, *classes) if each.key in keys or found & {each.inputs.get(path) for path in own}
    }


def statements(made: Made) -> Iterator[dict[str, Any]]:
    """Return every statement of every policy in a resource's inputs."""
    for value in made.inputs.values():
        found = _json(value) if isinstance(value, str) and value[:1] == "{" else value
        if isinstance(found, dict) and "Statement" in found:
            written = found["Statement"]
            yield from written if isinstance(written, list) else [written]


def services(statement: dict[str, Any]) -> list[str]:
    """Return the services that a statement of a resource's own policy admits; a denial admits nobody."""
    principal = statement.get("Principal")
    if statement.get("Effect") != "Allow" or not isinstance(principal, dict):
        return []
    return [str(each) for each in listed(principal.get("Service"))]


def listed(value: Any) -> list[Any]:
    """Return a value as a list: IAM writes lists of one either way."""
    return value if isinstance(value, list) else [] if value is None else [value]


def at(value: Any, path: str) -> Any:
    """Return what lies at a path such as `vpcConfig.subnetIds`, a list standing for its first element; None without."""
    for step in path.split("."):
        if isinstance(value, list):
            value = value[0] if value else None
        value = value.get(step) if isinstance(value, dict) else None
    return value


def first(graph: Graph, name: str) -> Made | None:
    """Return the first resource of a class; None if there is none."""
    return next(iter(aws(graph, name)), None)
