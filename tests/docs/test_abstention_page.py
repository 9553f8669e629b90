"""The published worth of leaving rows to a person is what the reference project's own training gives."""

from __future__ import annotations

import json
import sys
from types import ModuleType
from typing import Any

import pytest

import docspages
from commands import ROOT


@pytest.fixture(scope="module")
def page() -> ModuleType:
    return docspages.script("abstention")


@pytest.fixture(scope="module")
def stored(page: ModuleType) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / page.DATA).read_text())["months"]
    return found


def test_a_tenth_of_the_flights_agrees_with_the_stored_figures(
    page: ModuleType, stored: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    for month, found in page.measure(10).items():
        assert found["labelled"] == pytest.approx(stored[month]["labelled"], abs=0.03)
        for cost, told in found["by_cost"].items():
            theirs = stored[month]["by_cost"][cost]
            assert told["coverage"]["value"] == pytest.approx(theirs["coverage"]["value"], abs=0.15), (month, cost)
            assert told["saved_per_row"]["value"] == pytest.approx(theirs["saved_per_row"]["value"], abs=0.04)


def test_a_dearer_look_leaves_fewer_rows_and_saves_less(stored: dict[str, Any]) -> None:
    for found in stored.values():
        told = [found["by_cost"][cost] for cost in sorted(found["by_cost"], key=float)]
        coverage = [each["coverage"]["value"] for each in told]
        saved = [each["saved_per_row"]["value"] for each in told]
        assert coverage == sorted(coverage)
        assert saved == sorted(saved, reverse=True)
        assert saved[-1] > 0


def test_the_page_holds_the_stored_table(page: ModuleType) -> None:
    assert page.pages() == {each: (ROOT / each).read_text() for each in (page.PAGE, page.PICTURE)}
