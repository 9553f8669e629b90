"""When an endpoint's model is trained anew without anybody asking for it."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeFloat, model_validator

from mlplat.labels import is_label
from mlplat.spec.base import Spec
from mlplat.spec.pipelines import TimesSpec

Trigger = Literal[
    "drift", "performance", "missing", "categories", "freshness", "volume", "age", "schedule", "data"
]  # fmt: skip
"""Kinds of alarms that a monitor raises; `age` and `schedule`, matters of the clock alone; `data`: new labels."""


class RetrainingPolicy(Spec):
    """What has the platform train a model anew by itself. It is the project's published flow that runs."""

    on: tuple[Trigger, ...] = Field(
        (),
        description="Alarms of the endpoint's monitor that have the model trained anew, and `age`, `schedule` and"
        " `data`; none by default.",
    )
    flow: Annotated[str, Field(min_length=1, max_length=63)] = Field("train", description="Flow that trains.")
    max_age_days: Annotated[float, Field(gt=0)] | None = Field(
        None, description="For `age`: days since the newest label that the serving version has learned from."
    )
    schedule: TimesSpec | None = Field(None, description="For `schedule`: times at which it is trained anew.")
    min_new_days: Annotated[float, Field(gt=0)] = Field(
        7.0,
        description="For `data`: days beyond what the serving version has learned from whose labels are all known by"
        " now, as its monitor finds them.",
    )
    cooldown_days: NonNegativeFloat = Field(
        7.0, description="Days after a retraining, whoever asked for it, in which the platform begins none by itself."
    )
    monthly: Annotated[int, Field(ge=1, le=31)] = Field(
        4,
        description="Most retrainings within 30 days, whoever asked, beyond which the platform begins none by itself.",
    )
    deploy: bool = Field(
        True, description="Whether a version that came of it is deployed at once, by the endpoint's own rollout policy."
    )

    @model_validator(mode="after")
    def _triggers_are_told(self) -> Self:
        if ("age" in self.on) != (self.max_age_days is not None):
            raise ValueError("`age` in `on` and `max_age_days` belong together")
        if ("schedule" in self.on) != (self.schedule is not None):
            raise ValueError("`schedule` in `on` and the key `schedule` belong together")
        if not is_label(self.flow):
            raise ValueError(f"`{self.flow}` cannot be the name of a flow")
        return self
