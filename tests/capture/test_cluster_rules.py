"""Every rule over a captured layer holds in every stack, and on the other side of every switch."""

from __future__ import annotations

import importlib
import os
import pkgutil
from collections import Counter

import pytest

import clusterrules
import crds
from clusterfaults.table import FAULTS
from clusterrules import variants
from clusterrules.base import documents, group
from clusterrules.order import ADDON_OF
from clusterrules.table import AREAS, RULES, broken

NAMES = (*variants.STACKS, *variants.VARIANTS)
CUSTOM = ("EnvoyProxy", "Gateway", "GatewayClass", "SecurityPolicy", "ClusterQueue", "PrometheusRule", "ResourceFlavor")
"""Kinds that a check of schemas has seen, or it has seen nothing."""


@pytest.mark.parametrize("name", NAMES)
def test_no_rule_is_broken(name: str) -> None:
    assert broken(variants.case(name)) == []


def test_every_rule_is_entered_and_broken_by_a_fault() -> None:
    areas = {each.name for each in pkgutil.iter_modules(clusterrules.__path__)} - {"base", "table", "variants"}
    assert {importlib.import_module(f"clusterrules.{name}") for name in areas} == {*AREAS}
    by_rule = Counter(fault.layer.removeprefix("rule:") for fault in FAULTS)
    assert set(RULES) - set(by_rule) == set()
    assert set(by_rule) - set(RULES) == set()


@pytest.mark.skipif("MLPLAT_CRD_SCHEMAS" not in os.environ, reason="MLPLAT_CRD_SCHEMAS names no folder of schemas")
@pytest.mark.parametrize("name", NAMES)
def test_custom_objects_fit_their_kinds(name: str) -> None:
    found = [each for each in documents(variants.case(name)) if group(each) in ADDON_OF]
    plain = [{key: value for key, value in each.inputs.items() if not key.startswith("__")} for each in found]
    assert [
        (each["kind"], each["metadata"]["name"], crds.problems(each)) for each in plain if crds.problems(each)
    ] == []
    if name == "staging":
        assert {*CUSTOM} <= {each["kind"] for each in plain}
