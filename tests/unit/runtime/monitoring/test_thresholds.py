"""Thresholds are how far training blocks lie apart, never what independent rows would allow."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlplat.runtime.monitoring import cells, distance, thresholds

COUNTS = st.lists(st.lists(st.integers(0, 30), min_size=4, max_size=4), min_size=6, max_size=9)


@settings(max_examples=40)
@given(COUNTS)
def test_a_threshold_is_the_farthest_block_from_all_others(drawn: list[list[int]]) -> None:
    cut = cells.Cells(("a", "b", "c"))
    counts = np.array(drawn)
    counts[:, -1] = 0  # what training rows hold is no new category
    found = thresholds.left_out(cut, counts, np.zeros(len(counts), dtype=np.int64))
    groups = cells.bins(cut, counts.sum(axis=0))
    slow = []
    for place in range(len(counts)):
        others = np.delete(counts, place, axis=0).sum(axis=0)
        slow.append(float(distance.psi(*(distance.grouped(each, groups) for each in (others, counts[place])))))
    assert found["psi"] == pytest.approx(max([value for value in slow if np.isfinite(value)], default=0.0))


def test_a_category_that_one_block_alone_holds_sets_the_threshold_of_new_ones() -> None:
    cut = cells.Cells(("usual", "once"))
    counts = np.array([[90, 10, 0]] + [[100, 0, 0]] * 6)
    assert thresholds.left_out(cut, counts, np.zeros(7, dtype=np.int64))["categories"] == pytest.approx(0.1)


def test_few_blocks_calibrate_nothing() -> None:
    counts = np.ones((thresholds.FEWEST - 1, 2), dtype=np.int64)
    assert thresholds.left_out(cells.Cells(("a",)), counts, np.zeros(len(counts), dtype=np.int64)) == {}


def test_a_block_of_a_day_is_no_week() -> None:
    assert thresholds.whole(np.array([900, 7000, 6500, 7100])).tolist() == [False, True, True, True]


@pytest.mark.parametrize("rows", [200, 1000])
def test_of_independent_windows_smaller_than_blocks_about_one_in_a_thousand_is_over(rows: int) -> None:
    source = np.random.default_rng(0)
    reference = pd.Series(source.normal(size=100_000))
    cut = cells.cut(reference, numbers=True)
    total = cut.count(reference)
    groups = cells.bins(cut, total)
    drawn = np.stack([cut.count(pd.Series(source.normal(size=rows))) for _ in range(400)])
    found = thresholds.distances(cut, groups, total, drawn)
    for name, values in found.items():
        limit = thresholds.allowance(name, 0.0, rows, 0.0, int(groups.max()) + 1)
        assert (values > limit).mean() <= 0.01
        assert np.quantile(values, 0.5) > limit / 5


def test_a_window_as_large_as_the_blocks_is_allowed_nothing_more() -> None:
    assert thresholds.allowance("psi", 0.1, 6000, 6000, 10) == 0
    assert thresholds.allowance("missing", 0.1, 3000, 6000, 10) > 0
