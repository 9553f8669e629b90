from __future__ import annotations

import re

import pytest

from mlplat import versions
from mlplat.spec.aws.cluster import ClusterSpec
from mlplat.versions import Addon, Chart

FLOORS = {("karpenter", "1.35"): (1, 9), ("karpenter", "1.36"): (1, 13)}
"""Oldest version that works with a Kubernetes, as its makers say."""
EXACT = re.compile(r"v?\d+\.\d+\.\d+")


def numbers(version: str) -> tuple[int, ...]:
    return tuple(int(each) for each in version.removeprefix("v").split("-")[0].split("."))


def test_the_default_kubernetes_is_one_that_all_of_this_works_with() -> None:
    assert ClusterSpec().version in versions.KUBERNETES


@pytest.mark.parametrize("addon", versions.ADDONS, ids=lambda each: each.name)
@pytest.mark.parametrize("kubernetes", versions.KUBERNETES)
def test_every_addon_has_a_build_for_every_kubernetes(addon: Addon, kubernetes: str) -> None:
    assert re.fullmatch(r"v\d+\.\d+\.\d+-eksbuild\.\d+", addon.version(kubernetes))


@pytest.mark.parametrize("kubernetes", versions.KUBERNETES)
def test_the_proxy_is_of_the_cluster_s_own_version(kubernetes: str) -> None:
    assert versions.KUBE_PROXY.version(kubernetes).startswith(f"v{kubernetes}.")


@pytest.mark.parametrize("chart", versions.CHARTS, ids=lambda each: each.name)
def test_every_chart_is_pinned_and_takes_every_kubernetes(chart: Chart) -> None:
    assert EXACT.fullmatch(chart.version), "a range would change under a running cluster"
    assert set(chart.kubernetes) >= set(versions.KUBERNETES)
    assert chart.reason.endswith(".")
    assert chart.oci == chart.repository.endswith(f"/{chart.name}")


@pytest.mark.parametrize("kubernetes", versions.KUBERNETES)
@pytest.mark.parametrize("chart", versions.CHARTS, ids=lambda each: each.name)
def test_no_chart_is_older_than_a_kubernetes_asks_for(chart: Chart, kubernetes: str) -> None:
    name = "karpenter" if chart.name.startswith("karpenter") else chart.name
    assert numbers(chart.version) >= FLOORS.get((name, kubernetes), (0,))


def test_the_load_balancer_controller_is_not_one_with_a_known_hole() -> None:
    """GHSA-8hm3-878p-6823."""
    assert numbers(versions.LOAD_BALANCERS.version) >= (3, 4, 3)


def test_karpenter_and_its_definitions_are_of_one_version() -> None:
    assert versions.KARPENTER.version == versions.KARPENTER_CRDS.version


def test_the_machine_image_is_a_date_and_not_the_latest() -> None:
    assert re.fullmatch(r"al2023@v20\d{6}", versions.MACHINE_IMAGE)


@pytest.mark.parametrize("kubernetes", versions.KUBERNETES)
def test_kubectl_is_at_most_one_minor_away(kubernetes: str) -> None:
    ours = numbers(versions.KUBECTL.rpartition(":")[2])
    assert abs(ours[1] - numbers(kubernetes)[1]) <= 1
