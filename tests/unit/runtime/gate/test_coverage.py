"""The least share of rows that a model answers itself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlplat.runtime.gate import coverage
from mlplat.runtime.gate.rule import Rule
from mlplat.runtime.metrics import Resamples

DAYS, PER_DAY = 28, 40
RESAMPLES = Resamples(np.repeat(np.arange(DAYS), PER_DAY), 300, 1)
LEFT = st.lists(st.integers(0, PER_DAY), min_size=DAYS, max_size=DAYS)
"""Rows of each day that are left to a person."""
LIMIT = st.floats(0.01, 0.99)


def rule(limit: float, left: list[int]) -> Rule:
    abstained = np.arange(PER_DAY) < np.array(left)[:, None]
    (found,) = coverage.rules(limit, abstained.ravel(), RESAMPLES, 0.95)
    return found


@given(LIMIT, LEFT)
def test_whoever_passes_answers_more_than_the_limit(limit: float, left: list[int]) -> None:
    answered = 1 - sum(left) / (DAYS * PER_DAY)
    if rule(limit, left).passed:
        assert answered > limit - 1e-9


@given(LIMIT, LIMIT, LEFT, LEFT)
def test_neither_answering_more_nor_a_lower_limit_ever_refuses(
    limit: float, lower: float, left: list[int], fewer: list[int]
) -> None:
    less = [min(pair) for pair in zip(left, fewer, strict=True)]
    if rule(limit, left).passed:
        assert rule(min(limit, lower), less).passed


@given(LIMIT)
def test_a_model_that_labels_every_row_passes_and_one_that_labels_none_does_not(limit: float) -> None:
    assert rule(limit, [0] * DAYS).passed
    assert not rule(limit, [PER_DAY] * DAYS).passed


def test_a_tenth_that_is_left_on_a_few_days_says_less_than_a_tenth_of_every_day() -> None:
    """Rows of a day are hard together: by rows both would be shown to be above the limit."""
    every_day, few_days = [4] * DAYS, [37] * 3 + [0] * 24 + [1]
    assert sum(every_day) == sum(few_days)
    assert rule(0.88, every_day).passed
    refused = rule(0.88, few_days)
    assert (refused.name, refused.passed, refused.required) == ("coverage_floor", False, "lower end above 0.88")
    assert "share of rows that get a label: the interval's lower end is not above 0.88" in refused.detail


@pytest.mark.parametrize("left", [0, PER_DAY])
def test_without_a_limit_nothing_is_asked(left: int) -> None:
    assert not [*coverage.rules(None, np.full(DAYS * PER_DAY, left > 0), RESAMPLES, 0.95)]
