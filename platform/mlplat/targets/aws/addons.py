"""EKS add-ons, pinned, in the order in which a cluster can take them.

Pods get addresses, names and identities from add-ons. Three must be there before the first node (a node without a
network never becomes ready, and its group fails after half an hour); the others need a node to stand on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pulumi
import pulumi_aws as aws

from mlplat import versions
from mlplat.targets.aws import balancer
from mlplat.targets.aws.cluster import Cluster
from mlplat.targets.aws.component import Component
from mlplat.targets.aws.keypolicies import disk_key
from mlplat.targets.aws.network import Network
from mlplat.targets.aws.podroles import association, pod_role
from mlplat.targets.aws.site import Site
from mlplat.targets.aws.tolerations import EVERYTHING, ON_SYSTEM_NODES

if TYPE_CHECKING:
    from mlplat.targets.aws.nodes import SystemNodes

NAMESPACE = "kube-system"
ZONE = "topology.kubernetes.io/zone"
EBS_ACCOUNT = "ebs-csi-controller-sa"
TIMEOUTS = pulumi.CustomTimeouts(create="20m", update="30m", delete="20m")


def network_values(zones: Mapping[str, pulumi.Input[str]], region: str, group: pulumi.Input[str]) -> dict[str, Any]:
    """Return the network add-on's values; `zones` are the subnets from which pods take addresses, by zone, if any.

    Every value of `env` is a text: the add-on refuses numbers and booleans there.
    """
    env = {
        # Sixteen addresses at a time: a small node takes more pods, and starts them without asking EC2 for each.
        "ENABLE_PREFIX_DELEGATION": "true",
        "WARM_PREFIX_TARGET": "1",
    }
    values: dict[str, Any] = {"env": env, "enableNetworkPolicy": "true"}
    if zones:
        env |= {"AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG": "true", "ENI_CONFIG_LABEL_DEF": ZONE}
        subnets = {zone: {"id": subnet, "securityGroups": [group]} for zone, subnet in zones.items()}
        values["eniConfig"] = {"create": True, "region": region, "subnets": subnets}
    return values


COREDNS_VALUES: Mapping[str, Any] = {"replicaCount": 2, **ON_SYSTEM_NODES}
METRICS_VALUES: Mapping[str, Any] = {"replicas": 2, **ON_SYSTEM_NODES}
MONITORING_VALUES: Mapping[str, Any] = {
    # The second one tolerates nothing by itself, and would leave every GPU node unwatched.
    "nodeAgent": {"tolerations": EVERYTHING},
    "dcgmAgent": {"tolerations": EVERYTHING},
}


def disk_values(tags: Mapping[str, str]) -> dict[str, Any]:
    """Return the EBS driver's values: `tags` are those of every volume that it makes."""
    return {"controller": {"extraVolumeTags": dict(tags), **ON_SYSTEM_NODES}, "node": {"tolerateAllTaints": True}}


def _addon(
    component: Component,
    part: versions.Addon,
    cluster: Cluster,
    *,
    after: Sequence[pulumi.Resource],
    values: pulumi.Input[str] | None = None,
    role: tuple[str, aws.iam.Role] | None = None,
) -> aws.eks.Addon:
    return aws.eks.Addon(
        part.name,
        cluster_name=cluster.resource.name,
        addon_name=part.name,
        addon_version=part.version(cluster.spec.version),
        configuration_values=values,
        pod_identity_associations=[{"service_account": role[0], "role_arn": role[1].arn}] if role else None,
        # What it finds is never a person's work: nothing is there yet, or an older version of itself.
        resolve_conflicts_on_create="OVERWRITE",
        resolve_conflicts_on_update="OVERWRITE",
        tags=component.tags,
        opts=component.child(depends_on=list(after), custom_timeouts=TIMEOUTS),
    )


class NodeAddons(Component):
    """What must be there before the first node."""

    def __init__(
        self,
        name: str,
        *,
        site: Site,
        cluster: Cluster,
        network: Network,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("NodeAddons", name, site, opts)
        zones = dict(zip(site.aws.zones, network.pod_subnet_ids, strict=False))
        values = pulumi.Output.json_dumps(network_values(zones, site.region, cluster.security_group_id), sort_keys=True)
        after = [*network.ready]
        self.ready: list[pulumi.Resource] = [
            _addon(self, versions.VPC_CNI, cluster, values=values, after=after),
            _addon(self, versions.POD_IDENTITY, cluster, after=after),
            _addon(self, versions.KUBE_PROXY, cluster, after=after),
        ]
        self.register_outputs({})


class Addons(Component):
    """What stands on the system nodes, and the roles of what else does."""

    def __init__(
        self,
        name: str,
        *,
        site: Site,
        cluster: Cluster,
        nodes: SystemNodes,
        key_arn: pulumi.Input[str],
        boundary: str | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("Addons", name, site, opts)
        self.boundary = boundary
        after = nodes.ready
        disks, disks_ready = self._disks_role(key_arn)
        self.ready: list[pulumi.Resource] = [
            _addon(self, versions.COREDNS, cluster, values=_text(COREDNS_VALUES), after=after),
            _addon(
                self,
                versions.EBS_CSI,
                cluster,
                values=_text(disk_values(site.tags("volumes"))),
                role=(EBS_ACCOUNT, disks),
                after=[*after, *disks_ready],
            ),
            _addon(self, versions.METRICS_SERVER, cluster, values=_text(METRICS_VALUES), after=after),
            _addon(self, versions.NODE_MONITORING, cluster, values=_text(MONITORING_VALUES), after=after),
            *self._balancer(cluster),
        ]
        self.register_outputs({})

    def _disks_role(self, key_arn: pulumi.Input[str]) -> tuple[aws.iam.Role, list[pulumi.Resource]]:
        return pod_role(
            self,
            "ebs-csi",
            description="The EBS driver's controller: it makes and attaches volumes.",
            policies={"key": disk_key("Volume", self.site, pulumi.Output.from_input(key_arn))},
            managed=[f"arn:{self.site.aws.partition}:iam::aws:policy/service-role/AmazonEBSCSIDriverPolicy"],
            boundary=self.boundary,
        )

    def _balancer(self, cluster: Cluster) -> list[pulumi.Resource]:
        role, ready = pod_role(
            self,
            "load-balancers",
            description="The load balancer controller: it makes network load balancers for services of the cluster.",
            policies=balancer.policies(self.site, cluster.name),
            boundary=self.boundary,
        )
        bound = association(
            self,
            "load-balancers",
            cluster=cluster.resource.name,
            namespace=NAMESPACE,
            service_account=balancer.SERVICE_ACCOUNT,
            role=role,
            after=ready,
        )
        return [*ready, bound]


def _text(values: Mapping[str, Any]) -> str:
    return json.dumps(values, sort_keys=True)
