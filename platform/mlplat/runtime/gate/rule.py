"""One rule of the gate: what it asked for, what was measured, and whether that is enough."""

from __future__ import annotations

from dataclasses import dataclass

from mlplat.runtime.metrics import Interval


@dataclass(frozen=True)
class Rule:
    """One rule's verdict."""

    name: str
    passed: bool
    required: str
    measured: str
    detail: str
    """One sentence: what it means, and by how much it passed or failed."""


def above(name: str, measured: Interval, limit: float, what: str) -> Rule:
    """Return the rule that an interval lies above a limit with all of its length."""
    passed = measured.low > limit
    by = abs(measured.low - limit)
    detail = f"{what}: the interval's lower end is {'above' if passed else 'not above'} {limit:g} ({by:.4f} apart)"
    return Rule(name, passed, f"lower end above {limit:g}", str(measured), detail)
