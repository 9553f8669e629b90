"""Some of many rows: wherever fewer are looked at than there are, they are taken alike, and the same every time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def evenly(total: int, count: int) -> NDArray[np.intp]:
    """Return at most `count` positions, ascending, evenly over `total` rows, from the first to the last."""
    return np.linspace(0, total - 1, min(count, total)).astype(np.intp)
