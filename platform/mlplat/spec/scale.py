"""How many model servers answer for an endpoint, and what each is given."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from mlplat.spec.base import Spec
from mlplat.spec.platform import Label


class ScaleSpec(Spec):
    """Model servers of an endpoint on a cluster; on this computer there is one, which takes what it needs."""

    min_replicas: PositiveInt | None = Field(
        None, description="Servers that are always there; unset, two where the platform is for production, else one."
    )
    max_replicas: PositiveInt = Field(4, description="Most servers, however many requests come.")
    cpu: Annotated[float, Field(ge=0.05, le=128)] = Field(0.5, description="Processors that are kept for each server.")
    memory_mib: Annotated[int, Field(ge=128, le=1_048_576)] = Field(
        1024, description="Memory of each server in MiB: kept for it, and the most that it may take."
    )
    gpu: NonNegativeInt = Field(0, description="GPUs of each server.")
    pool: Label | None = Field(None, description="Pool of nodes that they run on; unset, wherever there is room.")

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.gpu and self.pool is None:
            # Nodes with GPUs are kept for whoever names them.
            raise ValueError("`pool` is required with `gpu`: it says which GPUs")
        if self.min_replicas is not None and self.min_replicas > self.max_replicas:
            raise ValueError(f"`min_replicas` {self.min_replicas} is more than `max_replicas` {self.max_replicas}")
        return self

    @property
    def is_default(self) -> bool:
        """Tell whether nobody has said anything."""
        return self == type(self)()
