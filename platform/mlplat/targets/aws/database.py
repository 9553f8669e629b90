"""The database: RDS for PostgreSQL, and an empty secret for each application that has a database of its own in it.

RDS keeps the master's password itself, and turns it. What an application uses is made by the setup job
(`mlplat.jobs.databases`), which writes into that application's secret: no password is in a program, a state or an
output. Snapshots and how to return to one: `database.snapshot` in the spec.
"""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from mlplat.spec.aws.data import DatabaseSpec
from mlplat.targets.aws.component import Component
from mlplat.targets.aws.iam import trusted
from mlplat.targets.aws.logs import retention
from mlplat.targets.aws.network import Network
from mlplat.targets.aws.secrets import guard
from mlplat.targets.aws.site import Site

PORT = 5432
MASTER = "mlplat"
"""Name of the master; RDS refuses `admin` and `postgres` has a meaning of its own."""
APPLICATIONS = ("tracking", "features", "pipelines")
LOGS = ("postgresql", "upgrade")
SLOW_MILLISECONDS = 1000
IDLE_MILLISECONDS = 600_000


class Database(Component):
    """An instance that only the cluster's nodes and pods reach."""

    def __init__(
        self,
        name: str,
        spec: DatabaseSpec,
        *,
        site: Site,
        network: Network,
        key_arn: pulumi.Input[str],
        client_security_group_id: pulumi.Input[str],
        logs_key_arn: pulumi.Input[str] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("Database", name, site, opts)
        self.spec = spec
        self.key_arn = key_arn
        self.identifier = site.name("database")
        self.logs = [self._log_group(each, logs_key_arn) for each in LOGS]
        self.security_group = self._security_group(network, client_security_group_id)
        self.subnets = self._subnets(network)
        self.instance = self._instance(self._parameters(), self._monitoring())
        self.endpoint: pulumi.Output[str] = self.instance.address
        self.port = PORT
        self.resource_id: pulumi.Output[str] = self.instance.resource_id
        self.master_secret_arn: pulumi.Output[str] = self.instance.master_user_secrets[0].secret_arn
        self.applications = {each: self._application(each) for each in APPLICATIONS}
        self.register_outputs({"endpoint": self.endpoint, "master_secret_arn": self.master_secret_arn})

    def _log_group(self, log: str, key_arn: pulumi.Input[str] | None) -> aws.cloudwatch.LogGroup:
        # RDS makes it where nobody did: without a key, kept for ever, and left behind.
        return aws.cloudwatch.LogGroup(
            f"database-{log}",
            name=f"/aws/rds/instance/{self.identifier}/{log}",
            retention_in_days=retention(self.site.aws.cluster.log_days),
            kms_key_id=key_arn,
            tags=self.named(f"database-{log}"),
            opts=self.child(),
        )

    def _subnets(self, network: Network) -> aws.rds.SubnetGroup:
        return aws.rds.SubnetGroup(
            "database",
            name=self.identifier,
            description="Private subnets of the database",
            subnet_ids=network.private_subnet_ids,
            tags=self.named("database"),
            opts=self.child(),
        )

    def _security_group(self, network: Network, client: pulumi.Input[str]) -> aws.ec2.SecurityGroup:
        group = aws.ec2.SecurityGroup(
            "database",
            name=self.identifier,
            description="Who reaches the database",
            vpc_id=network.vpc_id,
            tags=self.named("database"),
            opts=self.child(),
        )
        aws.vpc.SecurityGroupIngressRule(
            "database",
            security_group_id=group.id,
            description="PostgreSQL, from the cluster",
            referenced_security_group_id=client,
            ip_protocol="tcp",
            from_port=PORT,
            to_port=PORT,
            tags=self.named("database"),
            opts=self.child(),
        )
        return group

    def _parameters(self) -> aws.rds.ParameterGroup:
        family = f"postgres{self.spec.version.partition('.')[0]}"
        return aws.rds.ParameterGroup(
            "database",
            # The family is in the name: a new major version needs a second group beside the first.
            name=self.site.name("database", family),
            family=family,
            description=f"PostgreSQL of {self.identifier}",
            parameters=[{"name": name, "value": value} for name, value in parameters().items()],
            tags=self.named("database"),
            opts=self.child(),
        )

    def _monitoring(self) -> aws.iam.Role:
        role = aws.iam.Role(
            "database-monitoring",
            name=self.site.name("database", "monitoring", limit=64),
            description="RDS writes the instance's system figures with it",
            assume_role_policy=trusted("monitoring.rds.amazonaws.com", account=self.site.account),
            permissions_boundary=self.site.aws.identities.boundary,
            tags=self.named("database-monitoring"),
            opts=self.child(),
        )
        aws.iam.RolePolicyAttachment(
            "database-monitoring",
            role=role.name,
            policy_arn=f"arn:{self.site.aws.partition}:iam::aws:policy/service-role/AmazonRDSEnhancedMonitoringRole",
            opts=self.child(),
        )
        return role

    def _instance(self, group: aws.rds.ParameterGroup, monitoring: aws.iam.Role) -> aws.rds.Instance:
        spec, site = self.spec, self.site
        return aws.rds.Instance(
            "database",
            identifier=self.identifier,
            engine="postgres",
            engine_version=spec.version,
            instance_class=spec.instance_class,
            # The default would bill for a version that PostgreSQL's makers no longer mend.
            engine_lifecycle_support="open-source-rds-extended-support-disabled",
            auto_minor_version_upgrade=True,
            # A new major version happens where the spec asks for one, and only in the maintenance window.
            allow_major_version_upgrade=True,
            apply_immediately=False,
            allocated_storage=spec.storage_gib,
            max_allocated_storage=spec.max_storage_gib,
            storage_type="gp3",
            storage_encrypted=True,
            kms_key_id=self.key_arn,
            username=MASTER,
            manage_master_user_password=True,
            master_user_secret_kms_key_id=self.key_arn,
            iam_database_authentication_enabled=True,
            ca_cert_identifier="rds-ca-rsa2048-g1",
            port=PORT,
            db_subnet_group_name=self.subnets.name,
            vpc_security_group_ids=[self.security_group.id],
            publicly_accessible=False,
            multi_az=spec.multi_az,
            parameter_group_name=group.name,
            backup_retention_period=spec.backup_days,
            backup_window="01:00-02:00",
            maintenance_window="sun:02:30-sun:04:00",
            copy_tags_to_snapshot=True,
            delete_automated_backups=not site.protected,
            deletion_protection=spec.deletion_protection,
            skip_final_snapshot=not site.protected,
            final_snapshot_identifier=site.name("database", "final") if site.protected else None,
            snapshot_identifier=spec.snapshot,
            performance_insights_enabled=True,
            performance_insights_kms_key_id=self.key_arn,
            performance_insights_retention_period=7,
            monitoring_interval=60,
            monitoring_role_arn=monitoring.arn,
            enabled_cloudwatch_logs_exports=list(LOGS),
            tags=self.named("database"),
            opts=self.child(
                # Not `retain_on_delete`: an instance that stays holds subnets, security group and key, and the network
                # could not go. Its final snapshot is what stays.
                protect=site.protected,
                # Only the first `up` reads it: afterwards neither writing nor removing it replaces what is there.
                ignore_changes=["snapshotIdentifier"],
                depends_on=self.logs,
            ),
        )

    def _application(self, name: str) -> aws.secretsmanager.Secret:
        logical = f"database-{name}"
        secret = aws.secretsmanager.Secret(
            logical,
            name=self.site.path("database", name),
            description=f"Database and user of {name}, written by the setup job",
            kms_key_id=self.key_arn,
            # The job can write it again at any time; while it waited for its end, its name would be taken.
            recovery_window_in_days=0,
            tags=self.named(logical),
            opts=self.child(),
        )
        guard(self, logical, secret)
        return secret


def parameters() -> dict[str, str]:
    """Return the settings that differ from RDS's own: nobody without TLS, and enough in the log to find a cause."""
    return {
        "rds.force_ssl": "1",
        "log_connections": "1",
        "log_disconnections": "1",
        "log_lock_waits": "1",
        # `all` would write every row's values; the setup job sends no password as plain text.
        "log_statement": "ddl",
        "log_min_duration_statement": str(SLOW_MILLISECONDS),
        # A client that died within a transaction keeps its locks, and keeps the vacuum from working.
        "idle_in_transaction_session_timeout": str(IDLE_MILLISECONDS),
    }
