"""PSI and KS are what their definitions say, and change with nothing that they should not."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from mlplat.runtime.monitoring import cells, distance

SAMPLE = st.lists(st.one_of(st.integers(-4, 4), st.floats(-100, 100)), min_size=1, max_size=80)
COUNTS = st.lists(st.integers(0, 50), min_size=2, max_size=12)


def ks(reference: list[float], window: list[float]) -> float:
    cut = cells.cut(pd.Series(reference, dtype="float64"), numbers=True)
    counted = (cut.count(pd.Series(values, dtype="float64")) for values in (reference, window))
    return float(distance.ks(*counted))


def slow_psi(reference: list[int], window: list[int]) -> float:
    total = 0.0
    for first, second in zip(reference, window, strict=True):
        p = max(first / sum(reference), distance.EMPTY)
        q = max(second / sum(window), distance.EMPTY)
        total += (q - p) * math.log(q / p)
    return total


# scipy also computes a p-value, which some of these have none of.
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@settings(max_examples=40)
@given(SAMPLE, SAMPLE)
def test_ks_is_scipys(reference: list[float], window: list[float]) -> None:
    assert ks(reference, window) == pytest.approx(ks_2samp(reference, window, method="asymp").statistic, abs=1e-12)


def test_ks_of_more_values_than_cuts_is_too_small_by_at_most_a_gap() -> None:
    source = np.random.default_rng(1)
    reference, window = source.normal(size=5000), source.normal(0.3, 1.1, size=3000)
    true = ks_2samp(reference, window, method="asymp").statistic
    assert true - 1.5 / cells.CUTS <= ks(reference.tolist(), window.tolist()) <= true + 1e-12


@settings(max_examples=40)
@given(SAMPLE, SAMPLE)
def test_ks_stays_under_a_monotone_transform(reference: list[float], window: list[float]) -> None:
    def stretched(values: list[float]) -> list[float]:
        order = {value: place for place, value in enumerate(sorted({*reference, *window}))}
        return [float(order[value]) ** 3 for value in values]

    assert ks(stretched(reference), stretched(window)) == pytest.approx(ks(reference, window))


@settings(max_examples=40)
@given(SAMPLE, SAMPLE, st.randoms())
def test_the_order_of_rows_changes_nothing(
    reference: list[float], window: list[float], random: np.random.Generator
) -> None:
    found = ks(reference, window)
    random.shuffle(reference)
    random.shuffle(window)
    assert ks(reference, window) == found


@given(COUNTS, st.data())
def test_psi_is_its_definition(reference: list[int], data: st.DataObject) -> None:
    window = data.draw(st.lists(st.integers(0, 50), min_size=len(reference), max_size=len(reference)))
    found = float(distance.psi(np.array(reference), np.array(window)))
    if not sum(reference) or not sum(window):
        assert math.isnan(found)
    else:
        assert found == pytest.approx(slow_psi(reference, window))
        assert found >= 0
        assert found == pytest.approx(float(distance.psi(np.array(window), np.array(reference))))


def test_many_windows_at_once_are_each_what_they_are_alone() -> None:
    source = np.random.default_rng(2)
    reference, windows = source.integers(1, 90, 11), source.integers(0, 90, (5, 11))
    for measure in (distance.psi, distance.ks):
        assert measure(reference, windows).tolist() == pytest.approx([float(measure(reference, w)) for w in windows])


def test_counts_of_bins_are_sums_of_cells() -> None:
    grouped = distance.grouped(np.array([[1, 2, 3, 4], [0, 0, 0, 5]]), np.array([0, 1, 1, 0]))
    assert grouped.tolist() == [[5, 5], [5, 0]]


def test_each_block_has_its_own_distance_from_a_reference_of_its_own() -> None:
    references, currents = np.array([[8, 2], [5, 5]]), np.array([[2, 8], [5, 5]])
    assert distance.ks(references, currents).tolist() == pytest.approx([0.6, 0.0])
    assert distance.psi(references, currents).tolist() == [
        pytest.approx(float(distance.psi(one, other))) for one, other in zip(references, currents, strict=True)
    ]


def test_one_side_that_holds_nothing_leaves_the_distance_unknown() -> None:
    some, none = np.array([3, 4]), np.array([0, 0])
    for one, other in ((some, none), (none, some), (none, none)):
        assert np.isnan(distance.psi(one, other))
        assert np.isnan(distance.ks(one, other))
