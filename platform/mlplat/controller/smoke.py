"""Whether a started revision answers as the model did when it was judged."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from mlplat.bundle import Contract, Example

RELATIVE = 1e-4
ABSOLUTE = 1e-5
"""Single precision, which an exported model computes in, is within these; another model or environment is not."""


def difference(contract: Contract, predictions: Sequence[Mapping[str, Any]]) -> str:
    """Compare what a revision answers to its contract's examples; empty when it is what was recorded."""
    if len(predictions) != len(contract.examples):
        return f"it answered {len(predictions)} of {len(contract.examples)} example rows"
    pairs = enumerate(zip(contract.examples, predictions, strict=True))
    wrong = [(index, example, given) for index, (example, given) in pairs if not _same(example, given)]
    if not wrong:
        return ""
    index, example, given = wrong[0]
    return f"example row {index} gives {dict(given)}, recorded is {example.prediction} ({len(wrong)} rows differ)"


def _same(example: Example, given: Mapping[str, Any]) -> bool:
    expected = example.prediction
    answers = [given[key] for key in ("probability", "value", "label") if key in given]
    return any(_equal(expected, answer) for answer in answers)


def _equal(expected: float | str, answer: Any) -> bool:
    if isinstance(expected, str) or isinstance(answer, (str, bool)) or answer is None:
        return bool(expected == answer)
    return math.isclose(expected, answer, rel_tol=RELATIVE, abs_tol=ABSOLUTE)
