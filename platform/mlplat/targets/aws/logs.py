"""How long CloudWatch keeps what is logged: it knows a fixed set of times, and refuses any other."""

from __future__ import annotations

RETENTIONS = (
    *(1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180),
    *(365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653),
)
"""Days for which a log group can keep its events."""


def retention(days: int) -> int:
    """Return the shortest time that CloudWatch knows and that is no shorter, in days; 0, which is for ever, above."""
    return next((each for each in RETENTIONS if each >= days), 0)
