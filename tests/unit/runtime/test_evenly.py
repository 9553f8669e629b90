from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mlplat.runtime.evenly import evenly


@given(st.integers(0, 5000), st.integers(1, 5000))
def test_positions_differ_ascend_and_lie_evenly(total: int, count: int) -> None:
    found = evenly(total, count)
    assert len(found) == min(total, count)
    steps = np.diff(found)
    assert (steps > 0).all()
    if total and count > 1:
        assert (found[0], found[-1]) == (0, total - 1)
    if len(steps):
        assert steps.max() - steps.min() <= 1


def test_rows_that_were_taken_evenly_are_all_taken_the_next_time() -> None:
    assert evenly(len(evenly(10_000, 64)), 64).tolist() == list(range(64))
