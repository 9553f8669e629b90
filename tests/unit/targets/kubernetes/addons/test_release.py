from __future__ import annotations

import json
from typing import Any

import pytest

from mlplat.spec.base import parse
from mlplat.spec.kubernetes import KubernetesSpec
from mlplat.targets.kubernetes.addons import catalogue
from mlplat.targets.kubernetes.addons.release import Part, Release
from mlplat.targets.kubernetes.addons.standing import Standing
from mlplat.versions import CHARTS, KEDA

SYSTEM = {"nodeSelector": {"mlplat/pool": "system"}, "tolerations": [{"key": "CriticalAddonsOnly"}]}


def on(*, production: bool = True, **written: object) -> Standing:
    spec = parse(KubernetesSpec, {"production": production, **written}, "a test")
    return Standing(spec, "mlplat-prod", production, "gp3", SYSTEM)


def test_what_a_part_asks_for_is_written_where_the_chart_reads_it_and_nothing_else_is_lost() -> None:
    part = Part("operator", "resources.operator", 100, 128, 512)
    release = Release(
        KEDA, "keda", (part,), {"resources": {"webhooks": {"kept": True}}, "operator": {"replicaCount": 2}}
    )
    assert release.values == {
        "resources": {
            "webhooks": {"kept": True},
            "operator": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}},
        },
        "operator": {"replicaCount": 2},
    }


def test_values_are_made_anew_each_time_so_that_no_caller_changes_another_s() -> None:
    base: dict[str, Any] = {"resources": {"webhooks": {}}}
    release = Release(KEDA, "keda", (Part("operator", "resources.operator", 1, 1, 1),), base)
    release.values["resources"]["operator"]["requests"]["cpu"] = "9"
    assert release.values["resources"]["operator"]["requests"]["cpu"] == "1m"
    assert base == {"resources": {"webhooks": {}}}


def test_no_part_has_a_limit_of_processors() -> None:
    assert "cpu" not in Part("operator", "resources", 1, 1, 1).resources["limits"]


@pytest.mark.parametrize("production", [True, False])
def test_values_are_json_and_the_same_each_time(production: bool) -> None:
    made = [
        json.dumps([each.values for found in catalogue.releases(on(production=production)).values() for each in found])
        for _ in range(2)
    ]
    assert made[0] == made[1]


def test_no_part_asks_for_more_than_it_may_have() -> None:
    parts = [part for found in catalogue.releases(on()).values() for each in found for part in each.parts]
    assert [part.name for part in parts if part.memory_mib > part.limit_mib] == []
    assert [part.name for part in parts if part.cpu_m <= 0 or part.memory_mib <= 0] == []


def test_a_small_cluster_gets_one_of_each_and_a_large_one_two() -> None:
    def pods(*, production: bool) -> int:
        found = catalogue.releases(on(production=production))
        return sum(part.replicas for each in found.values() for release in each for part in release.parts)

    assert pods(production=False) < pods(production=True)


def test_every_chart_of_the_table_is_installed_by_a_group_or_by_the_cloud() -> None:
    ours = {each.chart.name for found in catalogue.releases(on()).values() for each in found}
    of_the_cloud = {
        *("karpenter-crd", "karpenter", "aws-load-balancer-controller", "nvidia-device-plugin", "dcgm-exporter"),
        "aws-efa-k8s-device-plugin",
    }
    assert ours | of_the_cloud == {each.name for each in CHARTS}
    assert not ours & of_the_cloud


@pytest.mark.parametrize("group", catalogue.GROUPS)
@pytest.mark.parametrize("how", ["adopt", "off"])
def test_a_group_that_is_not_ours_installs_nothing(group: str, how: str) -> None:
    addons = {group: how, **({"cost": "off"} if group == "monitoring" else {})}
    found = catalogue.releases(on(addons=addons))
    assert group not in found
    assert set(found) == set(catalogue.GROUPS) - set(addons)


def test_only_namespaces_that_are_used_are_made() -> None:
    alone = {name: "off" for name in catalogue.GROUPS if name != "autoscaling"}
    assert catalogue.namespaces(on(addons=alone)) == ["keda"]
    assert {*catalogue.namespaces(on())} == {*catalogue.NAMESPACES}


def test_where_nobody_reads_monitors_no_chart_makes_any() -> None:
    found = catalogue.releases(on(addons={"monitoring": "off", "cost": "off"}))
    values = json.dumps([each.values for releases in found.values() for each in releases])
    assert '"serviceMonitor": {"enabled": true}' not in values
    assert '"enablePrometheus": true' not in values
