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
    cut = cells.Cells(("usual", "once", "never again"))
    counts = np.array([[90, 10, 0, 0], [95, 0, 5, 0]] + [[100, 0, 0, 0]] * 6)
    assert thresholds.left_out(cut, counts, np.zeros(8, dtype=np.int64))["categories"] == pytest.approx(0.1)


@pytest.mark.parametrize(("cuts", "names"), [(np.array([0.0]), {"psi", "ks"}), (("a", "b"), {"psi"})])
def test_numbers_lie_apart_by_two_measures_and_categories_by_one(
    cuts: cells.Floats | tuple[str, ...], names: set[str]
) -> None:
    cut, counts = cells.Cells(cuts), np.array([3, 4, 5])
    assert set(thresholds.distances(cut, cells.bins(cut, counts), counts, counts)) == names


def test_what_was_never_seen_is_left_out_of_texts_and_nothing_is_of_numbers() -> None:
    numbers, texts = cells.Cells(np.array([0.0])), cells.Cells(("a", "b"))
    known = np.array([3, 4, 5])
    assert thresholds.distances(numbers, cells.bins(numbers, known), known, known)["psi"] == 0
    assert thresholds.distances(numbers, cells.bins(numbers, known), known, np.array([3, 4, 50]))["psi"] > 0.5
    seen = np.array([3, 4, 0])
    assert thresholds.distances(texts, cells.bins(texts, seen), seen, np.array([3, 4, 50]))["psi"] == 0


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


def test_missing_values_are_held_against_the_share_of_all_other_blocks() -> None:
    counts = np.array([[80, 0]] + [[100, 0]] * 4 + [[50, 0]])
    nulls = np.array([20, 0, 0, 10, 0, 0])
    found = thresholds.left_out(cells.Cells(("a",)), counts, nulls)
    assert found["missing"] == pytest.approx(20 / 100 - 10 / 460)
    assert thresholds.share(nulls, counts).tolist() == pytest.approx([0.2, 0, 0, 10 / 110, 0, 0])
    assert thresholds.share(np.array([1, 0]), np.array([[0, 0], [0, 0]])).tolist() == [1, 0]
    assert thresholds.share(np.array(1), np.array([3, 0])) == 0.25


def test_a_block_of_one_row_that_alone_holds_its_category_is_all_new() -> None:
    counts = np.array([[0, 1, 0]] + [[100, 0, 0]] * 6)
    assert thresholds.left_out(cells.Cells(("usual", "once")), counts, np.zeros(7, dtype=np.int64))["categories"] == 1


def test_numbers_and_texts_with_more_categories_than_are_kept_have_no_new_ones() -> None:
    counts = np.array([[90, 10, 0]] + [[100, 0, 0]] * 6)
    nulls = np.zeros(7, dtype=np.int64)
    assert "categories" not in thresholds.left_out(cells.Cells(("usual", "once"), whole=False), counts, nulls)
    assert "categories" not in thresholds.left_out(cells.Cells(np.array([0.0, 1.0])), counts, nulls)


def test_half_of_a_usual_block_is_a_whole_one_and_no_blocks_are_none() -> None:
    assert thresholds.whole(np.array([49, 50, 100, 100, 120])).tolist() == [False, True, True, True, True]
    none = thresholds.whole(np.array([], dtype=np.int64))
    assert (none.shape, none.dtype) == ((0,), np.dtype(bool))


@pytest.mark.parametrize("number", [1, 2, 3, 10, 40])
def test_what_psi_is_allowed_is_the_chi_squared_quantile_that_one_in_a_thousand_passes(number: int) -> None:
    from scipy import stats

    # The approximation is 3 % high at one degree of freedom.
    exact = stats.chi2.isf(0.001, max(number - 1, 1)) / 500
    assert thresholds.allowance("psi", 0.0, 500, 0.0, number) == pytest.approx(exact, rel=0.035)


@pytest.mark.parametrize(("rows", "usual", "apart"), [(100, 0.0, 1 / 100), (100, 400.0, 3 / 400), (1, 1.0001, 1e-4)])
def test_what_is_allowed_is_for_the_rows_that_are_fewer_than_a_block_s(rows: int, usual: float, apart: float) -> None:
    from scipy import stats

    kolmogorov = stats.kstwobign.isf(0.001)
    assert thresholds.allowance("ks", 0.2, rows, usual, 10) == pytest.approx(kolmogorov * apart**0.5, rel=0.01)
    normal = stats.norm.isf(0.001) * (0.2 * 0.8 * apart) ** 0.5
    assert thresholds.allowance("missing", 0.2, rows, usual, 10) == pytest.approx(normal, rel=0.01)


@pytest.mark.parametrize(("rows", "usual"), [(0, 0.0), (0, 50.0), (50, 50.0), (1, 1.0), (51, 50.0)])
def test_no_rows_and_as_many_as_a_block_s_are_allowed_nothing(rows: int, usual: float) -> None:
    assert thresholds.allowance("ks", 0.2, rows, usual, 10) == 0
