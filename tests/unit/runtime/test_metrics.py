from __future__ import annotations

import math

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import assume, given
from hypothesis import strategies as st

from mlplat.runtime import metrics
from mlplat.runtime.metrics import Floats, Resamples, interval

LEVELS = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.500001, 0.9, 1.0])
"""Few, so that scores are tied often."""
ROWS = st.lists(st.tuples(st.sampled_from([0.0, 1.0]), LEVELS, st.integers(0, 3)), min_size=4, max_size=40)


def columns(rows: list[tuple[float, float, int]]) -> tuple[Floats, Floats, Floats]:
    labels, scores, weights = np.array(rows, dtype=np.float64).T
    assume(0 < (labels * weights).sum() < weights.sum())
    return labels, scores, weights


@given(ROWS)
def test_ranking_measures_are_scikit_learns_with_ties_and_weights(rows: list[tuple[float, float, int]]) -> None:
    labels, scores, weights = columns(rows)
    for ours, theirs in (
        (metrics.auc, sklearn.metrics.roc_auc_score),
        (metrics.average_precision, sklearn.metrics.average_precision_score),
    ):
        assert ours(labels, scores)(weights) == pytest.approx(theirs(labels, scores, sample_weight=weights))


@given(ROWS)
def test_losses_are_scikit_learns(rows: list[tuple[float, float, int]]) -> None:
    labels, scores, weights = columns(rows)
    found = metrics.measures("binary", labels, scores)
    sure = np.clip(scores, metrics.CLIP, 1 - metrics.CLIP)
    assert found["log_loss"](weights) == pytest.approx(sklearn.metrics.log_loss(labels, sure, sample_weight=weights))
    assert found["brier"](weights) == pytest.approx(
        sklearn.metrics.brier_score_loss(labels, scores, sample_weight=weights)
    )
    assert found["calibration_gap"](weights) == pytest.approx(np.average(scores - labels, weights=weights))


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_measures_of_numbers_are_scikit_learns_whatever_the_unit(scale: float) -> None:
    source = np.random.default_rng(0)
    labels = source.normal(5, 2, 300) * scale
    values, weights = labels + source.normal(0, 1, 300) * scale, source.integers(0, 4, 300).astype(np.float64)
    found = metrics.measures("regression", labels, values)
    assert found["r2"](weights) == pytest.approx(sklearn.metrics.r2_score(labels, values, sample_weight=weights))
    wanted = sklearn.metrics.root_mean_squared_error(labels, values, sample_weight=weights)
    assert found["rmse"](weights) == pytest.approx(wanted)
    assert found["mae"](weights) == pytest.approx(
        sklearn.metrics.mean_absolute_error(labels, values, sample_weight=weights)
    )


def test_no_variance_is_explained_where_there_is_none() -> None:
    assert math.isnan(metrics.r2(np.ones(5), np.ones(5))(np.ones(5)))


def test_a_relative_gain_needs_an_error_to_gain_from() -> None:
    one, two, none = (metrics.mean_of(np.full(3, value)) for value in (1.0, 2.0, 0.0))
    weights = np.ones(3)
    assert metrics.relative_gain(one, two)(weights) == 0.5
    assert metrics.relative_gain(two, one)(weights) == -1.0
    assert metrics.relative_gain(none, none)(weights) == 0.0
    assert metrics.relative_gain(one, none)(weights) == -1.0


def test_a_resample_takes_or_leaves_whole_blocks_and_keeps_their_number() -> None:
    blocks = np.repeat(np.arange(20), np.arange(1, 21))
    drawn = list(Resamples(blocks, 50, 1))
    firsts = np.searchsorted(blocks, np.arange(20))
    for weights in drawn:
        assert np.array_equal(weights, weights[firsts][blocks])
        assert weights[firsts].sum() == 20
    assert any((weights == 0).any() for weights in drawn)


def test_every_pass_over_resamples_yields_the_same_ones() -> None:
    resamples = Resamples(np.arange(30), 5, 7)
    assert np.array_equal(np.array(list(resamples)), np.array(list(resamples)))


def test_an_interval_by_blocks_is_wider_where_rows_of_a_block_are_alike() -> None:
    source = np.random.default_rng(0)
    losses = np.repeat(source.normal(0, 1, 40), 25)
    mean = metrics.mean_of(losses)
    by_day = interval(mean, Resamples(np.repeat(np.arange(40), 25), 400, 1), 0.95)
    by_row = interval(mean, Resamples(np.arange(1000), 400, 1), 0.95)
    assert by_day.high - by_day.low > 4 * (by_row.high - by_row.low)
    assert by_day.value == by_row.value == pytest.approx(losses.mean())


def test_an_interval_covers_the_truth_as_often_as_it_says() -> None:
    """Of 300 samples of 40 days whose mean is 0, the 90 % interval misses it in 8 to 12 % (40 blocks)."""
    source = np.random.default_rng(5)
    missed = 0
    for _ in range(300):
        losses = np.repeat(source.normal(0, 1, 40), 5) + source.normal(0, 1, 200)
        found = interval(metrics.mean_of(losses), Resamples(np.repeat(np.arange(40), 5), 200, 1), 0.9)
        missed += not found.low <= 0 <= found.high
    assert 0.05 < missed / 300 < 0.15


@pytest.mark.parametrize("cells", [metrics._CELLS, 40], ids=["one table", "many small ones"])
@given(seed=st.integers(0, 1000), levels=st.integers(1, 60))
def test_measures_of_all_resamples_at_once_are_those_of_each(cells: int, seed: int, levels: int) -> None:
    source = np.random.default_rng(seed)
    blocks = source.permutation(np.arange(60) % 12)
    labels, scores = source.integers(0, 2, 60).astype(np.float64), source.integers(0, levels, 60) / levels
    resamples = Resamples(blocks, 7, seed)
    binary, numbers = metrics.measures("binary", labels, scores), metrics.measures("regression", scores, labels)
    found = [*binary.values(), *numbers.values(), metrics.relative_gain(numbers["rmse"], numbers["mae"])]
    with pytest.MonkeyPatch.context() as patch, np.errstate(invalid="ignore", divide="ignore"):
        patch.setattr(metrics, "_CELLS", cells)
        for measure in found:
            each = [measure(weights) for weights in resamples]
            np.testing.assert_allclose(metrics.draw(measure, resamples), each, atol=1e-12)


def test_many_blocks_are_resampled_row_by_row_with_the_same_meaning() -> None:
    rows = metrics.FEW_BLOCKS + 1
    resamples = Resamples(np.arange(rows), 20, 1)
    first, second = list(resamples), list(resamples)
    assert np.array_equal(first, second)
    assert all(weights.sum() == rows for weights in first)
    mean = metrics.mean_of(np.arange(rows, dtype=np.float64))
    assert np.array_equal(metrics.draw(mean, resamples), [mean(weights) for weights in first])


@pytest.mark.parametrize("tail", [0.025, 0.0005])
def test_few_blocks_take_wider_percentiles_and_many_the_plain_ones(tail: float) -> None:
    found = [metrics.widened(tail, blocks) for blocks in (5, 10, 28, 100, 100_000)]
    assert found == sorted(found)
    assert found[-1] == pytest.approx(tail, rel=1e-3)
    assert metrics.widened(0.025, 28) == pytest.approx(0.01834, abs=1e-5)  # Φ(-2.0518 · √(28/27))


def test_resamples_without_a_class_are_left_out() -> None:
    labels, scores = np.array([1.0] + [0.0] * 9), np.linspace(1, 0, 10)
    found = interval(metrics.auc(labels, scores), Resamples(np.arange(10), 100, 1), 0.95)
    assert (found.value, found.low, found.high) == (1.0, 1.0, 1.0)


def test_an_interval_is_written_for_people_and_for_programs() -> None:
    found = metrics.Interval(0.7123456789, 0.7, 0.725)
    assert str(found) == "0.712 [0.700, 0.725]"
    assert found.described() == {"value": 0.712346, "low": 0.7, "high": 0.725}
