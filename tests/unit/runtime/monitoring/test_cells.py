"""Cells: no value is lost, a heavy value is a bin of its own, and the order of rows changes nothing."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from mlplat.runtime.monitoring import cells

NUMBERS = st.lists(st.one_of(st.none(), st.integers(-5, 5), st.floats(-1e6, 1e6)), max_size=60)
TEXTS = st.lists(st.one_of(st.none(), st.sampled_from("abcdef")), max_size=60)


def numbers(values: list[float | None]) -> pd.Series:
    return pd.Series(values, dtype="float64")


@given(NUMBERS, NUMBERS)
def test_every_number_is_counted_once(reference: list[float | None], window: list[float | None]) -> None:
    cut = cells.cut(numbers(reference), numbers=True)
    counts = cut.count(numbers(window))
    assert len(counts) == cut.size
    assert counts.sum() == sum(value is not None for value in window)


@given(TEXTS, TEXTS)
def test_every_text_is_counted_once(reference: list[str | None], window: list[str | None]) -> None:
    cut = cells.cut(pd.Series(reference, dtype=object), numbers=False)
    counts = cut.count(pd.Series(window, dtype=object))
    assert counts.sum() == sum(value is not None for value in window)
    assert counts[-1] == sum(value is not None and value not in reference for value in window)


@given(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=60), st.randoms())
def test_the_order_of_rows_changes_no_category(reference: list[str], random: np.random.Generator) -> None:
    cut = cells.cut(pd.Series(reference, dtype=object), numbers=False)
    random.shuffle(reference)
    assert cells.cut(pd.Series(reference, dtype=object), numbers=False) == cut


@given(NUMBERS)
def test_each_cell_has_one_bin_and_no_bin_is_skipped(reference: list[float | None]) -> None:
    cut = cells.cut(numbers(reference), numbers=True)
    found = cells.bins(cut, cut.count(numbers(reference)))
    assert len(found) == cut.size
    assert sorted(set(found.tolist())) == list(range(found.max() + 1))


def test_what_most_rows_share_is_a_bin_of_its_own() -> None:
    rain = pd.Series([0.0] * 93 + [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7])
    cut = cells.cut(rain, numbers=True)
    reference = cut.count(rain)
    found = cells.bins(cut, reference)
    dry = int(found[np.flatnonzero(reference == 93)[0]])
    assert [int(reference[found == number].sum()) for number in range(2)] in ([93, 7], [7, 93])
    assert (found == dry).sum() == 1


def test_deciles_of_what_is_spread_hold_a_tenth_each() -> None:
    spread = pd.Series(np.random.default_rng(0).normal(size=50_000))
    cut = cells.cut(spread, numbers=True)
    reference = cut.count(spread)
    held = np.bincount(cells.bins(cut, reference), reference)
    assert len(held) == cells.BINS
    assert np.abs(held / 50_000 - 0.1).max() < 1 / cells.CUTS


def test_a_rare_category_shares_its_bin_with_those_never_seen() -> None:
    reference = pd.Series(["common"] * 1000 + ["rare"], dtype=object)
    cut = cells.cut(reference, numbers=False)
    found = cells.bins(cut, cut.count(reference))
    assert found[1] == found[2] != found[0]


def test_truth_values_are_two_categories_whether_some_are_missing_or_not() -> None:
    whole = cells.cut(pd.Series([True, False, True]), numbers=False)
    some = whole.count(pd.Series([True, None, False], dtype="boolean"))
    assert (whole.cuts, some.tolist()) == (("True", "False"), [1, 1, 0])
