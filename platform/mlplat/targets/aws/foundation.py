"""The whole foundation: every component of the AWS target, wired by what each one makes.

Nothing here decides anything: settings are the spec's, and what follows from them is the components'. The order is that
in which things must be made; what is ended is ended in the reverse.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pulumi

from mlplat.contracts import ClusterFoundation
from mlplat.spec.aws import AwsSpec
from mlplat.spec.platform import PlatformSpec
from mlplat.targets.aws import deployer
from mlplat.targets.aws.addons import Addons
from mlplat.targets.aws.audit import Audit
from mlplat.targets.aws.backup import Backup
from mlplat.targets.aws.cluster import Cluster, admin_role
from mlplat.targets.aws.database import Database
from mlplat.targets.aws.domain import Domain
from mlplat.targets.aws.identities import Identities
from mlplat.targets.aws.images import Images
from mlplat.targets.aws.karpenter import KarpenterAccess
from mlplat.targets.aws.keys import Keys
from mlplat.targets.aws.network import Network
from mlplat.targets.aws.nights import Nights
from mlplat.targets.aws.nodes import SystemNodes, group_name
from mlplat.targets.aws.online import OnlineStore
from mlplat.targets.aws.runner import Runner
from mlplat.targets.aws.secrets import Secrets
from mlplat.targets.aws.site import Site
from mlplat.targets.aws.spend import Spend
from mlplat.targets.aws.storage import Storage
from mlplat.targets.aws.stream import Stream


@dataclass(frozen=True)
class Provisioned:
    """What `provision` made, and what must be there before anything is put on the cluster."""

    foundation: ClusterFoundation
    ready: list[pulumi.Resource]


@dataclass(frozen=True)
class _Base:
    """What everything else stands on."""

    keys: Keys
    network: Network
    storage: Storage
    spend: Spend


@dataclass(frozen=True)
class _Compute:
    """The cluster and what it needs to have nodes."""

    cluster: Cluster
    karpenter: KarpenterAccess
    ready: list[pulumi.Resource]


@dataclass(frozen=True)
class _Data:
    """What is kept, and looked up."""

    database: Database
    online: OnlineStore
    stream: Stream
    secrets: Secrets


def provision(spec: PlatformSpec, *, site: Site, opts: pulumi.ResourceOptions) -> Provisioned:
    """Declare everything below the services; return what those are put on; may raise `MlplatError`."""
    aws = site.aws
    base = _base(spec, aws, site, opts)
    compute = _compute(spec, aws, site, base, opts)
    data = _data(spec, aws, site, base, compute.cluster, opts)
    images = Images("images", aws.images, site=site, key_arn=base.keys.arn("data"), opts=opts)
    domain = Domain("domain", aws.domain, site=site, opts=opts) if aws.domain else None
    roles = Identities(
        "identities",
        spec,
        site=site,
        cluster_name=compute.cluster.resource.name,
        cluster_ready=compute.ready,
        buckets=base.storage.buckets,
        data_key_arn=base.keys.arn("data"),
        database=data.database,
        online=data.online,
        stream=data.stream,
        alerts_arn=base.spend.topic.arn,
        alerts_key_arn=base.keys.arn("logs"),
        opts=opts,
    )
    _governance(spec, aws, site, base, compute.cluster, data, opts)
    leaves = {
        **_of_cluster(site, base, compute),
        **_of_data(base, data, roles),
        "registry": images.registry,
        "alerts": base.spend.topic.arn,
        "domain": domain and _of_domain(domain),
    }
    return Provisioned(ClusterFoundation(**leaves), [*compute.ready, *roles.ready])


def _base(spec: PlatformSpec, aws: AwsSpec, site: Site, opts: pulumi.ResourceOptions) -> _Base:
    keys = Keys("keys", aws.keys, site=site, opts=opts)
    return _Base(
        keys,
        Network("network", aws.network, site=site, logs_key_arn=keys.arn("logs"), opts=opts),
        Storage("storage", aws.storage, site=site, key_arn=keys.arn("data"), opts=opts),
        Spend("spend", spec.cost, site=site, teams=spec.teams, key_arn=keys.arn("logs"), opts=opts),
    )


def _compute(spec: PlatformSpec, aws: AwsSpec, site: Site, base: _Base, opts: pulumi.ResourceOptions) -> _Compute:
    disks, boundary = base.keys.arn("cluster"), aws.identities.boundary
    cluster = Cluster(
        "cluster",
        aws.cluster,
        site=site,
        network=base.network,
        key_arn=disks,
        logs_key_arn=base.keys.arn("logs"),
        opts=opts,
    )
    nodes = SystemNodes(
        "system-nodes",
        aws.cluster.system_nodes,
        site=site,
        cluster=cluster,
        network=base.network,
        key_arn=disks,
        opts=opts,
    )
    addons = Addons("addons", site=site, cluster=cluster, nodes=nodes, key_arn=disks, boundary=boundary, opts=opts)
    karpenter = KarpenterAccess(
        "karpenter", site=site, cluster=cluster, key_arn=disks, pools=spec.pools, boundary=boundary, opts=opts
    )
    # Administrators too: whatever is put on the cluster goes before the right to put it there.
    return _Compute(cluster, karpenter, [*cluster.admins, *addons.ready, *karpenter.ready])


def _data(
    spec: PlatformSpec, aws: AwsSpec, site: Site, base: _Base, cluster: Cluster, opts: pulumi.ResourceOptions
) -> _Data:
    key, logs = base.keys.arn("data"), base.keys.arn("logs")
    inside: dict[str, Any] = {
        "site": site,
        "network": base.network,
        "client_security_group_id": cluster.security_group_id,
        "opts": opts,
    }
    return _Data(
        Database("database", aws.database, key_arn=base.keys.arn("database"), logs_key_arn=logs, **inside),
        OnlineStore("online-store", aws.online_store, key_arn=key, teams=tuple(spec.teams), **inside),
        Stream(
            "stream",
            aws.stream,
            site=site,
            key_arn=key,
            bucket=base.storage.buckets["data"],
            logs_key_arn=logs,
            opts=opts,
        ),
        Secrets("secrets", aws.secrets, site=site, key_arn=key, opts=opts),
    )


def _governance(
    spec: PlatformSpec,
    aws: AwsSpec,
    site: Site,
    base: _Base,
    cluster: Cluster,
    data: _Data,
    opts: pulumi.ResourceOptions,
) -> None:
    key, logs = base.keys.arn("data"), base.keys.arn("logs")
    buckets = base.storage.buckets
    Audit(
        "audit",
        aws.audit,
        site=site,
        logs_bucket=buckets["logs"],
        buckets=buckets,
        key_arn=logs,
        # AWS asks at once whether the bucket lets it write.
        after=[base.storage.logs_ready],
        opts=opts,
    )
    Backup(
        "backup",
        aws.backup,
        site=site,
        database=data.database,
        buckets=buckets,
        key_arn=key,
        topic_arn=base.spend.topic.arn,
        opts=opts,
    )
    Runner(
        "runner",
        aws.runner,
        site=site,
        network=base.network,
        cluster=cluster,
        key_arn=key,
        logs_key_arn=logs,
        # It does what a person does who runs `up`, with the rights that one is told to have.
        policy_documents=[json.dumps(each, sort_keys=True) for each in deployer.documents(site, engine=spec.engine)],
        opts=opts,
    )
    if aws.cluster.nights:
        Nights(
            "nights",
            aws,
            site=site,
            cluster_name=cluster.name,
            group_name=group_name(site),
            database=data.database.instance.identifier,
            key_arn=logs,
            opts=opts,
        )


def _of_cluster(site: Site, base: _Base, compute: _Compute) -> dict[str, Any]:
    return {
        "account": site.account,
        "region": site.region,
        "cluster": compute.cluster.name,
        "cluster_endpoint": compute.cluster.endpoint,
        "cluster_authority": compute.cluster.certificate_authority,
        "cluster_admin": admin_role(site),
        "disk_key": base.keys.arn("cluster"),
        "vpc": base.network.vpc_id,
        "node_role": compute.karpenter.node_role_name,
        "queue": compute.karpenter.queue_name,
    }


def _of_data(base: _Base, data: _Data, roles: Identities) -> dict[str, Any]:
    database, online = data.database, data.online
    return {
        "buckets": {kind: each.bucket for kind, each in base.storage.buckets.items()},
        "database": {
            "endpoint": database.endpoint,
            "port": database.port,
            "master_secret": database.master_secret_arn,
            "applications": {name: secret.name for name, secret in database.applications.items()},
        },
        "online_store": {
            "kind": online.kind,
            "endpoint": online.endpoint,
            "table_prefix": online.table_prefix,
            "key": base.keys.arn("data"),
        },
        "identities": {name: role.arn for name, role in roles.roles.items()},
        "secrets": data.secrets.prefix,
        "stream": data.stream.stream.name if data.stream.stream else None,
    }


def _of_domain(domain: Domain) -> dict[str, Any]:
    return {
        "name": domain.name,
        "zone": domain.zone_id,
        "certificate": domain.certificate_arn,
        "name_servers": domain.name_servers,
    }
