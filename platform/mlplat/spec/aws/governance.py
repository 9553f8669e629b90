"""Who may do what on an AWS platform, who did it, and by which names it is known."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, PositiveInt, StringConstraints, model_validator

from mlplat.spec.base import Spec

PolicyArn = Annotated[str, StringConstraints(pattern=r"^arn:aws[a-z-]*:iam::(\d{12}|aws):policy/[\w+=,.@/-]+$")]
DomainName = Annotated[str, StringConstraints(pattern=r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}$")]
ZoneId = Annotated[str, StringConstraints(pattern=r"^Z[A-Z0-9]{6,31}$")]
Repository = Annotated[
    str, StringConstraints(pattern=r"^https://(github\.com|gitlab\.com|bitbucket\.org)/[\w.-]+/[\w./-]+$")
]
Upstream = Literal["public.ecr.aws", "registry.k8s.io", "quay.io", "ghcr.io", "docker.io"]
"""Registries of which ECR makes copies, as images name them; NVIDIA's is none of them."""
CLOSED: tuple[Upstream, ...] = ("ghcr.io", "docker.io")
"""Registries that ECR copies only for somebody whom they know."""
CacheSecret = Annotated[
    str, StringConstraints(pattern=r"^arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:\d{12}:secret:ecr-pullthroughcache/\S+$")
]


class ImagesSpec(Spec):
    """Amazon ECR: images of the platform and its projects, and copies of others' images."""

    projects: list[Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]] = Field(
        [], description="Projects that have a repository of their own."
    )
    keep: PositiveInt = Field(50, description="Newest images of each repository that are kept.")
    untagged_days: PositiveInt = Field(14, description="Days after which an image without a tag goes.")
    pull_through: list[Upstream] = Field(
        ["public.ecr.aws", "registry.k8s.io", "quay.io"],
        description="Registries whose images are copied here when first asked for.",
    )
    credentials: dict[Upstream, CacheSecret] = Field(
        {},
        description="Secrets with `username` and `accessToken` for `ghcr.io` and `docker.io`, by ARN; their names begin"
        " with `ecr-pullthroughcache/`, and AWS's own key encrypts them.",
    )

    @model_validator(mode="after")
    def _is_let_in(self) -> Self:
        for each in CLOSED:
            if each in self.pull_through and each not in self.credentials:
                raise ValueError(f"`pull_through` of `{each}` asks for its secret in `credentials`")
        if unknown := sorted(set(self.credentials) - set(self.pull_through)):
            raise ValueError(f"`credentials` names `{unknown[0]}`, which is not in `pull_through`")
        if len(set(self.pull_through)) != len(self.pull_through):
            raise ValueError("`pull_through` names one twice")
        if len(set(self.projects)) != len(self.projects):
            raise ValueError("`projects` names one twice")
        return self


class IdentitiesSpec(Spec):
    """Roles: one for each workload and team, none with more than it needs."""

    boundary: PolicyArn | None = Field(None, description="Permissions boundary of every role; unset, they have none.")


class SecretsSpec(Spec):
    """Secrets Manager: the platform makes names there, never values."""

    recovery_days: Annotated[int, Field(ge=0, le=30)] = Field(
        30, description="Days for which a secret that was deleted can be brought back; 0 deletes it at once."
    )


class AuditSpec(Spec):
    """CloudTrail, and who read what in the buckets."""

    trail: Literal["make", "adopt"] = Field(
        "make", description="`adopt` where the account has a trail for all regions already."
    )
    data_events: bool = Field(
        False, description="Whether every read and write in the buckets is recorded; it is paid by event."
    )
    guardduty: bool = Field(False, description="Whether GuardDuty watches the account and the cluster.")
    log_days: Annotated[int, Field(ge=1, le=3653)] = Field(
        365, description="Days for which the trail is kept where it can be searched."
    )


class DomainSpec(Spec):
    """The names under which the platform answers."""

    name: DomainName = Field(description="Name of the zone, such as `ml.example.com`.")
    zone_id: ZoneId | None = Field(None, description="A zone of Route 53 that is there already; unset, one is made.")
    parent_zone_id: ZoneId | None = Field(
        None,
        description="The account's zone above the one that is made, which is told of it; unset, tell whoever keeps it,"
        " and the certificate is not waited for.",
    )
    delegated: bool = Field(
        False,
        description="Whether somebody has told the zone above: the certificate is then waited for, and endpoints answer"
        " under the name.",
    )

    @property
    def answers(self) -> bool:
        """Tell whether names in the zone are found: without that, no certificate is ever issued."""
        return bool(self.zone_id or self.parent_zone_id or self.delegated)

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if self.zone_id and self.parent_zone_id:
            raise ValueError("`zone_id` and `parent_zone_id` exclude each other: a zone that is there is known above")
        return self


class RunnerSpec(Spec):
    """A CodeBuild project inside the network: it runs `mlplat up` where the cluster's API is private."""

    enabled: bool = Field(False, description="Whether there is one.")
    repository: Repository | None = Field(
        None, description="Git repository that it runs in, on GitHub, GitLab or Bitbucket."
    )
    branch: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][\w./-]{0,99}$")] = Field(
        "main", description="Branch, tag or commit that it takes."
    )
    stack: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")] | None = Field(
        None, description="Stack that it brings up; unset, this one."
    )
    minutes: Annotated[int, Field(ge=5, le=2160)] = Field(120, description="Longest time of one run.")

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.enabled and self.repository is None:
            raise ValueError("`repository` is required where the runner is `enabled`")
        return self
