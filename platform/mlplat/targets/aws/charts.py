"""Values of the charts that stand between the cluster and its workloads, as plain values.

Only what differs from a chart's own defaults is said. What is kept on system nodes carries their selector and their
toleration; what belongs on every node with GPUs tolerates whatever taint such a node has, teams' among them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mlplat.spec.capacity import PoolSpec
from mlplat.targets.aws import balancer, pools
from mlplat.targets.aws.site import Site
from mlplat.targets.aws.tolerations import EFA_PRESENT, EVERYTHING, GPU, GPU_PRESENT, ON_SYSTEM_NODES

ONE_INTERFACE = "1"


def karpenter(site: Site, spec: Mapping[str, PoolSpec], *, cluster: Any, endpoint: Any, queue: Any) -> dict[str, Any]:
    """Return Karpenter's values; names and addresses may be outputs."""
    settings = {
        "clusterName": cluster,
        "clusterEndpoint": endpoint,
        "interruptionQueue": queue,
        "eksControlPlane": True,
        "isolatedVPC": site.aws.network.isolated,
        # A family that is sold out must not keep work from a machine of another.
        "minValuesPolicy": "BestEffort",
        "ignoreDRARequests": True,
        "featureGates": pools.gates(spec),
    }
    if site.aws.network.pod_cidr:
        # A node's first interface gives no address to pods that have subnets of their own.
        settings["reservedENIs"] = ONE_INTERFACE
    return {
        "settings": settings,
        "replicas": 2,
        "serviceAccount": {"name": "karpenter"},
        # The chart asks for nothing, and the first to be evicted would be what makes nodes.
        "controller": {
            "resources": {"requests": {"cpu": "200m", "memory": "512Mi"}, "limits": {"memory": "1Gi"}},
        },
        **ON_SYSTEM_NODES,
    }


def load_balancers(site: Site, *, cluster: Any, vpc: Any) -> dict[str, Any]:
    """Return the load balancer controller's values: network load balancers for services, nothing else."""
    return {
        "clusterName": cluster,
        # Pods cannot ask the instance for these: its metadata are one hop away, and no more.
        "region": site.region,
        "vpcId": vpc,
        "serviceAccount": {"name": balancer.SERVICE_ACCOUNT},
        "replicaCount": 2,
        "podDisruptionBudget": {"maxUnavailable": 1},
        # While the controller is down, this hook would refuse every new service of the whole cluster.
        "enableServiceMutatorWebhook": False,
        # A new certificate at every `up` would be a difference at every `up`.
        "keepTLSSecret": True,
        "controllerConfig": {"featureGates": {"ALBGatewayAPI": False, "NLBGatewayAPI": False}},
        "enableShield": False,
        "enableWaf": False,
        "enableWafv2": False,
        "createIngressClassResource": False,
        "ingressClassParams": {"create": False},
        "defaultTargetType": "ip",
        "defaultTags": site.tags("load-balancers"),
        "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}},
        **ON_SYSTEM_NODES,
    }


def device_plugin(spec: Mapping[str, PoolSpec]) -> dict[str, Any]:
    """Return the NVIDIA device plugin's values: one named set of settings for each way in which GPUs are shared."""
    named = {pools.plugin_config(pool): _sharing(pool.shared_by) for pool in spec.values() if pools.has_gpus(pool)}
    return {
        "config": {
            "map": {pools.WHOLE: _sharing(1), **dict(sorted(named.items()))},
            "default": pools.WHOLE,
        },
        "nodeSelector": {GPU_PRESENT: "true"},
        "tolerations": EVERYTHING,
        "resources": {"requests": {"cpu": "20m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}},
    }


def gpu_metrics() -> dict[str, Any]:
    """Return the GPU metrics exporter's values."""
    return {
        # Nobody has defined monitors yet when it is installed, and it would fail.
        "serviceMonitor": {"enabled": False},
        "nodeSelector": {GPU_PRESENT: "true"},
        "tolerations": EVERYTHING,
        # Eight GPUs need about half a GiB.
        "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "1Gi"}},
    }


def efa_plugin() -> dict[str, Any]:
    """Return the EFA device plugin's values."""
    return {
        # By our label and not by the chart's own list of types, which is older than the newest of them.
        "supportedInstanceLabels": {"keys": [EFA_PRESENT], "values": ["true"]},
        "nodeSelector": {EFA_PRESENT: "true"},
        "tolerations": EVERYTHING,
    }


def _sharing(shares: int) -> str:
    settings: dict[str, Any] = {"version": "v1", "flags": {"migStrategy": "none"}}
    if shares > 1:
        # Renamed: whoever asks for `nvidia.com/gpu` gets a whole one or none, and never a part by surprise.
        slices = {"renameByDefault": True, "failRequestsGreaterThanOne": True}
        settings["sharing"] = {"timeSlicing": {**slices, "resources": [{"name": GPU, "replicas": shares}]}}
    return json.dumps(settings, sort_keys=True)
