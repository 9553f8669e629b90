"""Why single rows got their answers: what a model server tells at `POST /explain`."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import orjson

from mlplat.bundle import BundleError, Explaining
from mlplat.errors import MlplatError
from mlplat.serving.columns import Columns
from mlplat.serving.model import Model
from mlplat.serving.protocol import Served, Unknown, answers
from mlplat.serving.shapley import Floats, Shares, shares

MOST_ROWS = 8
"""Rows of one request: each is some thousands of questions to the model."""
FEWEST, TRIES = 8, 3
"""Rows of the background that are kept however slow the model is, and how often it is timed."""
WAITING = 2
"""Requests that are admitted: one that is computed, and one that waits."""


class Explainer:
    """A model with the rows that its answers are held against. Asked in one thread at a time."""

    def __init__(self, model: Model, settings: Explaining) -> None:
        """Read the background, and take as much of it as a row's time allows.

        Raises `BundleError` when it is not rows that the model answers.
        """
        self._model = model
        path = model.folder / settings.background
        if not path.resolve().is_relative_to(model.folder.resolve()):
            raise BundleError(f"{model.folder}: the background `{settings.background}` lies outside of the folder")
        try:
            rows = orjson.loads(path.read_bytes())
            self.background: Columns = model.schema.from_rows(rows)
            self.explain(self._row(0))  # the first time a model is asked takes longer than any other
        except (OSError, orjson.JSONDecodeError, MlplatError) as error:
            raise BundleError(f"{path}: cannot be explained with: {error}") from error
        while len(rows) >= 2 * FEWEST and self._seconds() > settings.budget_ms / 1000:
            rows = rows[::2]
            self.background = model.schema.from_rows(rows)

    def _row(self, place: int) -> Columns:
        return {name: values[[place]] for name, values in self.background.items()}

    def _seconds(self) -> float:
        """Return how long one row takes, of the quickest of a few: others wait for the processor, too."""
        taken = []
        for place in range(TRIES):
            begun = time.perf_counter()
            self.explain(self._row(place))
            taken.append(time.perf_counter() - begun)
        return min(taken)

    def explain(self, columns: Columns) -> Shares:
        """Share out the answers for rows."""
        return shares(self._model.score_columns, columns, self.background)

    def written(self, served: Served, found: Shares, unknown: Unknown) -> bytes:
        """Write shares as the answer's body."""
        contract = self._model.contract
        explained = zip(answers(served, unknown, found.scores), found.values, found.errors, strict=True)
        return orjson.dumps(
            {
                "model": f"{contract.project}/{contract.model}",
                "version": served.version,
                "revision": served.revision,
                "base": found.base,
                "background_rows": len(self.background[self._model.schema.names[0]]),
                "explanations": [
                    {**answer, "contributions": _named(self._model.schema.names, values, errors)}
                    for answer, values, errors in explained
                ],
            }
        )


def _named(names: tuple[str, ...], values: Floats, errors: Floats) -> dict[str, Any]:
    """Return the shares of one row by column, the largest first."""
    order = np.argsort(-np.abs(values), kind="stable")
    return {names[place]: {"value": float(values[place]), "error": float(errors[place])} for place in order}
