"""What an AWS platform keeps data in: buckets, a database, an online store, a stream, and their keys and backups."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveInt, StringConstraints, model_validator

from mlplat.spec.base import Spec

Days = Annotated[int, Field(ge=1, le=3653)]


class KeysSpec(Spec):
    """KMS keys of the platform's own, turned every year."""

    deletion_days: Annotated[int, Field(ge=7, le=30)] = Field(
        30, description="Days for which a key that was deleted can still be brought back."
    )
    rotation_days: Annotated[int, Field(ge=90, le=2560)] = Field(365, description="Days after which a key is turned.")


class StorageSpec(Spec):
    """S3 buckets: data, artifacts, features, pipelines, logs."""

    infrequent_days: Annotated[int, Field(ge=30, le=3653)] = Field(
        90, description="Age in days from which data and artifacts are kept where reading costs more and keeping less."
    )
    previous_days: Days = Field(30, description="Days for which an overwritten or deleted object can be brought back.")
    pipeline_days: Days = Field(90, description="Days after which what pipelines leave between steps is deleted.")
    log_days: Days = Field(400, description="Days after which access logs and audit records are deleted.")


class DatabaseSpec(Spec):
    """Amazon RDS for PostgreSQL."""

    version: Annotated[str, StringConstraints(pattern=r"^\d\d(\.\d+)?$")] = Field(
        "17", description="PostgreSQL's version, in quotes."
    )
    instance_class: Annotated[str, StringConstraints(pattern=r"^db\.[a-z0-9-]+\.[a-z0-9]+$")] = Field(
        "db.t4g.medium", description="Size of the machine."
    )
    storage_gib: Annotated[int, Field(ge=20, le=65_536)] = Field(50, description="Disk at first, in GiB.")
    max_storage_gib: Annotated[int, Field(ge=20, le=65_536)] = Field(500, description="Size it may grow to, in GiB.")
    multi_az: bool = Field(True, description="Whether a second one stands by in another zone.")
    backup_days: Annotated[int, Field(ge=1, le=35)] = Field(
        14, description="Days to any second of which it can return."
    )
    deletion_protection: bool = Field(True, description="Whether AWS refuses to delete it.")
    snapshot: Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9:-]{0,254}$")] | None = Field(
        None, description="Snapshot that a new one begins with; one that is there already does not look at it."
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.storage_gib >= self.max_storage_gib:
            raise ValueError(f"`max_storage_gib` {self.max_storage_gib} is not more than `storage_gib`")
        return self


class OnlineStoreSpec(Spec):
    """Where features are looked up while somebody waits."""

    kind: Literal["dynamodb", "valkey"] = Field(
        "dynamodb",
        description="`dynamodb` is paid by request; `valkey` answers faster, is paid by the hour, and has no feature"
        " server: model servers look nothing up.",
    )
    point_in_time_recovery: bool = Field(True, description="Whether a table can return to any second of 35 days.")
    node_type: Annotated[str, StringConstraints(pattern=r"^cache\.[a-z0-9-]+\.[a-z0-9]+$")] = Field(
        "cache.t4g.small", description="Size of a `valkey` machine."
    )
    replicas: Annotated[int, Field(ge=0, le=5)] = Field(
        1, description="`valkey` machines beside the first, in other zones."
    )


class StreamSpec(Spec):
    """Kinesis, and Firehose, which writes what arrived into the data bucket."""

    enabled: bool = Field(False, description="Whether there is one.")
    shards: NonNegativeInt = Field(0, description="How many at all times; 0 lets AWS scale them and pays by volume.")
    retention_hours: Annotated[int, Field(ge=24, le=8760)] = Field(
        48, description="Hours for which an event can be read again."
    )
    buffer_seconds: Annotated[int, Field(ge=60, le=900)] = Field(
        300, description="Longest time before events are written to the bucket, in seconds."
    )


class BackupSpec(Spec):
    """AWS Backup: copies that an account's administrator cannot delete early either."""

    enabled: bool = Field(True, description="Whether there is a vault.")
    keep_days: Days = Field(35, description="Days for which a daily copy is kept.")
    keep_months: PositiveInt = Field(12, description="Months for which a monthly copy is kept.")
    lock_days: NonNegativeInt = Field(
        7, description="Days for which no copy can be deleted by anybody; 0 sets no lock."
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.lock_days > self.keep_days:
            raise ValueError("`lock_days` is longer than `keep_days`")
        return self
