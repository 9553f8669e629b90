"""What is worked out about why a model answers as it does."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field

from mlplat.spec.base import Spec


class ExplanationSpec(Spec):
    """How a run explains its model; the answer is kept with the version and shown in its card."""

    method: Literal["permutation", "shap", "none"] = Field(
        "permutation",
        description="`permutation` measures what the model loses when a column is shuffled; `shap` shares out each "
        "score among the columns, takes minutes, and needs the package `shap` in requirements.in.",
    )
    rows: Annotated[int, Field(ge=100, le=100_000)] = Field(
        2000, description="Most rows of the hold-out that are looked at, evenly over time; `shap` takes a tenth."
    )
    repeats: Annotated[int, Field(ge=1, le=50)] = Field(
        3, description="How often each column is shuffled; the loss is their mean."
    )
    slices: tuple[str, ...] = Field(
        (), description="Columns of which each common value is explained on its own as well, such as `origin`."
    )

    route: bool = Field(
        False,
        description="Whether model servers explain single answers, at `POST /explain`. 64 of the rows that the model "
        "learned from then travel with it, to hold an answer against.",
    )
    route_budget_ms: Annotated[float, Field(ge=10, le=10_000)] = Field(
        200.0,
        description="Milliseconds that the explanation of a row may take: a slower model is held against fewer rows.",
    )

    def unknown(self, columns: Iterable[str]) -> list[str]:
        """Return the named slices that are none of a model's columns."""
        return sorted(set(self.slices) - set(columns))
