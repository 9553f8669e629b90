"""Sampled Shapley values against those of every order, and against what must hold however few are drawn."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlplat.serving import shapley
from mlplat.serving.columns import Columns
from mlplat.serving.shapley import Score, shares


def interacting(columns: Columns) -> Any:
    """Columns that only matter together, one by a text, one not at all, and one by a null."""
    text = np.array([value == "b" for value in columns["text"]], dtype=np.float64)
    known = np.nan_to_num(columns["maybe"], nan=3.0)
    return 1 / (1 + np.exp(-(columns["x"] * text + columns["x"] * known / 2 - 1))) + 0.0 * columns["idle"]


def meeting(columns: Columns) -> Any:
    """Five columns that matter by threes, and one that does not."""
    x = list(columns.values())
    return np.tanh(x[0] * x[1] * x[2] + x[2] * x[3] + x[4] * x[0] * x[3] - x[1])


def columns(rows: int, seed: int) -> dict[str, Any]:
    source = np.random.default_rng(seed)
    maybe = source.normal(size=rows)
    maybe[:: max(2, rows // 3)] = np.nan
    return {
        "x": source.normal(size=rows),
        "text": source.choice(np.array(["a", "b"], dtype=object), rows),
        "idle": source.integers(0, 9, rows),
        "maybe": maybe,
    }


def exact(score: Score, row: Columns, background: Columns) -> Any:
    """Return the shares of one row by the definition: over all sets of the other columns."""
    names = list(row)
    size = len(background[names[0]])

    def worth(chosen: frozenset[str]) -> float:
        mixed = {name: np.repeat(row[name], size) if name in chosen else background[name] for name in names}
        return float(score(mixed).mean())

    found = []
    for name in names:
        others = [each for each in names if each != name]
        total = 0.0
        for count in range(len(names)):
            weight = math.factorial(count) * math.factorial(len(others) - count) / math.factorial(len(names))
            for chosen in map(frozenset, itertools.combinations(others, count)):
                total += weight * (worth(chosen | {name}) - worth(chosen))
        found.append(total)
    return np.array(found)


def test_they_are_the_exact_ones_within_the_error_that_they_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against the definition, over all rows that a background is drawn from."""
    source = np.random.default_rng(4)
    row, everything = ({f"x{place}": source.normal(size=rows) for place in range(6)} for rows in (1, 500))
    wanted = exact(meeting, row, everything)
    standard = []
    for seed in range(100):
        monkeypatch.setattr(shapley, "SEED", seed)
        drawn = source.integers(0, 500, 32)
        found = shares(meeting, row, {name: values[drawn] for name, values in everything.items()})
        # What does not matter has no share, and no error either.
        assert (found.values[0, 5], found.errors[0, 5]) == (0, 0)
        standard += [(found.values[0, place] - wanted[place]) / found.errors[0, place] for place in range(5)]
    assert abs(np.mean(standard)) < 0.1
    assert 0.9 < np.std(standard) < 1.15
    assert 0.93 < np.mean(np.abs(standard) < 2) < 0.98


def test_texts_nulls_and_whole_numbers_reach_the_model_as_they_are() -> None:
    rows, background = columns(4, 1), columns(12, 2)
    seen: list[Columns] = []

    def noting(each: Columns) -> Any:
        seen.append(each)
        return interacting(each)

    found = shares(noting, rows, background)
    for place in range(4):
        wanted = exact(interacting, {name: values[[place]] for name, values in rows.items()}, background)
        assert found.values[place] == pytest.approx(wanted, abs=0.03)
    kinds = {name: values.dtype for name, values in rows.items()}
    assert all({name: values.dtype for name, values in each.items()} == kinds for each in seen)


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 6), st.integers(2, 7), st.integers(1, 5), st.integers(0, 1000))
def test_they_add_up_to_the_answer_from_the_mean_one_however_few_orders_were_drawn(
    rows: int, ordinary: int, width: int, seed: int
) -> None:
    source = np.random.default_rng(seed)
    weights = source.normal(size=(width, width))

    def score(each: Columns) -> Any:
        matrix = np.column_stack([np.asarray(values, dtype=np.float64) for values in each.values()])
        return np.tanh(np.einsum("ni,ij,nj->n", matrix, weights, matrix))

    own, others = ({f"x{j}": source.normal(size=n) for j in range(width)} for n in (rows, ordinary))
    found = shares(score, own, others)
    assert found.base + found.values.sum(axis=1) == pytest.approx(score(own), abs=1e-12)
    assert found.base == pytest.approx(score(others).mean())
    assert found.scores == pytest.approx(score(own))


def test_a_model_whose_columns_do_not_meet_is_explained_exactly() -> None:
    rows, background = columns(3, 5), columns(8, 6)
    found = shares(lambda each: 2 * each["x"] - np.nan_to_num(each["maybe"]), rows, background)
    assert found.values[:, 0] == pytest.approx(2 * (rows["x"] - background["x"].mean()))


def test_a_row_is_explained_alike_whoever_else_is_asked_about() -> None:
    found = shares(interacting, columns(2, 1), columns(9, 2))
    alone = shares(interacting, {name: values[:1] for name, values in columns(2, 1).items()}, columns(9, 2))
    assert np.array_equal(alone.values, found.values[:1])
    assert np.array_equal(alone.errors, found.errors[:1])
