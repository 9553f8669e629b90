"""Counters say what was answered."""

from __future__ import annotations

import numpy as np
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from mlplat.serving.metrics import Distribution


@pytest.mark.parametrize("together", [True, False])
def test_a_distribution_is_a_histogram(together: bool) -> None:
    registry = CollectorRegistry()
    distribution = Distribution("answers", "What is answered.", (0.25, 0.5))
    registry.register(distribution)
    values = np.array([0.1, 0.25, 0.3, 0.9])
    for part in [values] if together else np.split(values, 4):
        distribution.observe(part)
    lines = dict(line.rsplit(" ", 1) for line in generate_latest(registry).decode().splitlines() if line[0] != "#")
    assert lines['answers_bucket{le="0.25"}'] == "2.0"
    assert lines['answers_bucket{le="0.5"}'] == "3.0"
    assert lines['answers_bucket{le="+Inf"}'] == "4.0"
    assert lines["answers_count"] == "4.0"
    assert float(lines["answers_sum"]) == pytest.approx(1.55)
