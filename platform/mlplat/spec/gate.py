"""What a project says of the gate: limits, slices, groups, and budgets."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, PositiveFloat, PositiveInt

from mlplat.spec.base import Spec

Gap = Annotated[float, Field(gt=0, lt=1)]


class GroupLimits(Spec):
    """Most that a group named in `groups` may differ from all other rows; unset, a difference is reported only."""

    selection_rate: Gap | None = Field(None, description="In the share of rows that are called positive.")
    true_positive_rate: Gap | None = Field(None, description="In the share of positives that are called positive.")
    false_positive_rate: Gap | None = Field(None, description="In the share of negatives that are called positive.")
    calibration_gap: Gap | None = Field(None, description="In how far the mean probability is from what came true.")


class BudgetSpec(Spec):
    """What a model may cost as it is served; unset, it is measured and reported only."""

    p95_ms: PositiveFloat | None = Field(
        None, description="Milliseconds in which 95 of 100 single rows are answered, in the process that judges."
    )
    megabytes: PositiveFloat | None = Field(None, description="Size of the bundle, in millions of bytes.")


class GateSpec(Spec):
    """What a model must show before it may be registered."""

    margin: Annotated[float, Field(gt=0, lt=0.5)] = Field(
        0.01,
        description="Most that a challenger may lose to the champion: in area under the ROC curve, or as a share of "
        "the champion's root mean squared error.",
    )
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = Field(
        0.95,
        description="Confidence of every interval, at the first look at a hold-out; each further look needs more of it "
        "to pass.",
    )
    resamples: Annotated[int, Field(ge=100, le=20_000)] = Field(
        500, description="Fewest bootstrap samples an interval is made of; a rule takes as many as its ends need."
    )
    min_auc: Annotated[float, Field(ge=0.5, lt=1)] = Field(
        0.55, description="Binary: least area under the ROC curve, whatever it is compared with."
    )
    climatology: str | None = Field(
        None,
        description="Column by which the training rows' rate (or mean) is told apart, such as `carrier`, for the "
        "forecast that every model has to beat; unset, it is one rate for all.",
    )
    min_skill: Annotated[float, Field(ge=-1, lt=1)] = Field(
        0.0, description="Least share of that forecast's log loss (or root mean squared error) that is gone."
    )
    max_calibration_gap: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.15, description="Binary: most that the mean probability may differ from the share of positives."
    )
    min_r2: Annotated[float, Field(ge=-1, lt=1)] = Field(
        0.05, description="Regression: least share of the variance explained, whatever it is compared with."
    )
    min_coverage: Gap | None = Field(
        None,
        description="Binary: least share of rows that a model which abstains (`cost.review`) answers itself; unset, it "
        "is measured and reported only.",
    )
    min_rows: PositiveInt = Field(200, description="Fewest rows of a hold-out that may judge.")
    slices: tuple[str, ...] = Field(
        (),
        description="Columns whose common values are compared with the champion each on its own; a model is refused "
        "where one is shown to have lost more than `margin`.",
    )
    groups: tuple[str, ...] = Field(
        (), description="Columns that name groups of people or things, for the table of fairness; features or not."
    )
    group_limits: GroupLimits = Field(GroupLimits(), description="Binary: how far groups may be apart.")
    min_slice_rows: PositiveInt = Field(
        200, description="Fewest rows of a slice or a group of which something is said, on ten days at least."
    )
    budget: BudgetSpec = Field(BudgetSpec(), description="What an answer and the bundle may cost.")

    @property
    def named(self) -> tuple[str, ...]:
        """Return every column that the gate looks at, each once."""
        climatology = (self.climatology,) if self.climatology else ()
        return tuple(dict.fromkeys((*self.slices, *self.groups, *climatology)))
