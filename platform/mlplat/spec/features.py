"""Features that change: which events the last hours are made of, and which values are looked up for whoever asks."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from mlplat.spec.base import Spec


class LiveSpec(Spec):
    """The stream of events that features of the last hours are made of."""

    stream: str = Field(
        ".mlplat/stream",
        min_length=1,
        description="Folder of the stream on this computer, from the project's folder, or `kinesis:NAME`.",
    )
    horizon_hours: Annotated[float, Field(gt=0, le=24 * 31)] = Field(
        24.0,
        description="Hours for which events are remembered. One that arrives longer than that after it was known is "
        "counted and not used; one that is delivered again within them is used once.",
    )
    quiet_minutes: Annotated[float, Field(gt=0)] = Field(
        480.0,
        description="Minutes without any event that are no fault, as at night. After a longer silence, what is pushed "
        "is as old as the newest event, and so counts as unknown once that is older than `ttl_minutes`.",
    )


class OnlineSpec(Spec):
    """How a group's values are looked up when a prediction is asked for."""

    keys: Annotated[tuple[Annotated[str, StringConstraints(min_length=1)], ...], Field(min_length=1)] = Field(
        description="Columns of a request that say whose values are meant, such as `[origin]`: features of another "
        "group that come with the request, or further columns that only say this.",
    )
    ttl_minutes: Annotated[float, Field(gt=0)] = Field(
        description="Minutes for which a value counts after it was observed, by the platform's clock; an older one "
        "counts as unknown, as one that was never pushed does.",
    )
