"""A capture as a CloudFormation template, which cfn-lint can judge: enums, ranges, patterns, references.

Inputs find their property by name, through cfn-lint's own schemas; `cfntypes` holds what names do not tell. What is
mapped nowhere is reported, because a check of it would vanish silently.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import awsshapes
from capture import TOKEN, Graph, Made
from cfntypes import APART, INTO, MAPPED, NOWHERE, REFERENCES, Mapped

IGNORED = {
    "W3010": "zones are named: the graph is that of one stack in one region",
    "W2001": "the template has no parameters",
    "W3045": "who owns a bucket's objects is said by its ownership controls",
}
"""Rules of cfn-lint that say nothing of an engine other than CloudFormation, and the reason."""


@dataclass
class Template:
    """A template, and what of the capture is not in it."""

    resources: dict[str, dict[str, Any]] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    """Logical id of each resource, by its key."""
    unmapped: list[str] = field(default_factory=list)
    """Types and inputs that are neither mapped nor listed with a reason."""

    def text(self) -> str:
        """Return it as CloudFormation reads it."""
        return json.dumps({"AWSTemplateFormatVersion": "2010-09-09", "Resources": self.resources}, indent=1)


def findings(graph: Graph) -> list[str]:
    """Return what cfn-lint finds, and what it could not be shown; each begins with the key of the resource."""
    from cfnlint import ManualArgs, lint

    made = template(graph)
    keys = {logical: key for key, logical in made.keys.items()}
    config = ManualArgs(regions=[awsshapes.place(graph)[1]])
    found = lint(made.text(), config=config)
    return [*made.unmapped, *(_told(each, keys) for each in found if not _is_noise(each))]


def _is_noise(match: Any) -> bool:
    # RDS takes a major version alone, and then chooses the minor one; its list of versions has whole ones only.
    major = match.rule.id == "W3691" and re.search(r"Engine version '\d+' ", match.message)
    return bool(major) or match.rule.id in IGNORED


def _told(match: Any, keys: dict[str, str]) -> str:
    path = [str(each) for each in match.path or ()]
    place = keys.get(path[1], "the template") if len(path) > 1 else "the template"
    return f"{place}: {'.'.join(path[3:])} {match.rule.id} {match.message}"


def template(graph: Graph) -> Template:
    """Return a graph's resources of AWS as a template."""
    made = Template()
    resources = [each for each in graph if each.custom and each.type.startswith("aws:")]
    for each in resources:
        if each.type in MAPPED:
            made.keys[each.key] = logical(each)
    for each in resources:
        if mapped := MAPPED.get(each.type):
            properties = _properties(each, mapped, made.unmapped)
            made.resources[logical(each)] = {"Type": mapped.type, "Properties": properties}
        elif each.type not in INTO and each.type not in APART:
            made.unmapped.append(f"{each.key}: `{each.type}` is not mapped")
    for each in resources:
        if each.type in INTO:
            _merge(graph, each, made)
    for name, resource in made.resources.items():
        made.resources[name] = _referenced(graph, resource, made.keys)
    return made


def logical(made: Made) -> str:
    """Return the logical id of a resource."""
    kind = made.type.rpartition(":")[2]
    return re.sub(r"[^A-Za-z0-9]", "", kind + "".join(part.title() for part in re.split(r"\W|_", made.name)))


@functools.cache
def schema(kind: str, region: str = awsshapes.REGION) -> dict[str, Any]:
    """Return cfn-lint's schema of a CloudFormation type."""
    from cfnlint.schema import PROVIDER_SCHEMA_MANAGER

    found: dict[str, Any] = PROVIDER_SCHEMA_MANAGER.get_resource_schema(region, kind).schema
    return found


def property_of(kind: str, name: str) -> str | None:
    """Return the top property of CloudFormation that a Pulumi input sets; None where it is set otherwise, or nowhere.

    For tests that ask which inputs replace a resource.
    """
    mapped = MAPPED.get(kind)
    if mapped is None:
        return None
    renamed = mapped.names.get(name)
    if callable(renamed):
        return None
    return renamed or _match(name, schema(mapped.type)["properties"])


def _properties(made: Made, mapped: Mapped, unmapped: list[str]) -> dict[str, Any]:
    whole = schema(mapped.type)
    missing: list[str] = []
    properties = _structure(made.inputs, whole, whole, missing, "", mapped.names)
    unmapped += [f"{made.key}: `{each}` is not mapped" for each in missing]
    for extra in mapped.extra:
        _deepen(properties, extra(made.inputs))
    return properties


def _merge(graph: Graph, made: Made, template_: Template) -> None:
    into = INTO[made.type]
    owner = owner_of(graph, made, into.owner, into.types)
    if owner is None or owner.key not in template_.keys:
        # What it belongs to is somebody else's, such as a role that was there before.
        if not isinstance(made.inputs.get(into.owner), str):
            template_.unmapped.append(f"{made.key}: nothing is known of its `{into.owner}`")
        return
    resource = template_.resources[template_.keys[owner.key]]
    missing = sorted({*made.inputs} - {*into.inputs, into.owner, *NOWHERE})
    template_.unmapped += [f"{made.key}: `{each}` is not mapped" for each in missing]
    whole = schema(resource["Type"])
    converted = _convert(into.properties(made.inputs), whole, whole, [], "")
    _deepen(resource["Properties"], converted)


def owner_of(graph: Graph, made: Made, name: str, types: Iterable[str]) -> Made | None:
    """Return the resource that an input names, by an output or by its physical name."""
    value = made.inputs.get(name)
    if not isinstance(value, str):
        return None
    if found := TOKEN.fullmatch(value):
        return awsshapes.find(graph, found["key"])
    return next(
        (each for kind in types for each in graph.of(kind) if value in (each.inputs.get(n) for n in awsshapes.NAMES)),
        None,
    )


def _deepen(into: dict[str, Any], more: dict[str, Any]) -> None:
    for name, value in more.items():
        if isinstance(value, dict) and isinstance(into.get(name), dict):
            _deepen(into[name], value)
        elif isinstance(value, list) and isinstance(into.get(name), list):
            into[name] = [*into[name], *value]
        else:
            into[name] = value


def _structure(
    value: dict[str, Any],
    whole: dict[str, Any],
    node: dict[str, Any],
    missing: list[str],
    path: str,
    names: Any = None,
) -> dict[str, Any]:
    properties = _resolved(whole, node).get("properties", {})
    made: dict[str, Any] = {}
    for name, each in value.items():
        renamed = (names or {}).get(name) or (names or {}).get(f"{path}{name}")
        if callable(renamed):
            _deepen(made, renamed(each))
        elif not path and name in NOWHERE:
            continue
        elif (found := renamed or _match(name, properties)) and found in properties:
            inner = properties[found]
            made[found] = (
                _tags(each, whole, inner)
                if name == "tags"
                else _convert(each, whole, inner, missing, f"{path}{name}.", names)
            )
        else:
            missing.append(f"{path}{name}")
    return made


def _match(name: str, properties: dict[str, Any]) -> str | None:
    known = {_normal(each): each for each in properties}
    plain = _normal(name)
    return known.get(plain) or known.get(plain.rstrip("s")) or known.get(f"{plain}s")


def _normal(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _resolved(whole: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in node:
        node = whole["definitions"][node["$ref"].rsplit("/", 1)[-1]]
    return node


def _types(node: dict[str, Any]) -> list[str]:
    found = node.get("type", "object" if "properties" in node else None)
    return found if isinstance(found, list) else [found] if found else []


def _tags(value: Any, whole: dict[str, Any], node: dict[str, Any]) -> Any:
    if "array" in _types(_resolved(whole, node)):
        return [{"Key": name, "Value": each} for name, each in value.items()]
    return value


def _convert(
    value: Any, whole: dict[str, Any], node: dict[str, Any], missing: list[str], path: str, names: Any = None
) -> Any:
    node = _resolved(whole, node)
    types = _types(node)
    if "object" in types and isinstance(value, str) and value.lstrip().startswith("{") and not TOKEN.fullmatch(value):
        return json.loads(value)
    if "array" in types:
        inner = node.get("items", {})
        listed = value if isinstance(value, list) else [value]
        return [_convert(each, whole, inner, missing, path, names) for each in listed]
    if isinstance(value, list) and len(value) == 1 and types:
        value = value[0]
    if isinstance(value, dict):
        return _structure(value, whole, node, missing, path, names) if node.get("properties") else value
    return _scalar(value, types)


def _scalar(value: Any, types: list[str]) -> Any:
    if isinstance(value, bool):
        return value if not types or "boolean" in types else str(value).lower()
    if isinstance(value, int | float) and types and not {"integer", "number"} & {*types}:
        return str(value)
    if isinstance(value, str) and {"integer", "number"} & {*types} and re.fullmatch(r"\d+", value):
        return int(value)
    return value


def _referenced(graph: Graph, value: Any, keys: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {awsshapes.shaped(graph, name): _referenced(graph, each, keys) for name, each in value.items()}
    if isinstance(value, list):
        return [_referenced(graph, each, keys) for each in value]
    if not isinstance(value, str) or not TOKEN.search(value):
        return value
    if whole := TOKEN.fullmatch(value):
        return reference(graph, whole["key"], whole["property"], keys)
    return _sub(graph, value, keys)


def _sub(graph: Graph, text: str, keys: dict[str, str]) -> Any:
    variables: dict[str, Any] = {}

    def one(found: re.Match[str]) -> str:
        value = reference(graph, found["key"], found["property"], keys)
        if not isinstance(value, dict):
            return str(value)
        name = f"V{len(variables)}"
        variables[name] = value
        return f"\0{{{name}}}"

    # IAM's own variables, `${aws:PrincipalTag/team}`, are written `${!…}` here.
    written = re.sub(r"\$\{", "${!", TOKEN.sub(one, text)).replace("\0{", "${")
    return {"Fn::Sub": [written, variables]} if variables else TOKEN.sub(one, text)


def reference(graph: Graph, key: str, output: str, keys: dict[str, str]) -> Any:
    """Return what stands for an output in a template: a reference where CloudFormation has one, else a literal."""
    made = awsshapes.find(graph, key)
    if made is None or key not in keys:
        return awsshapes.literal(graph, key, output)
    given = made.inputs.get(output)
    if given is not None:
        return _referenced(graph, given, keys)
    written = REFERENCES.get(made.type, {}).get(output)
    if written:
        return {"Ref": keys[key]} if written == "Ref" else {"Fn::GetAtt": [keys[key], written]}
    if output == "id":
        return {"Ref": keys[key]}
    readable = [each[len("/properties/") :] for each in schema(MAPPED[made.type].type).get("readOnlyProperties", [])]
    found = next((each for each in readable if _normal(each) == _normal(output)), None)
    return {"Fn::GetAtt": [keys[key], found]} if found else awsshapes.literal(graph, key, output)
