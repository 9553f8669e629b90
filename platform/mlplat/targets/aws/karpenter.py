"""What Karpenter needs of the account: a role for itself, one for its nodes, and the queue of interruptions.

The controller is a chart and its pools are custom resources: both are `compute`'s.
"""

from __future__ import annotations

from collections.abc import Mapping

import pulumi
import pulumi_aws as aws

from mlplat.spec.capacity import PoolSpec
from mlplat.targets.aws import events
from mlplat.targets.aws.cluster import ROLE_LIMIT, Cluster
from mlplat.targets.aws.component import Component
from mlplat.targets.aws.iam import trusted
from mlplat.targets.aws.karpenter_policies import policies
from mlplat.targets.aws.nodes import node_rights
from mlplat.targets.aws.placement import group_name
from mlplat.targets.aws.podroles import association, pod_role
from mlplat.targets.aws.site import Site

NAMESPACE, SERVICE_ACCOUNT = "kube-system", "karpenter"


def node_role_name(site: Site) -> str:
    """Return the name of the role of nodes that Karpenter makes."""
    return site.name("node", limit=ROLE_LIMIT)


class KarpenterAccess(Component):
    """Roles, access entry, queue and rules, and the place of pools whose nodes stand close together."""

    def __init__(
        self,
        name: str,
        *,
        site: Site,
        cluster: Cluster,
        key_arn: pulumi.Input[str],
        pools: Mapping[str, PoolSpec],
        boundary: str | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("Karpenter", name, site, opts)
        self.boundary = boundary
        self.node_role_name = node_role_name(site)
        node_role, node_ready = self._node_role(cluster)
        interruptions = events.Interruptions("interruptions", site=site, opts=self.child())
        self.queue_name = interruptions.queue_name
        controller, controller_ready = self._controller(cluster, node_role, key_arn)
        self.controller_role_arn = controller.arn
        groups = [self._placement(cluster, each) for each, pool in pools.items() if pool.efa]
        self.ready: list[pulumi.Resource] = [*node_ready, *interruptions.ready, *controller_ready, *groups]
        self.register_outputs({"queue": self.queue_name, "node_role": self.node_role_name})

    def _controller(
        self, cluster: Cluster, node_role: aws.iam.Role, key_arn: pulumi.Input[str]
    ) -> tuple[aws.iam.Role, list[pulumi.Resource]]:
        role, ready = pod_role(
            self,
            "karpenter",
            description="Karpenter's controller: it starts and ends nodes of this cluster.",
            policies=policies(
                self.site,
                cluster.name,
                node_role_arn=node_role.arn,
                queue_arn=events.queue_arn(self.site),
                key_arn=pulumi.Output.from_input(key_arn),
            ),
            boundary=self.boundary,
        )
        bound = association(
            self,
            "karpenter",
            cluster=cluster.resource.name,
            namespace=NAMESPACE,
            service_account=SERVICE_ACCOUNT,
            role=role,
            after=ready,
        )
        return role, [*ready, bound]

    def _node_role(self, cluster: Cluster) -> tuple[aws.iam.Role, list[pulumi.Resource]]:
        role = aws.iam.Role(
            "node",
            name=self.node_role_name,
            description="What a node of a pool does in the account: join, pull images, be reached by SSM.",
            assume_role_policy=trusted("ec2.amazonaws.com"),
            permissions_boundary=self.boundary,
            tags=self.tags,
            opts=self.child(),
        )
        rights = node_rights(self, "node", role)
        # Managed node groups write their own entry; nodes of anybody else's join by this one, which takes no groups.
        entry = aws.eks.AccessEntry(
            "node",
            cluster_name=cluster.resource.name,
            principal_arn=role.arn,
            type="EC2_LINUX",
            tags=self.tags,
            opts=self.child(),
        )
        return role, [role, *rights, entry, *self._profile(role)]

    def _profile(self, role: aws.iam.Role) -> list[pulumi.Resource]:
        # IAM has no endpoint inside a network: where nothing leaves it, Karpenter cannot make this by itself.
        if not self.site.aws.network.isolated:
            return []
        return [
            aws.iam.InstanceProfile("node", name=self.node_role_name, role=role.name, tags=self.tags, opts=self.child())
        ]

    def _placement(self, cluster: Cluster, pool: str) -> aws.ec2.PlacementGroup:
        return aws.ec2.PlacementGroup(
            f"pool-{pool}",
            name=group_name(cluster.name, pool),
            strategy="cluster",
            tags=self.named(group_name(cluster.name, pool)),
            opts=self.child(),
        )
