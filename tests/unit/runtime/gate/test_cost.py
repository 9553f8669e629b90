from __future__ import annotations

import itertools
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from mlplat.runtime.gate import cost
from mlplat.runtime.gate.cost import Cost
from mlplat.spec.gate import BudgetSpec

COST = Cost(200, 1.5, 4.0, 3_500_000)


@pytest.mark.parametrize(
    ("budget", "passed"),
    [
        ({}, {}),
        ({"p95_ms": 4.0}, {"latency_budget": True}),
        ({"p95_ms": 3.9}, {"latency_budget": False}),
        ({"megabytes": 3.4, "p95_ms": 10}, {"latency_budget": True, "size_budget": False}),
    ],
)
def test_cost_blocks_where_a_budget_is_set_and_nowhere_else(budget: dict[str, float], passed: dict[str, bool]) -> None:
    assert {rule.name: rule.passed for rule in cost.rules(COST, BudgetSpec(**budget))} == passed


def test_single_rows_are_asked_as_json_gives_them_and_every_file_is_weighed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A thousandth of a second an answer: by a real clock, a busy computer would be asked fewer.
    ticks = itertools.count()
    monkeypatch.setattr("time.perf_counter", lambda: next(ticks) / 1000)
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a").write_bytes(b"12345")
    (tmp_path / "b").write_bytes(b"123")
    asked: list[Any] = []
    model: Any = SimpleNamespace(schema=SimpleNamespace(names=("x",)), folder=tmp_path, predict=asked.append)
    found = cost.measure(model, pd.DataFrame({"x": [1.0, None, 3.0], "other": ["a", "b", "c"]}))
    assert (found.bytes, found.rows) == (8, cost.MOST)
    assert (found.p50_ms, found.p95_ms) == pytest.approx((1, 1))
    assert len(asked) == cost.MOST + cost.WARM
    assert {row["x"] for (row,) in asked} == {1.0, None, 3.0}
    assert all(list(row) == ["x"] for (row,) in asked)


def test_a_slow_model_is_asked_the_fewest_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter(range(10_000))
    monkeypatch.setattr("time.perf_counter", lambda: float(next(ticks)))
    model: Any = SimpleNamespace(schema=SimpleNamespace(names=("x",)), folder=tmp_path, predict=lambda rows: rows)
    found = cost.measure(model, pd.DataFrame({"x": [1.0]}))
    assert (found.rows, found.p50_ms) == (cost.FEWEST, 1000.0)
