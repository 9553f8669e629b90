"""What a platform on AWS uses, by component, when nobody works on it and at its most: figures of the spec alone.

What is paid by volume (gigabytes moved, requests) cannot be read off a spec: it is named, with its price, and counts
only what `cost.volumes` says of it. Spot machines are counted as on-demand ones, since they may have to be.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mlplat.spec.aws import AwsSpec
from mlplat.spec.aws.cluster import NightsSpec
from mlplat.spec.capacity import PoolSpec
from mlplat.spec.platform import PlatformSpec
from mlplat.targets.aws import machines
from mlplat.targets.aws.prices import HOURS

WEEK = 168
WEEKEND = 48
PLATFORM_SECRETS = 2
DATABASE_SECRETS = 4
"""Its administrator's, which RDS turns, and one for each application."""
KEYS = 4
GPU_THROUGHPUT = 475
"""MB/s by which the disk of a GPU node is faster than what its price holds, 125."""


@dataclass(frozen=True)
class Use:
    """How much of something, a month."""

    component: str
    what: str
    """For people, such as `3 × m7i.large`."""
    items: tuple[str, ...]
    """Names of its price. Where there are several, nobody knows beforehand which it will be: at its most it is the
    dearest."""
    idle: float | None = None
    """Units a month when nobody works; None for what is paid by volume."""
    full: float | None = None
    """Units a month at its most, all month."""
    idle_items: tuple[str, ...] = ()
    """Which of `items` it is when idle, the cheapest of these; empty for any."""
    note: str = ""

    @property
    def by_volume(self) -> bool:
        """Tell whether the spec does not say how much."""
        return self.full is None


def uses(spec: PlatformSpec) -> Iterator[Use]:
    """Yield everything that a stack makes and AWS asks money for."""
    if spec.aws is None:
        return
    if not spec.foundation.stack:
        yield from _foundation(spec.aws)
    if not spec.foundation.only:
        for name, pool in spec.pools.items():
            yield from _pool(name, pool, awake(spec.aws.cluster.nights))
        yield Use("gateway", "a load balancer, for each that is made on the cluster", ("elb.network",))


def awake(nights: NightsSpec | None) -> float:
    """Return the hours a month in which a platform is not asleep."""
    if nights is None:
        return HOURS
    night = (_hour(nights.up) - _hour(nights.down)) % 24
    # Friday's night lasts until Monday morning: two whole days longer.
    asleep = 5 * night + (WEEKEND if nights.weekends else 2 * night)
    return HOURS * (WEEK - min(asleep, WEEK)) / WEEK


def _hour(text: str) -> float:
    hours, minutes = text.split(":")
    return int(hours) + int(minutes) / 60


def _foundation(aws: AwsSpec) -> Iterator[Use]:
    yield from _network(aws)
    yield Use("keys", f"{KEYS} keys", ("kms.key",), KEYS, KEYS)
    yield Use("keys", "use of the keys", ("kms.requests",))
    yield Use("storage", "data in the buckets", ("s3.standard",))
    yield Use("images", "container images", ("ecr.storage",))
    yield Use("cluster", "control plane", ("eks.cluster",), HOURS, HOURS)
    yield Use("logs", "of control plane, network and trail, when written", ("logs.in",))
    yield Use("logs", "the same, while kept", ("logs.kept",))
    yield from _system_nodes(aws)
    yield from _database(aws)
    yield from _online_store(aws)
    yield from _stream(aws)
    yield from _governance(aws)


def _network(aws: AwsSpec) -> Iterator[Use]:
    if gateways := aws.network.gateways:
        hours = gateways * HOURS
        yield Use("network", f"{gateways} NAT", ("vpc.nat",), hours, hours)
        yield Use("network", f"{gateways} public addresses", ("vpc.public_ipv4",), hours, hours)
        yield Use("network", "traffic through NAT", ("vpc.nat_gb",))
    if endpoints := interfaces(aws):
        hours = endpoints * HOURS
        yield Use("network", f"{endpoints} endpoints", ("vpc.endpoint",), hours, hours)
        yield Use("network", "traffic through endpoints", ("vpc.endpoint_gb",))


def interfaces(aws: AwsSpec) -> int:
    """Return how many interface endpoints there are, each counted in every zone: so AWS asks money for them."""
    if not aws.network.isolated:
        return 0
    from mlplat.targets.aws import endpoints  # brings the engine's SDK, which the rest here does without

    return len(endpoints.services(aws)) * len(aws.network.zones)


def _system_nodes(aws: AwsSpec) -> Iterator[Use]:
    nodes, hours = aws.cluster.system_nodes, awake(aws.cluster.nights)
    types = tuple(f"ec2.{each}" for each in nodes.instance_types)
    what = f"{nodes.size} to {nodes.max_size} × {' or '.join(nodes.instance_types)}"
    # A managed group takes the first type while there are any of it.
    yield Use("system nodes", what, types, nodes.size * hours, nodes.max_size * HOURS, types[:1])
    disks = nodes.disk_gib * hours / HOURS * nodes.size, float(nodes.disk_gib * nodes.max_size)
    yield Use("system nodes", f"their disks of {nodes.disk_gib} GiB", ("ebs.gp3",), *disks)


def _database(aws: AwsSpec) -> Iterator[Use]:
    database, hours = aws.database, awake(aws.cluster.nights)
    # The one that stands by is paid like the first, and so is its disk.
    copies = 2 if database.multi_az else 1
    what = f"{copies} × {database.instance_class}"
    yield Use("database", what, (f"rds.{database.instance_class}",), copies * hours, copies * HOURS)
    disk = f"disk, {database.storage_gib} to {database.max_storage_gib} GiB"
    sizes = float(copies * database.storage_gib), float(copies * database.max_storage_gib)
    yield Use("database", disk, ("rds.gp3",), *sizes, note="its disk is paid while it sleeps, too")
    yield Use("database", "backups larger than the disk", ("rds.backup",))


def _online_store(aws: AwsSpec) -> Iterator[Use]:
    store = aws.online_store
    if store.kind == "valkey":
        nodes = store.replicas + 1
        hours = nodes * HOURS
        yield Use("online store", f"{nodes} × {store.node_type}", (f"valkey.{store.node_type}",), hours, hours)
        return
    yield Use("online store", "writes", ("dynamodb.writes",))
    yield Use("online store", "reads", ("dynamodb.reads",))
    yield Use("online store", "features kept", ("dynamodb.storage",))
    if store.point_in_time_recovery:
        yield Use("online store", "recovery to any second", ("dynamodb.recovery",))


def _stream(aws: AwsSpec) -> Iterator[Use]:
    if not aws.stream.enabled:
        return
    if shards := aws.stream.shards:
        yield Use("stream", f"{shards} shards", ("kinesis.shard",), shards * HOURS, shards * HOURS)
    else:
        yield Use("stream", "a stream", ("kinesis.stream",), HOURS, HOURS)
        yield Use("stream", "events in", ("kinesis.in",))
        yield Use("stream", "events out", ("kinesis.out",))
    yield Use("stream", "events into the bucket", ("firehose.in",))


def _governance(aws: AwsSpec) -> Iterator[Use]:
    names = PLATFORM_SECRETS + DATABASE_SECRETS
    yield Use("secrets", f"{names} secrets", ("secrets.secret",), names, names)
    if aws.audit.data_events:
        yield Use("audit", "reads and writes in the buckets", ("cloudtrail.data_events",))
    if aws.audit.guardduty:
        yield Use("audit", "GuardDuty: events of the account", ("guardduty.events",))
        yield Use("audit", "GuardDuty: events of the cluster", ("guardduty.audit_logs",))
    if aws.backup.enabled:
        yield Use("backup", "copies of the database", ("backup.rds",))
        yield Use("backup", "copies of the buckets", ("backup.s3",))
        yield Use("backup", "restores, rehearsed every month", ("backup.restores",))
    if aws.domain and aws.domain.zone_id is None:
        yield Use("domain", "zone", ("route53.zone",), 1, 1)
    if aws.runner.enabled:
        yield Use("runner", "minutes of runs", ("codebuild.small",))


def _pool(name: str, pool: PoolSpec, hours: float) -> Iterator[Use]:
    types = tuple(f"ec2.{each}" for each in pool.instance_types)
    what = f"{pool.min_size} to {pool.max_size} × {' or '.join(pool.instance_types)}"
    full = pool.max_size * HOURS
    yield Use(f"pool {name}", what, types, pool.min_size * hours, full, note=_paying(pool))
    disks = pool.disk_gib * pool.min_size * hours / HOURS, float(pool.disk_gib * pool.max_size)
    yield Use(f"pool {name}", f"their disks of {pool.disk_gib} GiB", ("ebs.gp3",), *disks)
    if any((known := machines.table().get(each)) and known.gpu_count for each in pool.instance_types):
        faster = GPU_THROUGHPUT * pool.min_size * hours / HOURS, float(GPU_THROUGHPUT * pool.max_size)
        yield Use(f"pool {name}", "throughput of their disks", ("ebs.gp3_throughput",), *faster)


def _paying(pool: PoolSpec) -> str:
    if "reserved" in pool.capacity:
        return "as on-demand; a reservation is paid for while it lasts, also unused"
    return "as on-demand; spot costs less" if "spot" in pool.capacity else ""
