"""Mutation proof: each seeded fault is found by the layer that is said to find it, and not without it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable

import pulumi
import pytest

import awsprogram
import cloudformation
import documents
import terraform
import variants
from capture import Graph, Made
from cfntypes import INTO
from faults.base import Fault
from faults.table import FAULTS, KNOWN
from mlplat.errors import MlplatError, SpecError
from mlplat.spec.platform import parse_platform
from rules.base import refs
from rules.table import RULES, broken

Judge = Callable[[Graph], list[str]]
JUDGES: dict[str, Judge] = {
    "cfn-lint": cloudformation.findings,
    "checkov": terraform.findings,
    "documents": documents.findings,
}
"""Layers that judge a whole graph and begin each finding with a resource's key: many faults are seeded at once."""


def of(layer: str) -> list[Fault]:
    """Return the faults of a layer."""
    return [fault for fault in FAULTS if fault.layer.partition(":")[0] == layer]


def named(faults: Iterable[Fault]) -> list[object]:
    """Return faults as parameters, known by their names."""
    return [pytest.param(fault, id=fault.name.replace(" ", "-")) for fault in faults]


def test_the_table_is_large_and_names_each_fault_once() -> None:
    assert len(FAULTS) >= 60
    pairs = [(fault.layer, fault.name) for fault in FAULTS]
    assert sorted(pairs) == sorted(set(pairs))
    assert {fault.layer for fault in FAULTS} <= {"spec", "program", *JUDGES, *(f"rule:{name}" for name in RULES)}


@pytest.mark.parametrize("fault", named(of("spec")))
def test_the_spec_refuses(fault: Fault) -> None:
    with pytest.raises(SpecError) as refused:
        parse_platform(fault.spec(variants.written(fault.stack)), "a stack with a fault")
    assert fault.says in str(refused.value)


@pytest.mark.parametrize("fault", named(of("program")))
def test_the_program_refuses(fault: Fault) -> None:
    written = parse_platform(fault.spec(variants.written(fault.stack)), "a stack with a fault")
    with pytest.raises(pulumi.RunError) as refused:
        awsprogram.of(written, fault.stack)
    assert isinstance(refused.value.__cause__, MlplatError)
    assert fault.says in str(refused.value)


@pytest.mark.parametrize("fault", named(of("rule")))
def test_a_rule_finds(fault: Fault) -> None:
    graph = variants.graph(fault.stack)
    name = fault.layer.removeprefix("rule:")
    without = unseeded(fault.stack, name)
    assert [each for each in broken(fault.seeded(graph), name) if each not in without and fault.says in each] != []


@functools.cache
def unseeded(stack: str, name: str) -> list[str]:
    """Return what a rule finds without a fault."""
    return broken(variants.graph(stack), name)


@pytest.mark.parametrize("layer", JUDGES)
def test_a_judge_finds(layer: str) -> None:
    missed = [fault.name for fault in of(layer) if not found(layer, fault)]
    assert missed == []


@pytest.mark.parametrize(("fault", "why"), [pytest.param(*each, id=each[0].name) for each in KNOWN])
def test_no_rule_finds_what_is_known_to_be_unfound(fault: Fault, why: str) -> None:
    graph = variants.graph(fault.stack)
    assert why
    assert broken(fault.seeded(graph)) == broken(graph)


@pytest.mark.parametrize("layer", JUDGES)
def test_no_judge_finds_what_is_known_to_be_unfound(layer: str) -> None:
    known = tuple(fault for fault, _ in KNOWN)
    assert judged(layer, known, seeded=True) == judged(layer, known, seeded=False)


def found(layer: str, fault: Fault) -> list[str]:
    """Return what a layer finds where a fault was seeded, and does not find without it."""
    graph = variants.graph(fault.stack)
    batch = next(each for each in batches(layer) if fault in each)
    everything = tuple(each for each in of(layer) if each.stack == fault.stack)
    clean, seeded = judged(layer, everything, seeded=False), judged(layer, batch, seeded=True)
    about = {fault.key(graph), *owners(graph, fault.key(graph))}
    return [each for each in seeded if each not in clean and starts(each, about) and fault.says in each]


def starts(finding: str, keys: set[str]) -> bool:
    """Tell whether a finding is about one of some resources."""
    return any(finding.startswith((f"{key}:", f"{key} ")) for key in keys)


@functools.cache
def batches(layer: str) -> tuple[tuple[Fault, ...], ...]:
    """Return a layer's faults in groups of which no two are in one resource: a group is judged in one run."""
    made: list[tuple[set[str], list[Fault]]] = []
    for fault in of(layer):
        about = owners(variants.graph(fault.stack), fault.key(variants.graph(fault.stack)))
        free = ((taken, group) for taken, group in made if group[0].stack == fault.stack and not taken & about)
        taken, group = next(free, (set[str](), []))
        if not group:
            made.append((taken, group))
        taken |= about
        group.append(fault)
    return tuple(tuple(group) for _, group in made)


@functools.cache
def judged(layer: str, batch: tuple[Fault, ...], *, seeded: bool) -> list[str]:
    """Return what a layer says of the part of a graph that some faults are in, with or without them."""
    graph = variants.graph(batch[0].stack)
    part = around(graph, {fault.key(graph) for fault in batch})
    for fault in batch if seeded else ():
        part = fault.seeded(part)
    return JUDGES[layer](part)


def owners(graph: Graph, key: str) -> set[str]:
    """Return a resource's key and that of the one whose part it is elsewhere: both may be judged for it."""
    made = graph.at(key)
    part = INTO.get(made.type)
    whole = part and cloudformation.owner_of(graph, made, part.owner, part.types)
    return {key, whole.key} if whole else {key}


def around(graph: Graph, keys: set[str]) -> Graph:
    """Return the part of a graph that some resources name, directly or not: a judge of all of it takes much longer."""
    wanted = {other for key in keys for other in owners(graph, key)}
    ahead = [*wanted]
    while ahead:
        fresh = refs(graph.at(ahead.pop()).inputs) - wanted
        wanted |= fresh
        ahead += fresh
    return Graph([each for each in graph if each.key in wanted or _is_frame(each)], graph.exports)


def _is_frame(made: Made) -> bool:
    return made.type.startswith("pulumi:providers:")
