from __future__ import annotations

import json
from typing import Any

import pytest

import awscluster
import awsparts
from mlplat.targets.aws import charts, pools
from mlplat.targets.aws.tolerations import tolerates

SYSTEM = {"key": "CriticalAddonsOnly", "value": "true", "effect": "NoSchedule"}
POOLS = awscluster.pools(
    cpu={},
    whole={"instance_types": ["g6.xlarge"], "teams": ["flights"]},
    shared={"instance_types": ["g6.xlarge", "g5.xlarge"], "shared_by": 4},
    fast={"instance_types": ["p5.48xlarge"], "efa": True},
)


def karpenter(**written: Any) -> dict[str, Any]:
    return charts.karpenter(
        awsparts.site(**written), POOLS, cluster="cluster", endpoint="https://endpoint", queue="queue"
    )


def balancers() -> dict[str, Any]:
    return charts.load_balancers(awsparts.site(), cluster="cluster", vpc="vpc-1")


ON_SYSTEM = {"karpenter": karpenter(), "load balancers": balancers()}
ON_GPUS = {"device plugin": charts.device_plugin(POOLS), "metrics": charts.gpu_metrics()}


@pytest.mark.parametrize("name", ON_SYSTEM)
def test_controllers_stand_on_system_nodes_and_ask_for_room(name: str) -> None:
    """Without a request they are the first to be evicted, and nothing would make nodes any more."""
    values = ON_SYSTEM[name]
    assert tolerates(values["tolerations"], SYSTEM)
    assert values["nodeSelector"] == {"mlplat/pool": "system"}
    assert values.get("replicas", values.get("replicaCount")) == 2
    assert values.get("controller", values)["resources"]["requests"]["memory"]


@pytest.mark.parametrize("name", ON_GPUS)
@pytest.mark.parametrize("pool", [name for name, each in POOLS.items() if pools.has_gpus(each)])
def test_what_serves_gpus_stands_on_every_node_that_has_one(name: str, pool: str) -> None:
    values, spec = ON_GPUS[name], POOLS[pool]
    for taint in pools.taints(pool, spec):
        assert tolerates(values["tolerations"], taint), taint
    assert values["nodeSelector"].items() <= pools.labels(pool, spec).items()


def test_the_fast_network_s_plugin_stands_where_there_is_one() -> None:
    values, spec = charts.efa_plugin(), POOLS["fast"]
    assert all(tolerates(values["tolerations"], taint) for taint in pools.taints("fast", spec))
    assert values["nodeSelector"].items() <= pools.labels("fast", spec).items()
    assert values["nodeSelector"].keys().isdisjoint(pools.labels("whole", POOLS["whole"]))


def test_every_node_finds_the_settings_that_its_label_names() -> None:
    named = charts.device_plugin(POOLS)["config"]
    assert named["default"] in named["map"]
    for name, spec in POOLS.items():
        if pools.has_gpus(spec):
            assert pools.labels(name, spec)["nvidia.com/device-plugin.config"] in named["map"]


def test_a_share_has_another_name_than_a_whole_gpu() -> None:
    named = charts.device_plugin(POOLS)["config"]["map"]
    slices = json.loads(named["shared-4"])["sharing"]["timeSlicing"]
    assert slices["renameByDefault"] is True
    assert slices["resources"] == [{"name": "nvidia.com/gpu", "replicas": 4}]
    assert "sharing" not in json.loads(named["whole"])


def test_karpenter_knows_its_cluster_and_hears_of_ends() -> None:
    settings = karpenter()["settings"]
    assert (settings["clusterName"], settings["clusterEndpoint"]) == ("cluster", "https://endpoint")
    assert settings["interruptionQueue"] == "queue"
    assert settings["eksControlPlane"] is True
    assert settings["featureGates"]["nodeOverlay"] is True


def test_karpenter_is_told_of_networks_that_are_not_plain() -> None:
    plain = karpenter()["settings"]
    assert plain["isolatedVPC"] is False
    assert "reservedENIs" not in plain
    assert karpenter(network={"isolated": True})["settings"]["isolatedVPC"] is True
    assert karpenter(network={"pod_cidr": "100.64.0.0/16"})["settings"]["reservedENIs"] == "1"


def test_the_load_balancer_controller_asks_nobody_where_it_is_and_stops_nobody_while_it_is_down() -> None:
    values = balancers()
    assert (values["region"], values["vpcId"]) == (awsparts.REGION, "vpc-1")
    assert values["enableServiceMutatorWebhook"] is False
    assert values["keepTLSSecret"] is True
    assert values["defaultTags"]["mlplat:deployment"] == awsparts.DEPLOYMENT
    # Its policy holds none of what these would ask for.
    assert not any(values[each] for each in ("enableShield", "enableWaf", "enableWafv2"))


def test_nothing_waits_for_definitions_that_nobody_has_made() -> None:
    assert charts.gpu_metrics()["serviceMonitor"] == {"enabled": False}
