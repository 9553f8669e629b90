"""What a project says of its flows where they run unattended: when, on which machines, how often they are tried."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveFloat, field_validator, model_validator

from mlplat.labels import is_label
from mlplat.spec.base import Spec, TimeZone

_FIELD = r"(\*|[0-9A-Za-z]+(-[0-9A-Za-z]+)?)(/[0-9]+)?"
CRON = re.compile(rf"{_FIELD}(,{_FIELD})*( {_FIELD}(,{_FIELD})*){{4}}")
"""Five fields, without the words such as `@daily` that clusters read differently."""
CRON_LINES = 20
"""Most of them: each is looked at on every pass of a controller."""


class StepSpec(Spec):
    """What one step is given."""

    cpu: PositiveFloat = Field(1.0, description="Processors that are kept for it.")
    memory_gib: PositiveFloat = Field(2.0, description="Memory, in GiB: kept for it, and the most that it may use.")
    disk_gib: PositiveFloat = Field(10.0, description="Disk for what it writes down, in GiB.")
    gpu: NonNegativeInt = Field(0, description="GPUs.")
    pool: str | None = Field(None, description="Pool of the platform's stack that it runs on; unset, any without GPUs.")

    @model_validator(mode="after")
    def _gpus_are_somewhere(self) -> Self:
        if self.gpu and self.pool is None:
            raise ValueError("`pool` is required with `gpu`: it says which GPUs")
        if self.pool is not None and not is_label(self.pool):
            raise ValueError(f"`{self.pool}` cannot be the name of a pool")
        return self


class TimesSpec(Spec):
    """Times that come again."""

    cron: list[str] = Field(
        min_length=1, max_length=CRON_LINES, description="Times, as five fields of cron: `30 4 * * mon`."
    )
    timezone: TimeZone = Field("UTC", description="Zone that they are meant in.")

    @field_validator("cron")
    @classmethod
    def _reads_as_cron(cls, lines: list[str]) -> list[str]:
        for line in lines:
            if not CRON.fullmatch(line):
                raise ValueError(f"`{line}` is no time of cron: five fields, as in `30 4 * * mon`")
        return lines


class ScheduleSpec(TimesSpec):
    """When it runs by itself."""

    overlapping: Literal["forbid", "replace", "allow"] = Field(
        "forbid",
        description="What becomes of a run whose time comes while the one before goes on; on one computer such a time"
        " always passes.",
    )


class PipelineSpec(Spec):
    """A flow that runs unattended. What its steps are given is for clusters: one computer's share what there is."""

    schedule: ScheduleSpec | None = Field(None, description="When it runs by itself; unset, it never does.")
    default: StepSpec = Field(StepSpec(), description="What a step is given.")
    steps: dict[str, StepSpec] = Field({}, description="Likewise, for steps by name.")
    retries: Annotated[int, Field(ge=0, le=10)] = Field(
        2, description="How often a step is tried again when its machine is taken away; a step that fails is not."
    )
    timeout_hours: PositiveFloat = Field(24.0, description="Hours after which a run is ended.")
    keep_days: PositiveFloat = Field(7.0, description="Days for which a run that ended is listed by the cluster.")

    def step(self, name: str) -> StepSpec:
        """Return what a step is given."""
        return self.steps.get(name, self.default)
