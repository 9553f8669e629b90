"""Faults of the kinds that teams make, each seeded alone: what is changed, and who is to find it.

A fault is written into the stack file (`spec`, `program`), or into what the program declared (every other layer). Of
the layers `spec` refuses the document, `program` raises, `cfn-lint`, `checkov` and `documents` judge what was captured,
and `rule:<name>` is a rule of `rules`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from capture import Graph, Made
from rules.base import aws, kind, objects

GONE = object()
"""Value that takes an input away."""


@dataclass(frozen=True, eq=False)
class Fault:
    """One mistake."""

    name: str
    layer: str
    values: Mapping[str, Any] = field(default_factory=dict)
    """What is written, by dotted path: in the stack's spec, or in one resource's inputs, also inside JSON."""
    at: str = ""
    """Which resource: `<class>/<name>` of AWS, `<Kind>/<name>` or `chart/<name>` on a cluster, `provider/<package>`."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options of the resource that are others."""
    gone: bool = False
    """Whether the resource is not declared at all."""
    twice: bool = False
    """Whether it is declared a second time."""
    says: str = ""
    """Part of the finding, where others could be mistaken for it."""
    stack: str = "prod"

    def spec(self, written: Mapping[str, Any]) -> dict[str, Any]:
        """Return a stack's document with the fault in it."""
        made = deepcopy(dict(written))
        for path, value in self.values.items():
            put(made, path.split("."), value)
        return made

    def key(self, graph: Graph) -> str:
        """Return the key of the resource that the fault is in. Raises `AssertionError` where it is not declared."""
        return find(graph, self.at).key

    def seeded(self, graph: Graph) -> Graph:
        """Return a graph with the fault in it."""
        key = self.key(graph)
        if self.twice:
            return Graph([*graph, graph.at(key)], graph.exports)
        if self.gone:
            return Graph([each for each in graph if each.key != key], graph.exports)
        return graph.changed(key, self._write, **self.options)

    def _write(self, inputs: dict[str, Any]) -> None:
        for path, value in self.values.items():
            put(inputs, path.split("."), value)


def find(graph: Graph, at: str) -> Made:
    """Return the resource at an address; without a name, the first of its kind."""
    noun, _, name = at.partition("/")
    if "." in noun:
        found = [each for each in aws(graph, noun) if name in ("", each.name)]
    elif noun == "chart":
        found = [each for each in objects(graph) if str(each.inputs.get("chart")).rpartition("/")[2] == name]
    elif noun == "provider":
        found = [each for each in graph if each.type == f"pulumi:providers:{name}"]
    else:
        found = [each for each in objects(graph) if each.inputs.get("kind") == noun and _is(each, name)]
    assert found, f"nothing at {at}; there are {sorted(each.name for each in graph if each.type == kind(noun))}"
    return found[0]


def _is(made: Made, name: str) -> bool:
    return name in ("", made.inputs.get("metadata", {}).get("name"))


def put(value: Any, path: list[str], new: Any) -> None:
    """Write a value at a path, beginning groups that are not there; `GONE` takes away. JSON on the way is opened.

    Raises `AssertionError` for what is so already: a fault that changes nothing would prove nothing.
    """
    step, rest = _step(value, path[0]), path[1:]
    if rest:
        below = value.setdefault(step, {}) if isinstance(value, dict) else value[step]
        if isinstance(below, str):
            opened = json.loads(below)
            put(opened, rest, new)
            value[step] = json.dumps(opened)
        else:
            put(below, rest, new)
    elif new is GONE:
        del value[step]
    else:
        made = new(value.get(step) if isinstance(value, dict) else value[step]) if callable(new) else new
        assert isinstance(value, list) or value.get(step) != made, f"{step} is {made!r} already"
        value[step] = made


def _step(value: Any, step: str) -> Any:
    return int(step) if isinstance(value, list) else step


def more(extra: Any) -> Callable[[Any], Any]:
    """Return what adds an element to a list."""
    return lambda given: [*given, extra]


def spec(name: str, values: Mapping[str, Any], says: str, stack: str = "prod") -> Fault:
    """Return a fault that the spec refuses."""
    return Fault(name, "spec", values, says=says, stack=stack)


def program(name: str, values: Mapping[str, Any], says: str, stack: str = "prod") -> Fault:
    """Return a fault that the program refuses before it declares anything of it."""
    return Fault(name, "program", values, says=says, stack=stack)


def lint(name: str, at: str, values: Mapping[str, Any], says: str = "") -> Fault:
    """Return a fault that cfn-lint finds."""
    return Fault(name, "cfn-lint", values, at, says=says)


def check(name: str, at: str, values: Mapping[str, Any], says: str) -> Fault:
    """Return a fault that checkov finds, by its check's id."""
    return Fault(name, "checkov", values, at, says=says)


def paper(name: str, at: str, values: Mapping[str, Any], says: str = "") -> Fault:
    """Return a fault that the reading of policies finds."""
    return Fault(name, "documents", values, at, says=says)


def rule(
    by: str,
    name: str,
    at: str,
    values: Mapping[str, Any] | None = None,
    *,
    gone: bool = False,
    twice: bool = False,
    stack: str = "prod",
    says: str = "",
    **options: Any,
) -> Fault:
    """Return a fault that a rule finds."""
    return Fault(name, f"rule:{by}", values or {}, at, options, gone, twice, says, stack)
