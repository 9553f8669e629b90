from __future__ import annotations

import subprocess
import sys

import pytest

from clusterrules import variants
from clusterrules.base import documents
from mlplat.targets.aws import machines
from mlplat.targets.kubernetes import edge
from mlplat.targets.kubernetes.addons.footprint import Footprint, Kept, footprint, mib, milli

ASIDE = 0.15
"""Part of a small node that its own agents, and what the cloud puts on every node, take."""


def test_the_sum_is_that_of_its_parts() -> None:
    found = Footprint(
        (
            Kept("queues", "kueue", 2, 200, 512),
            Kept("queues", "jobset", 1, 50, 128),
            Kept("monitoring", "node-metrics", 1, 10, 32, everywhere=True),
            Kept("services", "tracking", 2, 250, 1024),
        )
    )
    assert found.groups == {"queues": (3, 450, 1152), "services": (2, 500, 2048)}
    assert found.total == (5, 950, 3200)
    assert found.on_every_node == (10, 32)


def test_a_small_cluster_keeps_less_for_itself() -> None:
    staging, small = (footprint(variants.case(name).spec).total for name in ("staging", "small"))
    assert all(ours < theirs for ours, theirs in zip(small, staging, strict=True))


def test_what_somebody_else_keeps_is_not_counted_but_for_our_own_proxies() -> None:
    assert set(footprint(variants.case("adopted").spec).groups) == {"services", "gateway"}
    assert set(footprint(variants.case("alone").spec).groups) == {"services"}


@pytest.mark.parametrize("name", ["staging", "small"])
def test_services_count_what_their_pods_ask_for(name: str) -> None:
    case = variants.case(name)
    asked = 0
    for each in documents(case, "Deployment", "StatefulSet"):
        pods = each.inputs["spec"]["template"]["spec"]["containers"]
        asked += each.inputs["spec"]["replicas"] * sum(milli(pod["resources"]["requests"]["cpu"]) for pod in pods)
    assert footprint(case.spec).groups["services"][1] == asked


def test_proxies_count_what_the_gateway_is_told() -> None:
    case = variants.case("staging")
    told = documents(case, "EnvoyProxy")[0].inputs["spec"]["provider"]["kubernetes"]["envoyDeployment"]
    proxies = next(each for each in footprint(case.spec).lines if each.name == "proxy")
    assert told["container"]["resources"]["requests"] == {"cpu": edge.CPU, "memory": edge.MEMORY}
    assert proxies.replicas == case.spec.kubernetes.exposure.replicas
    assert proxies.cpu_m > milli(edge.CPU)


@pytest.mark.parametrize("name", ["prod", "dev"])
def test_the_platform_fits_on_the_system_nodes_of_its_stack(name: str) -> None:
    spec = variants.case(name).spec
    assert spec.aws is not None
    nodes = spec.aws.cluster.system_nodes
    each = min((machines.find(kind) for kind in nodes.instance_types), key=lambda found: found.memory_gib)
    _, cpu, memory = footprint(spec).total
    assert cpu < nodes.size * each.vcpus * 1000 * (1 - ASIDE)
    assert memory < nodes.size * each.memory_gib * 1024 * (1 - ASIDE)


@pytest.mark.parametrize(("written", "read"), [("512Mi", 512), ("2Gi", 2048), ("1048576", 1), ("1.5Gi", 1536)])
def test_memory_is_read_as_kubernetes_writes_it(written: str, read: int) -> None:
    assert mib(written) == read


@pytest.mark.parametrize(("written", "read"), [("100m", 100), ("2", 2000), ("0.25", 250)])
def test_processors_are_read_as_kubernetes_writes_them(written: str, read: int) -> None:
    assert milli(written) == read


def test_it_is_told_without_the_engine() -> None:
    code = (
        "import sys; from mlplat.spec.platform import PlatformSpec;"
        "from mlplat.targets.kubernetes.addons.footprint import footprint; footprint(PlatformSpec());"
        "sys.exit('pulumi' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
