"""What platforms with machines of their own have in common: pools of nodes, teams that share them, the cost."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    StringConstraints,
    model_validator,
)

from mlplat.spec.aws.cluster import InstanceType
from mlplat.spec.base import Spec

LabelKey = Annotated[str, StringConstraints(pattern=r"^([a-z0-9.-]+/)?[A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?$")]
LabelValue = Annotated[str, StringConstraints(pattern=r"^([A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?)?$")]
PriceName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+\.[a-z0-9_.-]+$")]
RESERVED_DOMAINS = ("kubernetes.io", "k8s.io", "karpenter.sh", "k8s.aws", "amazonaws.com", "nvidia.com", "mlplat")
"""Domains of labels that are set by what makes nodes, not by people."""
Email = Annotated[str, StringConstraints(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$")]

NOTIFICATIONS = 5
"""Alerts that one of AWS's budgets can have."""


def _is_reserved(label: str) -> bool:
    domain, slash, _ = label.partition("/")
    return bool(slash) and any(domain == each or domain.endswith(f".{each}") for each in RESERVED_DOMAINS)


class PoolSpec(Spec):
    """Machines of one kind that workloads may ask for; there are none until one asks."""

    workload: Literal["general", "training", "serving"] = Field(
        "general", description="`training` nodes leave when empty, `serving` nodes are packed while they work."
    )
    instance_types: list[InstanceType] = Field(
        [],
        description="Types that will do; the cheapest to be had is taken. For `spot`, of two families at least.",
    )
    node_selector: dict[LabelKey, LabelValue] = Field(
        {}, description="On a cluster that is there: labels by which its nodes are known."
    )
    gpu_count: NonNegativeInt = Field(0, description="On a cluster that is there: GPUs of each node.")
    capacity: list[Literal["reserved", "spot", "on-demand"]] = Field(
        ["on-demand"], min_length=1, description="Ways of paying that are tried."
    )
    min_size: NonNegativeInt = Field(0, description="Nodes that are always there, warm.")
    max_size: PositiveInt = Field(description="Most nodes: times the largest type, this is what the pool can cost.")
    disk_gib: Annotated[int, Field(ge=20, le=16_384)] = Field(100, description="Disk of each node, in GiB.")
    shared_by: Annotated[int, Field(ge=1, le=48)] = Field(
        1, description="Workloads that share each GPU; they then ask for `nvidia.com/gpu.shared`."
    )
    efa: bool = Field(False, description="Whether nodes have the fast network of several-node training.")
    reservations: list[Annotated[str, StringConstraints(pattern=r"^cr-[0-9a-f]{8,17}$")]] = Field(
        [], description="Capacity reservations that `reserved` may use."
    )
    expire_hours: Annotated[int, Field(ge=24, le=8760)] = Field(720, description="Age at which a node is replaced.")
    labels: dict[LabelKey, LabelValue] = Field({}, description="Labels of its nodes.")
    teams: list[str] = Field([], description="Teams that may use it; empty, all may.")

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.min_size > self.max_size:
            raise ValueError(f"`min_size` {self.min_size} is more than `max_size` {self.max_size}")
        if bool(self.reservations) != ("reserved" in self.capacity):
            raise ValueError("`capacity` with `reserved` and `reservations` go together")
        if reserved := [each for each in self.labels if _is_reserved(each)]:
            raise ValueError(f"`labels` has `{reserved[0]}`, which the platform or Kubernetes sets itself")
        if "spot" in self.capacity and len({each.partition(".")[0] for each in self.instance_types}) < 2:  # noqa: PLR2004
            raise ValueError("`spot` asks for `instance_types` of two families: one alone is often sold out")
        return self


class TeamSpec(Spec):
    """People who share a namespace, a part of the machines and a bill."""

    members: list[str] = Field([], description="Groups of the identity provider, as the cluster knows them.")
    admins: list[str] = Field([], description="Groups that may also change the team's access.")
    cpu: PositiveInt = Field(32, description="Processors that its workloads may ask for together.")
    memory_gib: PositiveInt = Field(128, description="Memory that they may ask for together, in GiB.")
    gpu: NonNegativeInt = Field(0, description="GPUs that they may ask for together.")
    projects: list[str] = Field([], description="Projects that it owns.")
    monthly_usd: PositiveFloat | None = Field(None, description="Budget by its tag, in USD a month; unset, none.")


class CostSpec(Spec):
    """What the platform may cost, and who is told."""

    max_monthly_usd: PositiveFloat | None = Field(
        None, description="Highest cost a month at full use, in USD: `up` refuses more; unset, any."
    )
    budget_usd: PositiveFloat | None = Field(None, description="Budget a month, in USD; unset, none is made.")
    alert_percent: list[Annotated[int, Field(ge=1, le=1000)]] = Field(
        [50, 80, 100], description="Parts of the budget, in percent, at whose use mail is sent."
    )
    forecast_percent: list[Annotated[int, Field(ge=1, le=1000)]] = Field(
        [100], description="Likewise, at what AWS forecasts for the month."
    )
    anomaly_usd: PositiveFloat | None = Field(
        50.0, description="Unusual cost a day, in USD, of which mail is sent; unset, nobody is told."
    )
    emails: list[Email] = Field([], max_length=10, description="Who is told; at most ten.")
    activate_tags: bool = Field(
        False,
        description="Whether the tags that budgets count by are switched on. AWS knows them a day after the first `up`,"
        " and only the account that pays may do it.",
    )
    prices: dict[PriceName, NonNegativeFloat] = Field(
        {},
        description="Prices of a unit in USD that differ from the list, by the names of `mlplat cost --json`, such as"
        " `ec2.p5.48xlarge`.",
    )
    volumes: dict[PriceName, NonNegativeFloat] = Field(
        {},
        description="Units a month of what is paid by volume, likewise, such as `s3.standard`; what is not written here"
        " is shown with its price and not counted.",
    )

    @model_validator(mode="after")
    def _is_heard(self) -> Self:
        if self.budget_usd and not self.emails:
            raise ValueError("`emails` is required with a budget: otherwise nobody hears of it")
        if len(self.alert_percent) + len(self.forecast_percent) > NOTIFICATIONS:
            raise ValueError(f"`alert_percent` and `forecast_percent` are more than the {NOTIFICATIONS} that AWS takes")
        return self
