"""The published retrainings are what the monitor's rule and the controller's decision give."""

from __future__ import annotations

import json
from types import ModuleType

import pytest

import docspages
from commands import ROOT


@pytest.fixture(scope="module")
def page() -> ModuleType:
    return docspages.script("retraining")


def test_a_small_simulation_agrees_with_the_stored_one(page: ModuleType) -> None:
    stored = json.loads((ROOT / page.DATA).read_text())
    found = page.simulate(8)
    assert found["2013"] == stored["2013"]
    for weeks, policies in found["learned"].items():
        for name, gates in policies.items():
            for gate, a_year in gates.items():
                assert a_year == pytest.approx(stored["learned"][weeks][name][gate], abs=2.5), (weeks, name, gate)


def test_what_is_refused_asks_again_and_waits_as_long_as_the_policy_says(page: ModuleType) -> None:
    stored = json.loads((ROOT / page.DATA).read_text())["2013"]
    whenever, default, apart = (len(gates["refuses"]) for gates in stored.values())
    assert whenever > default > apart > 0


def test_the_page_holds_the_stored_tables(page: ModuleType) -> None:
    assert page.pages() == {page.PAGE: (ROOT / page.PAGE).read_text()}
