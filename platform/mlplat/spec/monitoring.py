"""How what an endpoint is asked, and how right it is, is watched."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, NonNegativeFloat, PositiveInt, model_validator

from mlplat.spec.base import Spec

Share = Annotated[float, Field(gt=0, lt=1)]


class MonitoringSpec(Spec):
    """When a change is one: the windows that are looked at, the least that counts, and the alarm's rule."""

    window_days: Annotated[int, Field(ge=1, le=31)] = Field(
        7, description="Days of a window, counted from Mondays; thresholds are calibrated on windows as long."
    )
    windows: Annotated[int, Field(ge=1, le=52)] = Field(4, description="Latest windows that an alarm is judged by.")
    violations: PositiveInt = Field(
        3, description="Of those, how many a column must violate, the latest one among them, for an alarm."
    )
    min_rows: PositiveInt = Field(200, description="Fewest rows of a window that is judged.")
    min_psi: Annotated[float, Field(gt=0)] = Field(
        0.1, description="Least population stability index that counts, whatever the calibrated threshold."
    )
    min_ks: Share = Field(
        0.1, description="Least Kolmogorov-Smirnov statistic that counts, whatever the calibrated threshold."
    )
    min_share: Share = Field(
        0.02, description="Least rise of a column's share of nulls, or of categories never seen, that counts."
    )
    volume_drop: Share = Field(
        0.5, description="Share of the rows that the windows before held, below which the latest holds too few."
    )
    freshness_hours: Annotated[float, Field(gt=0)] = Field(
        48.0, description="Hours without any prediction after which that is an alarm."
    )
    key: tuple[str, ...] = Field(
        (), description="Features by which a logged prediction finds its label, with its time; none measures no log."
    )
    key_hours: NonNegativeFloat = Field(
        6.0, description="Most hours between when a logged prediction was made and when its row says it is asked for."
    )
    performance_days: Annotated[int, Field(ge=28, le=366)] = Field(
        28, description="Days of predictions with ripe labels that performance is judged on, the latest ones."
    )
    min_coverage: Share = Field(0.8, description="Least share of ripe predictions with a label from which one judges.")
    max_calibration_gap: Share = Field(
        0.05, description="Binary: gap of mean probability and share of positives from which it is an alarm."
    )
    max_bias: Share = Field(
        0.2, description="Regression: mean error from which it is an alarm, in standard deviations of the target."
    )
    shadow: bool = Field(
        False, description="Whether to fit a model on recent rows as well, and say what not having it costs."
    )
    shadow_rows: Annotated[int, Field(ge=1000)] = Field(
        50_000, description="Most rows of that, evenly over time: it bounds what a monitor costs."
    )
    max_regret: Annotated[float, Field(gt=0)] = Field(
        0.01, description="Loss above the shadow's from which it is an alarm: log loss, or a share of squared error."
    )

    evidently: bool = Field(
        False,
        description="Whether a monitor on this computer also leaves a page of Evidently's for each of the latest "
        "windows: `mlplat open drift --evidently`. Alarms do not depend on them.",
    )

    @model_validator(mode="after")
    def _an_alarm_is_possible(self) -> Self:
        if self.violations > self.windows:
            raise ValueError(f"violations: {self.violations} of {self.windows} windows can never be")
        return self
