"""The published false alarms of drift monitoring are what its code gives."""

from __future__ import annotations

import json
from types import ModuleType

import pytest

import docspages
from commands import ROOT


@pytest.fixture(scope="module")
def page() -> ModuleType:
    return docspages.script("drift")


def test_a_small_simulation_agrees_with_the_stored_one(page: ModuleType) -> None:
    stored = json.loads((ROOT / page.DATA).read_text())["learned"]
    found = page.simulate(8)["learned"]
    for weeks, figures in found.items():
        assert figures["thumb"] == pytest.approx(stored[weeks]["thumb"], abs=0.02)
        for way, rates in figures["per_month"].items():
            for rule, rate in rates.items():
                assert rate == pytest.approx(stored[weeks]["per_month"][way][rule], abs=0.35), (weeks, way, rule)


def test_the_page_holds_the_stored_table(page: ModuleType) -> None:
    assert page.pages() == {page.PAGE: (ROOT / page.PAGE).read_text()}
