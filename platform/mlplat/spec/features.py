"""Features of the last hours: which events they are made of, and how long those count."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

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
