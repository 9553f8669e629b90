from __future__ import annotations

from typing import Any

import pytest

from mlplat.bundle import Column, Contract, Example
from mlplat.controller.smoke import difference


def contract(*predictions: float | str) -> Contract:
    examples = tuple(Example(row={"x": 1.0}, prediction=value) for value in predictions)
    return Contract(
        project="p", model="m", task="binary", columns=(Column(name="x", type="double"),), examples=examples
    )


@pytest.mark.parametrize(
    ("recorded", "given", "same"),
    [
        (0.25, {"label": False, "probability": 0.25}, True),
        (0.25, {"label": False, "probability": 0.2500001}, True),
        (0.25, {"label": False, "probability": 0.26}, False),
        ("late", {"label": "late", "probability": 0.9}, True),
        ("late", {"label": "on time", "probability": 0.1}, False),
        (150.0, {"value": 150.00005}, True),
        (150.0, {"value": 151.0}, False),
        (150.0, {}, False),
        (150.0, {"value": None}, False),
    ],
)
def test_answers_are_compared_within_single_precision(recorded: float | str, given: dict[str, Any], same: bool) -> None:
    assert (difference(contract(recorded), [given]) == "") is same


def test_a_missing_answer_is_a_difference() -> None:
    assert difference(contract(0.5, 0.5), [{"probability": 0.5}]) == "it answered 1 of 2 example rows"
