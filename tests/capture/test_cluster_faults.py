"""Mutation proof: each fault that is seeded into a captured layer is found by its rule, and by that rule alone."""

from __future__ import annotations

import functools

import pytest

from clusterfaults.base import ClusterFault
from clusterfaults.table import FAULTS
from clusterrules import variants
from clusterrules.base import Case
from clusterrules.table import RULES, broken


def rule_of(fault: ClusterFault) -> str:
    """Return the name of the rule that is to find a fault."""
    return fault.layer.removeprefix("rule:")


def named() -> list[object]:
    """Return faults as parameters, known by their rule and name."""
    return [pytest.param(each, id=f"{rule_of(each)}-{each.name.replace(' ', '-')}") for each in FAULTS]


def test_the_table_names_each_fault_once() -> None:
    assert len(FAULTS) >= 70
    pairs = [(each.layer, each.name) for each in FAULTS]
    assert sorted(pairs) == sorted(set(pairs))


@pytest.mark.parametrize("fault", named())
def test_its_rule_finds_it_and_no_other(fault: ClusterFault) -> None:
    clean = variants.case(fault.stack)
    seeded = Case(fault.seeded(clean.graph), clean.spec)
    found = {name for name in RULES if {*broken(seeded, name)} - unseeded(fault.stack, name)}
    assert found == {rule_of(fault)}


@functools.cache
def unseeded(stack: str, name: str) -> set[str]:
    """Return what a rule finds without a fault."""
    return {*broken(variants.case(stack), name)}
