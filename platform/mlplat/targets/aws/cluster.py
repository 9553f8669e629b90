"""The EKS cluster: its control plane, who may enter it, and the security group that its nodes share.

Nodes, add-ons and what runs on them are other components'. Nobody enters by having made the cluster: entries are
written here, and everything on the cluster depends on them, so that they are the last to go.
"""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from mlplat import versions
from mlplat.errors import UsageError
from mlplat.spec.aws.cluster import ClusterSpec
from mlplat.targets.aws.component import Component
from mlplat.targets.aws.iam import Statement, document, trusted
from mlplat.targets.aws.logs import retention
from mlplat.targets.aws.network import DISCOVERY, Network
from mlplat.targets.aws.site import Site

POLICY = "AmazonEKSClusterPolicy"
ADMIN_POLICY = "AmazonEKSClusterAdminPolicy"
NAME_LIMIT, ROLE_LIMIT = 100, 64


def cluster_name(site: Site) -> str:
    """Return the name of a site's cluster."""
    return site.name(limit=NAME_LIMIT)


def admin_role_name(site: Site) -> str:
    """Return the name of the role by which whoever may take it does everything in the cluster."""
    return site.name("cluster-admin", limit=ROLE_LIMIT)


def admin_role(site: Site) -> str | None:
    """Return the ARN of the role that a kubeconfig takes; None where the spec names admins, who enter as themselves."""
    if site.aws.cluster.admins:
        return None
    return site.arn("iam", f"role/{admin_role_name(site)}", region=False)


def refuse_unknown_version(version: str) -> None:
    """Raise `UsageError` for a Kubernetes for which no set of add-ons and charts is known to work."""
    if version not in versions.KUBERNETES:
        raise UsageError(
            f"`aws.cluster.version` {version} is none that this mlplat knows add-ons and charts for",
            hint=f"use one of {', '.join(versions.KUBERNETES)}",
        )


class Cluster(Component):
    """An EKS control plane with secrets under a key of ours, its logs, and its access entries."""

    def __init__(
        self,
        name: str,
        spec: ClusterSpec,
        *,
        site: Site,
        network: Network,
        key_arn: pulumi.Input[str],
        logs_key_arn: pulumi.Input[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("Cluster", name, site, opts)
        refuse_unknown_version(spec.version)
        self.spec = spec
        self.name = cluster_name(site)
        self.resource = self._control_plane(network, key_arn, self._before(key_arn, logs_key_arn))
        self.endpoint = self.resource.endpoint
        self.certificate_authority = self.resource.certificate_authority.data
        self.security_group_id = self.resource.vpc_config.cluster_security_group_id
        self._security_group()
        self.admins = self._admins()
        self.register_outputs({"name": self.name, "endpoint": self.endpoint})

    def _before(self, key_arn: pulumi.Input[str], logs_key_arn: pulumi.Input[str]) -> list[pulumi.Resource]:
        # EKS makes the log group itself where there is none: without a key, kept for ever, and outside the state.
        logs = aws.cloudwatch.LogGroup(
            "logs",
            name=f"/aws/eks/{self.name}/cluster",
            retention_in_days=retention(self.spec.log_days),
            kms_key_id=logs_key_arn,
            tags=self.tags,
            opts=self.child(),
        )
        self.role = aws.iam.Role(
            "cluster",
            name=self.site.name("cluster", limit=ROLE_LIMIT),
            description="What the control plane of the cluster does in the account.",
            assume_role_policy=trusted("eks.amazonaws.com", account=self.site.account),
            permissions_boundary=self.site.aws.identities.boundary,
            tags=self.tags,
            opts=self.child(),
        )
        policy = aws.iam.RolePolicyAttachment(
            "cluster",
            role=self.role.name,
            policy_arn=f"arn:{self.site.aws.partition}:iam::aws:policy/{POLICY}",
            opts=self.child(),
        )
        secrets = aws.iam.RolePolicy(
            "secrets",
            role=self.role.name,
            policy=document(
                Statement(
                    "Secrets", ["kms:Encrypt", "kms:Decrypt", "kms:ListGrants", "kms:DescribeKey"], [_text(key_arn)]
                )
            ),
            opts=self.child(),
        )
        return [logs, policy, secrets]

    def _control_plane(
        self, network: Network, key_arn: pulumi.Input[str], before: list[pulumi.Resource]
    ) -> aws.eks.Cluster:
        public = bool(self.spec.public_access_cidrs)
        return aws.eks.Cluster(
            "cluster",
            name=self.name,
            # In quotes all the way: the number 1.30 would be 1.3.
            version=self.spec.version,
            role_arn=self.role.arn,
            vpc_config={
                "subnet_ids": network.private_subnet_ids,
                "endpoint_private_access": True,
                "endpoint_public_access": public,
                **({"public_access_cidrs": list(self.spec.public_access_cidrs)} if public else {}),
            },
            access_config={
                # From CONFIG_MAP there is a way here, never one back; entries are all there is.
                "authentication_mode": "API",
                # Whoever runs the first `up` would stay administrator for ever, in no list.
                "bootstrap_cluster_creator_admin_permissions": False,
            },
            # Add-ons are pinned and ordered of our own; changing this later would replace the cluster.
            bootstrap_self_managed_addons=False,
            # A version out of support is upgraded, rather than kept for six times the price.
            upgrade_policy={"support_type": "STANDARD"},
            encryption_config={"provider": {"key_arn": key_arn}, "resources": ["secrets"]},
            enabled_cluster_log_types=list(self.spec.log_types),
            deletion_protection=self.spec.deletion_protection and not self.site.deleting,
            tags=self.tags,
            opts=self.child(
                protect=self.site.protected,
                depends_on=[*before, *network.ready],
                custom_timeouts=pulumi.CustomTimeouts(create="45m", update="90m", delete="45m"),
            ),
        )

    def _security_group(self) -> None:
        # Made by EKS, which tags it with nothing that two clusters of one name in two states would not share.
        aws.ec2.Tag(
            "discovery",
            resource_id=self.security_group_id,
            key=DISCOVERY,
            value=self.name,
            opts=self.child(),
        )
        # The fast network wants a rule that names the group itself: one for all addresses is not enough for it.
        aws.vpc.SecurityGroupEgressRule(
            "itself",
            security_group_id=self.security_group_id,
            referenced_security_group_id=self.security_group_id,
            ip_protocol="-1",
            description="Nodes to nodes, EFA among it.",
            tags=self.named(f"{self.name}-itself"),
            opts=self.child(),
        )

    def _admins(self) -> list[pulumi.Resource]:
        if self.spec.admins:
            given: dict[str, pulumi.Input[str]] = {_label(arn): arn for arn in self.spec.admins}
        else:
            given = {"admin": self._admin_role().arn}
        return [each for label, arn in given.items() for each in self._admin(label, arn)]

    def _admin_role(self) -> aws.iam.Role:
        """Make the role of a stack that names nobody: who may take it is what IAM says in the account."""
        root = self.site.arn("iam", "root", region=False)
        trust = Statement("Account", ["sts:AssumeRole"], (), {}, {"AWS": root}, own=True)
        return aws.iam.Role(
            "admin",
            name=admin_role_name(self.site),
            description="Administrator of the cluster; it has no rights in the account.",
            assume_role_policy=document(trust),
            permissions_boundary=self.site.aws.identities.boundary,
            tags=self.tags,
            opts=self.child(),
        )

    def _admin(self, label: str, arn: pulumi.Input[str]) -> list[pulumi.Resource]:
        entry = aws.eks.AccessEntry(
            label,
            cluster_name=self.resource.name,
            principal_arn=arn,
            type="STANDARD",
            tags=self.tags,
            opts=self.child(),
        )
        association = aws.eks.AccessPolicyAssociation(
            label,
            cluster_name=self.resource.name,
            principal_arn=entry.principal_arn,
            policy_arn=f"arn:{self.site.aws.partition}:eks::aws:cluster-access-policy/{ADMIN_POLICY}",
            access_scope={"type": "cluster"},
            opts=self.child(),
        )
        return [entry, association]


def _label(arn: str) -> str:
    # With its path: two roles of one name in two paths are two entries.
    return arn.partition(":role/")[2].replace("/", "-")


def _text(value: pulumi.Input[str]) -> str | pulumi.Output[str]:
    return value if isinstance(value, str) else pulumi.Output.from_input(value)
