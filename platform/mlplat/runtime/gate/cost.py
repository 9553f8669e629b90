"""What a model costs as it is served: the time of an answer, and the bytes of its bundle."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mlplat.runtime.gate.rule import Rule
from mlplat.spec.gate import BudgetSpec

if TYPE_CHECKING:
    import pandas as pd

    from mlplat.serving.model import Model

WARM, FEWEST, MOST = 5, 20, 200
"""Rows that are asked first and not timed, and the fewest and most that are."""
SECONDS = 1.0
"""After which no more are asked than the fewest."""


@dataclass(frozen=True)
class Cost:
    """What one bundle costs."""

    rows: int
    """Single rows that were timed."""
    p50_ms: float
    p95_ms: float
    bytes: int

    def described(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {name: round(value, 3) for name, value in asdict(self).items()}


def measure(model: Model, rows: pd.DataFrame) -> Cost:
    """Ask a loaded bundle single rows (n × columns), as the server's row route does, and weigh its files."""
    from mlplat.runtime.bundles import plain

    asked = rows[list(model.schema.names)].iloc[np.linspace(0, len(rows) - 1, MOST + WARM).astype(int)]
    taken: list[float] = []
    begun = time.perf_counter()
    for place, row in enumerate(asked.to_dict(orient="records")):
        one = [plain(row)]
        started = time.perf_counter()
        model.predict(one)
        ended = time.perf_counter()
        if place >= WARM:
            taken.append(1000 * (ended - started))
        if len(taken) >= FEWEST and ended - begun > SECONDS:
            break
    middle, late = np.quantile(taken, [0.5, 0.95])
    size = sum(path.stat().st_size for path in model.folder.rglob("*") if path.is_file())
    return Cost(len(taken), float(middle), float(late), size)


def rules(cost: Cost, budget: BudgetSpec) -> Iterator[Rule]:
    """Yield a rule for each budget that is set."""
    million = cost.bytes / 1e6
    for name, limit, found, unit in (
        ("latency_budget", budget.p95_ms, cost.p95_ms, "ms"),
        ("size_budget", budget.megabytes, million, "MB"),
    ):
        if limit is not None:
            what = f"95 of 100 of {cost.rows} single rows are answered in" if unit == "ms" else "the bundle takes"
            detail = f"{what} {found:.3g} {unit}; {limit:g} is allowed"
            yield Rule(name, found <= limit, f"at most {limit:g} {unit}", f"{found:.3g} {unit}", detail)
