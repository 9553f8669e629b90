"""What a stack file says of an AWS account: `aws` of `mlplat:platform`.

Defaults are those of production; a cheaper or more open setting is written down, as in `stacks/Pulumi.dev.yaml`.
"""

from __future__ import annotations

from ipaddress import ip_network
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from mlplat.spec.aws.cluster import ClusterSpec
from mlplat.spec.aws.data import BackupSpec, DatabaseSpec, KeysSpec, OnlineStoreSpec, StorageSpec, StreamSpec
from mlplat.spec.aws.governance import AuditSpec, DomainSpec, IdentitiesSpec, ImagesSpec, RunnerSpec, SecretsSpec
from mlplat.spec.aws.network import NetworkSpec
from mlplat.spec.base import Spec

Account = Annotated[str, StringConstraints(pattern=r"^\d{12}$")]
Region = Annotated[str, StringConstraints(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")]

__all__ = ["AwsSpec"]


class AwsSpec(Spec):
    """An AWS account and what the platform makes in it."""

    account: Account = Field(description="Account, 12 digits in quotes: credentials of another one are refused.")
    region: Region = Field(description="Region, such as `eu-west-1`.")
    environment: Literal["dev", "staging", "prod"] = Field(
        "prod", description="What it is for: outside `dev`, open and unprotected settings are refused."
    )
    protected: bool = Field(
        True, description="Whether deleting what holds data is refused; outside `dev` it cannot be turned off."
    )
    network: NetworkSpec = Field(NetworkSpec(), description="The network, or one that is there already.")
    keys: KeysSpec = Field(KeysSpec(), description="Encryption keys.")
    storage: StorageSpec = Field(StorageSpec(), description="Buckets.")
    images: ImagesSpec = Field(ImagesSpec(), description="Container images.")
    cluster: ClusterSpec = Field(ClusterSpec(), description="The Kubernetes cluster.")
    database: DatabaseSpec = Field(DatabaseSpec(), description="PostgreSQL, for tracking, features and pipelines.")
    online_store: OnlineStoreSpec = Field(OnlineStoreSpec(), description="Where features are looked up on-line.")
    stream: StreamSpec = Field(StreamSpec(), description="Ingestion of events.")
    identities: IdentitiesSpec = Field(IdentitiesSpec(), description="Roles of workloads and teams.")
    secrets: SecretsSpec = Field(SecretsSpec(), description="Secrets Manager.")
    audit: AuditSpec = Field(AuditSpec(), description="Who did what in the account.")
    backup: BackupSpec = Field(BackupSpec(), description="AWS Backup, for the database and the buckets.")
    domain: DomainSpec | None = Field(None, description="Names and certificate; unset, the gateway has no name.")
    runner: RunnerSpec = Field(RunnerSpec(), description="A runner inside the network, for a private API endpoint.")

    @property
    def partition(self) -> str:
        """Return the partition that begins every ARN of the region."""
        for prefix, partition in (("cn-", "aws-cn"), ("us-gov-", "aws-us-gov")):
            if self.region.startswith(prefix):
                return partition
        return "aws"

    @property
    def dns_suffix(self) -> str:
        """Return what the names of the region's services end with."""
        return "amazonaws.com.cn" if self.partition == "aws-cn" else "amazonaws.com"

    @property
    def zones(self) -> tuple[str, ...]:
        """Return the availability zones by their full names, such as `eu-west-1a`."""
        return tuple(f"{self.region}{letter}" for letter in self.network.zones)

    @model_validator(mode="after")
    def _is_safe(self) -> Self:
        if self.environment == "dev":
            return self
        if not self.protected:
            raise ValueError("`protected: false` is for `environment: dev` only")
        if any(ip_network(each).prefixlen == 0 for each in self.cluster.public_access_cidrs):
            raise ValueError("`cluster.public_access_cidrs` opens the cluster's API to everybody: only `dev` may")
        for key, off in {
            "cluster.deletion_protection": self.cluster.deletion_protection,
            "database.deletion_protection": self.database.deletion_protection,
        }.items():
            if not off:
                raise ValueError(f"`{key}: false` is for `environment: dev` only")
        return self
