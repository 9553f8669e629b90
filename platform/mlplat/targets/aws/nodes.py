"""The system nodes: what the cluster's own services stand on, and the only nodes that Karpenter does not make."""

from __future__ import annotations

import hashlib
import json

import pulumi
import pulumi_aws as aws

from mlplat.errors import UsageError
from mlplat.spec.aws.cluster import SystemNodesSpec
from mlplat.targets.aws import imagecache, machines
from mlplat.targets.aws.addons import NodeAddons
from mlplat.targets.aws.cluster import ROLE_LIMIT, Cluster
from mlplat.targets.aws.component import Component
from mlplat.targets.aws.iam import document, trusted
from mlplat.targets.aws.network import Network
from mlplat.targets.aws.site import HASH_SIGNS, Site
from mlplat.targets.aws.tolerations import POOL, SYSTEM, SYSTEM_TAINT

POLICIES = (
    "AmazonEKSWorkerNodePolicy",
    "AmazonEC2ContainerRegistryPullOnly",
    "AmazonSSMManagedInstanceCore",
    # The network add-on runs on the node's own network before any pod's identity can be had.
    "AmazonEKS_CNI_Policy",
)
"""AWS's policies that every node's role has."""
AMI_TYPES = {"x86_64": "AL2023_x86_64_STANDARD", "arm64": "AL2023_ARM_64_STANDARD"}
DEVICE = "/dev/xvda"
LEAST = 2
"""Karpenter and CoreDNS have two replicas each, on two machines."""
IOPS, THROUGHPUT = 3000, 125
"""gp3's included operations a second, and MiB a second."""


def group_name(site: Site) -> str:
    """Return the name of the node group.

    It ends with a hash of what EKS cannot change in a group that is there: another type of machine makes a second
    group, whose nodes are ready before those of the first are drained, where one of the same name could not be made.
    """
    network = site.aws.network
    places = network.existing.private_subnet_ids if network.existing else network.zones
    fixed = json.dumps([site.aws.cluster.system_nodes.instance_types, places])
    return site.name(SYSTEM, hashlib.sha256(fixed.encode()).hexdigest()[:HASH_SIGNS])


def ami_type(instance_types: list[str]) -> str:
    """Return EKS's name of the image for these types.

    Raises `UsageError` for an unknown type, for two architectures, and for types with GPUs.
    """
    found = [machines.find(each) for each in instance_types]
    architectures = {each.architecture for each in found}
    if len(architectures) > 1:
        raise UsageError(
            f"`aws.cluster.system_nodes.instance_types` mixes {' and '.join(sorted(architectures))}",
            hint="one image serves one architecture: name types of one",
        )
    if gpus := [each.name for each in found if each.gpu_count]:
        raise UsageError(
            f"`aws.cluster.system_nodes.instance_types` names {gpus[0]}, which has GPUs", hint="use a pool"
        )
    return AMI_TYPES[architectures.pop()]


def node_rights(component: Component, label: str, role: aws.iam.Role) -> list[pulumi.Resource]:
    """Give a node's role what every node needs: AWS's policies, and the first pull of a copied image."""
    site = component.site
    prefix = f"arn:{site.aws.partition}:iam::aws:policy/"
    made: list[pulumi.Resource] = [
        aws.iam.RolePolicyAttachment(
            f"{label}-{policy}", role=role.name, policy_arn=f"{prefix}{policy}", opts=component.child()
        )
        for policy in POLICIES
    ]
    if statements := imagecache.pulls(site):
        policy = document(*statements)
        made.append(aws.iam.RolePolicy(f"{label}-cache", role=role.name, policy=policy, opts=component.child()))
    return made


class SystemNodes(Component):
    """A managed node group over all zones, tainted for what the platform itself runs."""

    def __init__(
        self,
        name: str,
        spec: SystemNodesSpec,
        *,
        site: Site,
        cluster: Cluster,
        network: Network,
        key_arn: pulumi.Input[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("SystemNodes", name, site, opts)
        self.spec = spec
        after = NodeAddons("node-addons", site=site, cluster=cluster, network=network, opts=self.child()).ready
        role, attachments = self._role()
        template = self._template(key_arn)
        self.group = aws.eks.NodeGroup(
            SYSTEM,
            cluster_name=cluster.resource.name,
            node_group_name=group_name(site),
            node_role_arn=role.arn,
            subnet_ids=network.private_subnet_ids,
            ami_type=ami_type(spec.instance_types),
            # Follows the control plane's, which must be ahead of the nodes' and never behind.
            version=cluster.resource.version,
            instance_types=list(spec.instance_types),
            capacity_type="ON_DEMAND",
            scaling_config={"min_size": self._least(), "desired_size": spec.size, "max_size": spec.max_size},
            update_config={"max_unavailable": 1},
            node_repair_config={"enabled": True},
            labels={POOL: SYSTEM},
            # EKS spells effects its own way; `NoSchedule` would be refused.
            taints=[{"key": SYSTEM_TAINT, "value": "true", "effect": "NO_SCHEDULE"}],
            launch_template={"id": template.id, "version": template.latest_version.apply(str)},
            tags=self.named(group_name(site)),
            opts=self.child(
                depends_on=[*attachments, *after, *network.ready],
                # Nights and people move it; `up` in the evening must not wake the cluster.
                ignore_changes=["scalingConfig.desiredSize"],
                custom_timeouts=pulumi.CustomTimeouts(create="30m", update="60m", delete="30m"),
            ),
        )
        self.ready: list[pulumi.Resource] = [self.group]
        self.register_outputs({"name": self.group.node_group_name})

    def _least(self) -> int:
        # Never `size`: EKS refuses a smallest size above the number that there is, and that number is not ours to set.
        # At night there are none.
        return 0 if self.site.aws.cluster.nights else LEAST

    def _role(self) -> tuple[aws.iam.Role, list[pulumi.Resource]]:
        role = aws.iam.Role(
            "system",
            name=self.site.name("system-node", limit=ROLE_LIMIT),
            description="What a system node does in the account: join, pull images, be reached by SSM.",
            assume_role_policy=trusted("ec2.amazonaws.com"),
            permissions_boundary=self.site.aws.identities.boundary,
            tags=self.tags,
            opts=self.child(),
        )
        return role, node_rights(self, "system", role)

    def _template(self, key_arn: pulumi.Input[str]) -> aws.ec2.LaunchTemplate:
        # The provider's default tags do not reach what a template starts: they are said for each kind.
        tags = self.named(self.site.name(SYSTEM))
        return aws.ec2.LaunchTemplate(
            SYSTEM,
            name=self.site.name(SYSTEM),
            update_default_version=True,
            # One hop: a pod's request for the node's credentials dies on the way.
            metadata_options={"http_endpoint": "enabled", "http_tokens": "required", "http_put_response_hop_limit": 1},
            block_device_mappings=[
                {
                    "device_name": DEVICE,
                    "ebs": {
                        "volume_size": self.spec.disk_gib,
                        "volume_type": "gp3",
                        "iops": IOPS,
                        "throughput": THROUGHPUT,
                        "encrypted": "true",
                        "kms_key_id": key_arn,
                        "delete_on_termination": "true",
                    },
                }
            ],
            monitoring={"enabled": False},
            tag_specifications=[
                {"resource_type": each, "tags": tags} for each in ("instance", "volume", "network-interface")
            ],
            tags=tags,
            opts=self.child(),
        )
