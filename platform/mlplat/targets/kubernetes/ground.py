"""What the layer stands on: a cluster, databases, an object store, whoever made them.

The target `kubernetes` fills it from its spec, the target `aws` from what it has made in the account. Nothing above it
asks which of the two it was, but for `cloud`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pulumi
    import pulumi_kubernetes

BUCKETS = ("data", "artifacts", "features", "pipelines")


@dataclass(frozen=True)
class Objects:
    """An S3 object store."""

    buckets: Mapping[str, Any]
    """Bucket by purpose: `data`, `artifacts`, `features`, `pipelines`."""
    region: str
    endpoint: str | None = None
    """Its address; None for AWS's own of the region."""
    secret: str | None = None
    """Secret in the namespace `mlplat` with `access_key` and `secret_key`; None where pods have identities."""


@dataclass(frozen=True)
class Cloud:
    """What only a cluster in an account has."""

    region: str
    cluster: Any
    """Name of the cluster."""
    alerts: Any
    """ARN of the topic by which people are told."""
    tags: Mapping[str, str]
    """Tags of what the cluster makes in the account."""
    applications: Mapping[str, Any] = field(default_factory=dict)
    """Name, in the account's vault, of the secret of each application's database."""
    certificate: Any = None
    """ARN of the certificate of the platform's name; None where it has no name."""
    hostname: str | None = None
    """The platform's name, likewise."""


@dataclass(frozen=True)
class Ground:
    """Everything below the layer."""

    provider: pulumi_kubernetes.Provider
    production: bool
    objects: Objects
    databases: Mapping[str, str]
    """Secret in the namespace `mlplat`, whose key `url` is an application's database, by application."""
    storage_class: str | None = None
    """Class of volumes; None for the cluster's default."""
    placement: Mapping[str, Any] = field(default_factory=dict)
    """`nodeSelector` and `tolerations` of the platform's own pods."""
    ready: Sequence[pulumi.Resource] = ()
    """What must be there before the first object."""
    cloud: Cloud | None = None
