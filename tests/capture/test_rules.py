"""Every rule holds in every stack, and on the other side of every switch."""

from __future__ import annotations

import importlib
import os
import pkgutil
from collections import Counter
from pathlib import Path

import pytest

import awsprogram
import crds
import rules
import variants
from faults.table import FAULTS
from rules.base import objects
from rules.names import collisions, physical
from rules.table import AREAS, RULES, broken

UNBILLED = "AWS knows a tag a day after the first `up`: `cost.activate_tags` is for then"
ALLOWED: dict[str, dict[str, str]] = {
    name: {"bills_are_told_apart": UNBILLED} for name in [*awsprogram.STACKS, *variants.VARIANTS] if name != "grown"
}
ALLOWED["bare"] |= {
    "network_is_watched": "`network.flow_log_days: 0` keeps none",
    "alerts_arrive": "`cost.emails` names nobody",
}
"""Rules that a graph breaks on purpose, and why."""


@pytest.mark.parametrize("name", [*awsprogram.STACKS, *variants.VARIANTS])
def test_no_rule_is_broken_but_on_purpose(name: str) -> None:
    graph = variants.graph(name)
    assert [each for each in broken(graph) if each.partition(":")[0] not in ALLOWED.get(name, {})] == []


def test_every_rule_is_entered_and_broken_by_a_fault() -> None:
    areas = {each.name for each in pkgutil.iter_modules(rules.__path__)} - {"base", "table"}
    assert {importlib.import_module(f"rules.{name}") for name in areas} == {*AREAS}
    by_rule = Counter(fault.layer.removeprefix("rule:") for fault in FAULTS if fault.layer.startswith("rule:"))
    assert set(RULES) - set(by_rule) == set()


@pytest.mark.parametrize("name", [*awsprogram.STACKS, "valkey"])
def test_two_deployments_in_one_account_and_region_meet_in_no_name(name: str) -> None:
    stack, values = variants.VARIANTS.get(name, (name, {}))
    other = awsprogram.of(variants.changed(stack, values), stack, identity="fedcba9876543210")
    assert collisions(variants.graph(name), other) == []
    assert len(physical(other)) > 50


def test_two_platforms_of_long_names_meet_in_no_name() -> None:
    name = "a-platform-with-a-name-as-long-as-a-label-may-be"
    one = awsprogram.of(variants.changed("prod", {"name": name}), "prod", identity="0123456789abcdef")
    other = awsprogram.of(variants.changed("prod", {"name": name}), "prod", identity="fedcba9876543210")
    assert collisions(one, other) == []
    assert broken(one, "names_fit", "names_hold_the_deployment") == []


@pytest.mark.skipif("MLPLAT_CRD_SCHEMAS" not in os.environ, reason="MLPLAT_CRD_SCHEMAS names no folder of schemas")
@pytest.mark.parametrize("name", [*awsprogram.STACKS, "isolated"])
def test_custom_objects_fit_their_kinds(name: str) -> None:
    folder = Path(os.environ["MLPLAT_CRD_SCHEMAS"])
    found = []
    for made in objects(variants.graph(name)):
        group, _, version = str(made.inputs.get("apiVersion")).partition("/")
        if (folder / f"{group}_{version}_{made.inputs.get('kind')}.json").is_file():
            assert crds.problems(made.inputs) == [], made.key
            found.append(made.inputs["kind"])
    assert {"NodePool", "EC2NodeClass", "Gateway"} <= set(found)
