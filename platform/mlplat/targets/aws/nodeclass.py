"""How the machines of a pool are set up: Karpenter's EC2NodeClass, as a value.

One class a pool, since disk, network cards and reservations are a pool's own.
"""

from __future__ import annotations

import json
from typing import Any

from mlplat import versions
from mlplat.spec.capacity import PoolSpec
from mlplat.targets.aws import machines
from mlplat.targets.aws.network import DISCOVERY
from mlplat.targets.aws.placement import group_name
from mlplat.targets.aws.site import Site
from mlplat.targets.aws.spend import TEAM, team_tag

API = "karpenter.k8s.aws/v1"
GROUP, KIND = API.partition("/")[0], "EC2NodeClass"
DEVICE = "/dev/xvda"
IOPS = 3000
THROUGHPUT, GPU_THROUGHPUT = 125, 600
"""MiB a second; images and weights of GPU nodes are tens of gigabytes, and 125 would read them for minutes."""
POOL_TAG = "mlplat:pool"


def node_class(name: str, pool: PoolSpec, *, site: Site, cluster: Any, node_role: Any, key: Any) -> dict[str, Any]:
    """Return a pool's node class; the cluster's name, the nodes' role and the disks' key may be outputs."""
    return {
        "apiVersion": API,
        "kind": KIND,
        "metadata": {"name": name},
        "spec": {
            # In an isolated network nobody can make a profile: IAM has no endpoint there.
            **({"instanceProfile": node_role} if site.aws.network.isolated else {"role": node_role}),
            "amiSelectorTerms": [{"alias": versions.MACHINE_IMAGE}],
            "subnetSelectorTerms": _subnets(site, cluster),
            "securityGroupSelectorTerms": [{"tags": {DISCOVERY: cluster}}],
            "associatePublicIPAddress": False,
            "blockDeviceMappings": [_disk(pool, key)],
            "instanceStorePolicy": "RAID0",
            "metadataOptions": {"httpEndpoint": "enabled", "httpTokens": "required", "httpPutResponseHopLimit": 1},
            # The provider's default tags do not reach what Karpenter makes.
            "tags": _tags(name, pool, site),
            "userData": json.dumps(node_config(), sort_keys=True),
            **_reservations(pool),
            **_network_cards(name, pool, cluster),
        },
    }


def _tags(name: str, pool: PoolSpec, site: Site) -> dict[str, str]:
    # What several teams share is on nobody's bill alone.
    teams = {TEAM: team_tag(site, pool.teams[0])} if len(pool.teams) == 1 else {}
    return {**site.tags("pools"), POOL_TAG: name, **teams}


def node_config() -> dict[str, Any]:
    """Return what a node's start-up reads beside Karpenter's own part.

    Image pulls are set here and not in the class's `kubelet`, which knows nothing of them. JSON is YAML.
    """
    kubelet = {
        "serializeImagePulls": False,
        "maxParallelImagePulls": 5,
        "registryPullQPS": 50,
        "registryBurst": 100,
    }
    return {
        "apiVersion": "node.eks.aws/v1alpha1",
        "kind": "NodeConfig",
        # On a machine of less than 4 processors or 7 GiB it does nothing, and an older image would not start with it.
        "spec": {"featureGates": {"FastImagePull": True}, "kubelet": {"config": kubelet}},
    }


def _subnets(site: Site, cluster: Any) -> list[dict[str, Any]]:
    if existing := site.aws.network.existing:
        # Somebody else's subnets carry no tag of ours.
        return [{"id": each} for each in existing.private_subnet_ids]
    return [{"tags": {DISCOVERY: cluster}}]


def _disk(pool: PoolSpec, key: Any) -> dict[str, Any]:
    gpus = any(machines.find(each).gpu_count for each in pool.instance_types)
    return {
        "deviceName": DEVICE,
        "rootVolume": True,
        "ebs": {
            "volumeSize": f"{pool.disk_gib}Gi",
            "volumeType": "gp3",
            "iops": IOPS,
            "throughput": GPU_THROUGHPUT if gpus else THROUGHPUT,
            "encrypted": True,
            "kmsKeyID": key,
            "deleteOnTermination": True,
        },
    }


def _reservations(pool: PoolSpec) -> dict[str, Any]:
    # Reservations that nobody selects are paid for and never used.
    return (
        {"capacityReservationSelectorTerms": [{"id": each} for each in pool.reservations]} if pool.reservations else {}
    )


def _network_cards(name: str, pool: PoolSpec, cluster: Any) -> dict[str, Any]:
    if not pool.efa:
        return {}
    cards = min(machines.find(each).efa_cards for each in pool.instance_types)
    fast = [{"networkCardIndex": card, "deviceIndex": 1, "interfaceType": "efa-only"} for card in range(cards)]
    first = {"networkCardIndex": 0, "deviceIndex": 0, "interfaceType": "interface"}
    return {"networkInterfaces": [first, *fast], "placementGroupSelector": {"name": group_name(cluster, name)}}
