from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlplat.runtime import reliability

scores_ = st.lists(st.sampled_from([0.0, 0.1, 0.2, 0.25, 0.5, 0.75, 1.0]), min_size=1, max_size=60)


@given(scores_, st.integers(0, 99))
def test_every_row_is_in_one_part_and_rows_of_one_score_stay_together(given_scores: list[float], seed: int) -> None:
    scores = np.array(given_scores)
    labels = np.random.default_rng(seed).integers(0, 2, len(scores)).astype(float)
    found = reliability.bins(labels, scores, np.arange(len(scores)) % 12, 0.95)
    assert sum(each.rows for each in found) == len(scores)
    assert [each.said for each in found] == sorted({each.said for each in found})
    assert sum(each.rows * each.said for each in found) == pytest.approx(scores.sum())
    assert sum(each.rows * each.came.value for each in found) == pytest.approx(labels.sum())
    assert len(found) <= min(reliability.BINS, len(set(given_scores)))


def test_honest_probabilities_lie_within_their_intervals_and_boasting_ones_do_not() -> None:
    source = np.random.default_rng(5)
    truth = source.uniform(0.05, 0.95, 20_000)
    labels = (source.random(len(truth)) < truth).astype(float)
    blocks = np.arange(len(truth)) % 60
    honest = reliability.bins(labels, truth, blocks, 0.99)
    assert all(each.came.low <= each.said <= each.came.high for each in honest)
    boasting = reliability.bins(labels, np.clip(truth * 1.5, 0, 1), blocks, 0.99)
    assert sum(each.said > each.came.high for each in boasting) >= 7
