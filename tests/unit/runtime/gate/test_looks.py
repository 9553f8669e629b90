from __future__ import annotations

import math

import numpy as np
import pytest

from mlplat.runtime.gate.looks import BEYOND, MOST, MOST_OF_ROWS, SEED, Look
from mlplat.runtime.metrics import FEW_BLOCKS, widened

DAYS = np.repeat(np.arange(28), 3)


def test_the_first_look_has_the_stated_confidence() -> None:
    assert Look(1, 0.95).needed == 0.95


def test_all_looks_together_err_at_most_164_times_as_often_as_the_first() -> None:
    errors = [1 - Look(number, 0.95).needed for number in range(1, 10_000)]
    assert errors == sorted(errors, reverse=True)
    assert sum(errors) < 0.05 * math.pi**2 / 6


@pytest.mark.parametrize("number", [1, 2, 3])
def test_an_interval_s_end_has_enough_resamples_beyond_it(number: int) -> None:
    look = Look(number, 0.95)
    made = look.resamples(DAYS, 100)
    assert made.count * widened((1 - look.needed) / 2, 28) == pytest.approx(BEYOND, rel=0.01)


@pytest.mark.parametrize(("blocks", "most"), [(28, MOST), (FEW_BLOCKS, MOST), (2000, MOST_OF_ROWS)])
def test_resamples_are_bounded_and_never_fewer_than_asked_for(blocks: int, most: int) -> None:
    numbers = np.arange(blocks)
    assert Look(1000, 0.95).resamples(numbers, 100).count == most
    assert Look(1, 0.95).resamples(numbers, 20_000).count == 20_000


def test_the_same_rows_are_always_resampled_alike() -> None:
    made, again = (Look(2, 0.95).resamples(DAYS, 100) for _ in range(2))
    assert made.seed == SEED
    assert made.blocks is DAYS
    assert np.array_equal(made.draws, again.draws)
