"""How a new version of a model takes over an endpoint's traffic."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import Field, PositiveInt, field_validator, model_validator

from mlplat.spec.base import Spec

ALL = 100
"""Per cent of the traffic."""

Percent = Annotated[int, Field(ge=1, le=ALL)]


class RolloutPolicy(Spec):
    """Steps of a rollout, and what the new version must show in each of them.

    The operating curve of the defaults, and how it is measured, stand in `mlplat.controller.decision`.
    """

    strategy: Literal["direct", "canary"] = Field(
        "canary", description="`canary` judges the new version on growing shares of traffic; `direct` switches at once."
    )
    steps: tuple[Percent, ...] = Field(
        (10, 50, ALL), description="Shares of the traffic, in per cent, that the new version gets one after the other."
    )
    min_requests: PositiveInt = Field(
        100, description="Fewest requests that the new version must have answered in a step before the next one."
    )
    min_seconds: float = Field(5.0, ge=0, description="Shortest time a step takes, in seconds.")
    max_error_increase: float = Field(
        0.01, gt=0, lt=1, description="Most that the share of failing requests may grow by: 0.01 is one in a hundred."
    )
    latency_quantile: float = Field(
        0.95, ge=0.5, le=0.999, description="Quantile of the response time that is judged: 0.95 is the 95th percentile."
    )
    max_latency_increase: float = Field(
        0.5, ge=0, description="Most that this quantile may grow by, as a share of the champion's: 0.5 is half again."
    )
    latency_slack_ms: float = Field(
        20.0,
        ge=0,
        description="Milliseconds that are allowed on top, so that differences nobody notices decide nothing.",
    )
    step_timeout_seconds: float = Field(
        600.0, gt=0, description="Seconds after which a step that can not be decided ends the rollout as inconclusive."
    )
    bake_seconds: float = Field(
        300.0,
        ge=0,
        description="Seconds that the old version is kept running after a promotion, ready to be returned to.",
    )
    confidence: float = Field(
        0.95, gt=0.5, lt=1, description="Probability with which no judgement of a whole rollout is a mistake."
    )

    @field_validator("steps")
    @classmethod
    def _steps_grow(cls, steps: tuple[int, ...]) -> tuple[int, ...]:
        if not steps or steps[-1] != ALL or any(after <= before for before, after in pairwise(steps)):
            raise ValueError("must grow from step to step and end in 100")
        return steps

    @model_validator(mode="after")
    def _time_is_enough(self) -> Self:
        if self.step_timeout_seconds <= self.min_seconds:
            raise ValueError("step_timeout_seconds must be longer than min_seconds")
        return self
