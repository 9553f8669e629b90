"""The online store: where features are looked up while somebody waits, in DynamoDB or in Valkey.

DynamoDB: the feature server makes a table for each feature view, `<table_prefix><project>.<view>`, and its role alone
reaches those. They get the platform's key and recovery from `mlplat.jobs.tables`, so that the server needs no rights to
either. One table is made here: `live`, for what changes between two materialisations. A row's key is
`<team>/<project>/<entity>`, so that a team's role reaches its own rows and no others, and it goes when `expires`
(seconds since 1970) has passed.

Valkey: users sign in by their role and no password exists. Feast's own Redis client cannot do that: there is no feature
server then, and model servers look nothing up.
"""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
import pulumi_aws as aws

from mlplat.spec.aws.data import OnlineStoreSpec
from mlplat.targets.aws.component import Component
from mlplat.targets.aws.network import Network
from mlplat.targets.aws.site import Site

PORT = 6379
VERSION = "8.1"
FAMILY = "valkey8"
NAME_LIMIT = 40
"""Longest id that ElastiCache takes."""
PREFIX_LIMIT = 100
"""Of the 255 signs of a table's name: the others are for project and view."""
SNAPSHOT_DAYS = 7


class OnlineStore(Component):
    """A store of one of the two kinds."""

    def __init__(
        self,
        name: str,
        spec: OnlineStoreSpec,
        *,
        site: Site,
        network: Network,
        key_arn: pulumi.Input[str],
        client_security_group_id: pulumi.Input[str],
        teams: Sequence[str] = (),
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("OnlineStore", name, site, opts)
        self.spec = spec
        self.key_arn = key_arn
        self.kind = spec.kind
        self.table_prefix = table_prefix(site)
        self.table: aws.dynamodb.Table | None = None
        self.users: dict[str, aws.elasticache.User] = {}
        self.group: aws.elasticache.ReplicationGroup | None = None
        self.endpoint: pulumi.Input[str] = f"https://dynamodb.{site.region}.{site.aws.dns_suffix}"
        if spec.kind == "dynamodb":
            self.table = self._table()
        else:
            self.users = {name: self._user(name, rights) for name, rights in access(teams).items()}
            self.group = self._valkey(network, self._security_group(network, client_security_group_id))
            self.endpoint = pulumi.Output.format("rediss://{0}:{1}", self.group.primary_endpoint_address, PORT)
        self.register_outputs({"kind": self.kind, "endpoint": self.endpoint, "table_prefix": self.table_prefix})

    def _table(self) -> aws.dynamodb.Table:
        return aws.dynamodb.Table(
            "live",
            name=live_table(self.site),
            billing_mode="PAY_PER_REQUEST",
            hash_key="key",
            attributes=[{"name": "key", "type": "S"}],
            ttl={"attribute_name": "expires", "enabled": True},
            server_side_encryption={"enabled": True, "kms_key_arn": self.key_arn},
            point_in_time_recovery={"enabled": self.spec.point_in_time_recovery},
            deletion_protection_enabled=self.site.protected,
            tags=self.named("live"),
            opts=self.kept(),
        )

    def _user(self, name: str, rights: str) -> aws.elasticache.User:
        # Whoever signs in by a role has one name and id.
        found = user_id(self.site, name)
        return aws.elasticache.User(
            name,
            user_id=found,
            user_name=found,
            engine="valkey",
            access_string=rights,
            authentication_mode={"type": "iam"},
            tags=self.named(name),
            opts=self.child(),
        )

    def _security_group(self, network: Network, client: pulumi.Input[str]) -> aws.ec2.SecurityGroup:
        group = aws.ec2.SecurityGroup(
            "online",
            name=self.site.name("online"),
            description="Who reaches the online store",
            vpc_id=network.vpc_id,
            tags=self.named("online"),
            opts=self.child(),
        )
        aws.vpc.SecurityGroupIngressRule(
            "online",
            security_group_id=group.id,
            description="Valkey, from the cluster",
            referenced_security_group_id=client,
            ip_protocol="tcp",
            from_port=PORT,
            to_port=PORT,
            tags=self.named("online"),
            opts=self.child(),
        )
        return group

    def _valkey(self, network: Network, access: aws.ec2.SecurityGroup) -> aws.elasticache.ReplicationGroup:
        spec, site = self.spec, self.site
        subnets = aws.elasticache.SubnetGroup(
            "online",
            name=site.name("online"),
            description="Private subnets of the online store",
            subnet_ids=network.private_subnet_ids,
            tags=self.named("online"),
            opts=self.child(),
        )
        users = aws.elasticache.UserGroup(
            "online",
            user_group_id=user_id(site, "online"),
            engine="valkey",
            user_ids=[each.user_id for each in self.users.values()],
            tags=self.named("online"),
            opts=self.child(),
        )
        return aws.elasticache.ReplicationGroup(
            "online",
            replication_group_id=user_id(site, "online"),
            description="Features, looked up online",
            engine="valkey",
            engine_version=VERSION,
            node_type=spec.node_type,
            num_cache_clusters=1 + spec.replicas,
            automatic_failover_enabled=spec.replicas > 0,
            multi_az_enabled=spec.replicas > 0,
            port=PORT,
            parameter_group_name=self._parameters().name,
            subnet_group_name=subnets.name,
            security_group_ids=[access.id],
            transit_encryption_enabled=True,
            transit_encryption_mode="required",
            at_rest_encryption_enabled=True,
            kms_key_id=self.key_arn,
            user_group_ids=[users.user_group_id],
            snapshot_retention_limit=SNAPSHOT_DAYS if spec.point_in_time_recovery else 0,
            final_snapshot_identifier=site.name("online", "final") if site.protected else None,
            auto_minor_version_upgrade=True,
            maintenance_window="sun:02:30-sun:04:00",
            snapshot_window="01:00-02:00",
            apply_immediately=False,
            tags=self.named("online"),
            # As the database, it would hold the network if it were left behind: its last snapshot stays.
            opts=self.child(protect=site.protected),
        )

    def _parameters(self) -> aws.elasticache.ParameterGroup:
        return aws.elasticache.ParameterGroup(
            "online",
            name=self.site.name("online", FAMILY),
            family=FAMILY,
            description="Valkey of the online store",
            # Full, it lets go of rows that expire anyhow, and refuses no write before it has to.
            parameters=[{"name": "maxmemory-policy", "value": "volatile-ttl"}],
            tags=self.named("online"),
            opts=self.child(),
        )


def access(teams: Sequence[str]) -> dict[str, str]:
    """Return Valkey's users, and what each may do: a team's reach the keys that begin with the team's name."""
    made = {"features": "on ~* +@read +@write +@connection +@transaction -@dangerous"}
    for team in teams:
        made[f"{team}-pipeline"] = f"on ~{team}/* +@read +@write +@connection +@transaction -@dangerous"
        made[f"{team}-serving"] = f"on ~{team}/* +@read +@connection -@dangerous"
    return made


def user_id(site: Site, name: str) -> str:
    """Return an id that ElastiCache takes."""
    return site.name(name, limit=NAME_LIMIT)


def table_prefix(site: Site) -> str:
    """Return what the name of each table begins with."""
    return f"{site.name('online', limit=PREFIX_LIMIT)}."


def live_table(site: Site) -> str:
    """Return the name of the table of live values; no project of Feast's can have it, for it has no second dot."""
    return f"{table_prefix(site)}live"
