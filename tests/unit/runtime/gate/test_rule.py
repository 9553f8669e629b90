"""A rule says what it asked for, what was measured, and by how much the two lie apart."""

from __future__ import annotations

import pytest

from mlplat.runtime.gate.rule import above
from mlplat.runtime.metrics import Interval


@pytest.mark.parametrize(
    ("limit", "passed", "detail"),
    [
        (0.6, True, "skill: the interval's lower end is above 0.6 (0.1000 apart)"),
        (0.75, False, "skill: the interval's lower end is not above 0.75 (0.0500 apart)"),
        (0.7, False, "skill: the interval's lower end is not above 0.7 (0.0000 apart)"),
    ],
)
def test_an_interval_passes_with_all_of_its_length(limit: float, passed: bool, detail: str) -> None:
    measured = Interval(0.8, 0.7, 0.9)
    rule = above("floor", measured, limit, "skill")
    assert (rule.name, rule.passed, rule.detail) == ("floor", passed, detail)
    assert (rule.required, rule.measured) == (f"lower end above {limit:g}", str(measured))
