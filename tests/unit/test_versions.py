from __future__ import annotations

import re

import pytest

from mlplat import versions
from mlplat.spec.aws.cluster import ClusterSpec
from mlplat.spec.kubernetes import KubernetesSpec
from mlplat.versions import Addon, Chart, Definitions

FLOORS = {("karpenter", "1.35"): (1, 9), ("karpenter", "1.36"): (1, 13)}
"""Oldest version that works with a Kubernetes, as its makers say."""
CEILINGS = {("external-secrets", "1.35"): (2, 9)}
"""First version that its makers no longer test with a Kubernetes."""
WORKS: dict[str, dict[str, tuple[str, ...]]] = {
    "gateway-helm": {"1.9": ("1.33", "1.34", "1.35", "1.36")},
    "karpenter": {"1.14": ("1.35", "1.36")},
    "karpenter-crd": {"1.14": ("1.35", "1.36")},
    "external-secrets": {"2.8": ("1.35", "1.36"), "2.9": ("1.36",)},
}
"""By chart and minor version: what its makers say that it works on. Others name no versions of Kubernetes."""
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


@pytest.mark.parametrize("kubernetes", versions.KUBERNETES)
@pytest.mark.parametrize("chart", versions.CHARTS, ids=lambda each: each.name)
def test_no_chart_is_newer_than_a_kubernetes_takes(chart: Chart, kubernetes: str) -> None:
    ceiling = CEILINGS.get((chart.name, kubernetes))
    assert ceiling is None or numbers(chart.version) < ceiling


@pytest.mark.parametrize("chart", versions.CHARTS, ids=lambda each: each.name)
def test_no_chart_is_said_to_work_on_more_than_its_makers_say(chart: Chart) -> None:
    told = WORKS.get(chart.name, {}).get(".".join(map(str, numbers(chart.version)[:2])))
    assert chart.name not in WORKS or told, "its makers say nothing of this minor version: read and add it"
    assert told is None or set(chart.kubernetes) <= set(told)


@pytest.mark.parametrize("definitions", versions.DEFINITIONS, ids=lambda each: each.name)
def test_definitions_come_from_an_address_that_never_changes(definitions: Definitions) -> None:
    assert EXACT.fullmatch(definitions.version)
    assert set(definitions.kubernetes) >= set(versions.KUBERNETES)
    for file in definitions.files:
        assert f"/v{definitions.version}/" in file.address
        assert file.address.startswith("https://")
        assert re.fullmatch(r"[0-9a-f]{64}", file.sha256)
        assert not re.search(r"/(main|master|latest|HEAD)/", file.address)
    assert len({each.sha256 for each in definitions.files}) == len(definitions.files)


@pytest.mark.parametrize(
    ("definitions", "chart"),
    [
        (versions.ENVOY_GATEWAY_DEFINITIONS, versions.ENVOY_GATEWAY),
        (versions.JOBSET_DEFINITIONS, versions.JOBSET),
    ],
)
def test_definitions_are_of_the_version_of_their_chart(definitions: Definitions, chart: Chart) -> None:
    assert definitions.version == chart.version


def test_monitors_are_defined_by_the_operator_that_reads_them() -> None:
    assert versions.MONITORING_DEFINITIONS.app == versions.MONITORING.app


def test_argo_is_one_that_lets_people_sign_on() -> None:
    assert numbers(versions.ARGO_WORKFLOWS.app)[:2] == (4, 0), "4.1.0 and 4.1.1 do not; read 4.1's notes first"


def test_no_chart_is_there_twice() -> None:
    names = [*(each.name for each in versions.CHARTS), *(each.name for each in versions.DEFINITIONS)]
    assert sorted(names) == sorted(set(names))


def test_a_stack_file_offers_exactly_the_kubernetes_that_is_known_to_work() -> None:
    offered = KubernetesSpec.model_json_schema()["properties"]["version"]["enum"]
    assert tuple(offered) == versions.KUBERNETES


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
