"""The Kubernetes cluster of an AWS platform: its control plane, and the nodes that its own services stand on."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, PositiveInt, StringConstraints, model_validator

from mlplat.spec.aws.network import Cidr
from mlplat.spec.base import Spec

InstanceType = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]+\.[a-z0-9-]+$")]
RoleArn = Annotated[str, StringConstraints(pattern=r"^arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+$")]
LogType = Literal["api", "audit", "authenticator", "controllerManager", "scheduler"]
TimeOfDay = Annotated[str, StringConstraints(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]


class SystemNodesSpec(Spec):
    """Nodes for the platform's own services; Karpenter makes those of pools."""

    instance_types: list[InstanceType] = Field(
        ["m7i.large"], min_length=1, description="Types, all of one processor architecture; the first is preferred."
    )
    size: Annotated[int, Field(ge=2, le=20)] = Field(
        2, description="How many at first; later the number in AWS counts, which nights and people change."
    )
    max_size: Annotated[int, Field(ge=2, le=50)] = Field(4, description="Most there may be.")
    disk_gib: Annotated[int, Field(ge=20, le=16_384)] = Field(50, description="Disk of each, in GiB.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.size > self.max_size:
            raise ValueError(f"`size` {self.size} is more than `max_size` {self.max_size}")
        return self


class NightsSpec(Spec):
    """When nobody works: pools and system nodes go to zero, the database stops; in the morning they come back."""

    down: TimeOfDay = Field("20:00", description="Time in the evening, `HH:MM`.")
    up: TimeOfDay = Field("07:00", description="Time in the morning, `HH:MM`.")
    time_zone: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_]+(/[A-Za-z_+-]+)*$")] = Field(
        "UTC", description="Whose times these are, such as `Europe/Berlin`."
    )
    weekends: bool = Field(True, description="Whether it stays down from Friday evening to Monday morning.")


class ClusterSpec(Spec):
    """Amazon EKS."""

    version: Annotated[str, StringConstraints(pattern=r"^1\.\d\d$")] = Field(
        "1.35", description="Kubernetes' version, in quotes."
    )
    public_access_cidrs: list[Cidr] = Field(
        [],
        description="Addresses from which its API answers over the internet; empty, only inside the network.",
    )
    admins: list[RoleArn] = Field(
        [], description="Roles that may do everything in the cluster; whoever runs `up` must have one of them."
    )
    log_types: list[LogType] = Field(
        ["api", "audit", "authenticator", "controllerManager", "scheduler"], description="What its control plane logs."
    )
    log_days: PositiveInt = Field(90, description="Days for which those logs are kept.")
    deletion_protection: bool = Field(True, description="Whether AWS refuses to delete it.")
    system_nodes: SystemNodesSpec = Field(SystemNodesSpec(), description="Nodes for the platform's own services.")
    nights: NightsSpec | None = Field(None, description="When it sleeps; unset, it never does.")
