"""Which versions resources tell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlplat.upgrades import installed, remembered
from mlplat.upgrades.parts import READERS, ROOT, numbers

DIGEST = "0123456789ab" + "0" * 52
MARKS = {"mlplat/service": "tracking", "app.kubernetes.io/version": "3.17.2"}
TOLD: list[tuple[str, Mapping[str, Any], dict[str, str]]] = [
    ("kubernetes:helm.sh/v3:Release", {"name": "kueue", "version": "0.19.2"}, {"kueue": "0.19.2"}),
    (
        "kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition",
        {"metadata": {"annotations": {"gateway.networking.k8s.io/bundle-version": "v1.6.1"}}},
        {"gateway-api": "1.6.1"},
    ),
    (
        "kubernetes:karpenter.k8s.aws/v1:EC2NodeClass",
        {"spec": {"amiSelectorTerms": [{"alias": "al2023@v20260714"}]}},
        {"machine image": "al2023@v20260714"},
    ),
    ("kubernetes:apps/v1:Deployment", {"metadata": {"labels": MARKS}}, {"tracking": "3.17.2"}),
    ("kubernetes:apps/v1:StatefulSet", {"metadata": {"labels": MARKS}}, {"tracking": "3.17.2"}),
    ("kubernetes:batch/v1:Job", {"metadata": {"labels": MARKS}}, {"tracking": "3.17.2"}),
    (
        "mlplat:kubernetes:Layer",
        {"images": {"serving": f"r.example.com/serving@sha256:{DIGEST}", "tracking": "localhost:5000/tracking:0.1-ab"}},
        {"image serving": "0123456789ab", "image tracking": "0.1-ab"},
    ),
    ("aws:eks/cluster:Cluster", {"version": "1.35"}, {"eks": "1.35"}),
    ("aws:eks/addon:Addon", {"addonName": "vpc-cni", "addonVersion": "v1.22.4-eksbuild.3"},
     {"vpc-cni": "v1.22.4-eksbuild.3"}),
    ("aws:rds/instance:Instance", {"engineVersion": "17"}, {"rds": "17"}),
]  # fmt: skip
OTHERS = [
    ("kubernetes:core/v1:Secret", {}),
    ("kubernetes:apps/v1:Deployment", {"metadata": {"name": "theirs"}}),
    ("kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition", {"metadata": {"name": "theirs"}}),
    # What only the engine will know.
    ("aws:eks/cluster:Cluster", {"version": object()}),
]
RESOURCES = [*((kind, inputs) for kind, inputs, _ in TOLD), *OTHERS]


def state(kind: str, inputs: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": kind, "inputs": inputs, **more}


def deployed(version: str) -> tuple[str, dict[str, Any]]:
    return "kubernetes:apps/v1:Deployment", {"metadata": {"labels": {**MARKS, "app.kubernetes.io/version": version}}}


@pytest.mark.parametrize(("kind", "inputs", "told"), TOLD)
def test_a_resource_tells_the_version_of_its_part(kind: str, inputs: Mapping[str, Any], told: dict[str, str]) -> None:
    assert installed([(kind, inputs)]) == told


def test_each_kind_that_tells_a_version_is_shown_above() -> None:
    assert {kind for kind, _, _ in TOLD} == set(READERS)


@given(st.permutations(RESOURCES))
def test_neither_order_nor_what_tells_nothing_matters(resources: list[tuple[str, Mapping[str, Any]]]) -> None:
    assert installed(resources) == installed((kind, inputs) for kind, inputs, _ in TOLD)


@pytest.mark.parametrize("order", [1, -1])
def test_of_a_migration_that_ran_and_a_service_that_waits_the_newer_counts(order: int) -> None:
    assert installed([deployed("3.9.0"), deployed("3.17.2")][::order]) == {"tracking": "3.17.2"}


def test_a_declared_resource_tells_by_pythons_names_what_a_state_tells_by_the_engines() -> None:
    kind = "aws:eks/addon:Addon"
    told = {"addon_name": "coredns", "addon_version": "v1.13.2"}
    assert installed([(kind, told)]) == installed([(kind, {"addonName": "coredns", "addonVersion": "v1.13.2"})])


def test_resources_know_better_than_the_outputs_of_an_up_that_did_not_end() -> None:
    root = {"type": ROOT, "outputs": {"versions": {"mlplat": "0.1.0", "tracking": "3.16.0"}}}
    assert remembered([root, state(*deployed("3.17.2"))]) == {"mlplat": "0.1.0", "tracking": "3.17.2"}


def test_what_has_ended_or_was_replaced_has_no_version() -> None:
    root = {"type": ROOT, "outputs": {"versions": {"mlplat": "0.1.0", "tracking": "3.16.0"}}}
    assert remembered([root]) == {"mlplat": "0.1.0"}
    assert remembered([root, state(*deployed("3.17.2"), delete=True)]) == {"mlplat": "0.1.0"}


@pytest.mark.parametrize("nothing", [[], [{"type": ROOT}], [{"type": ROOT, "outputs": {"deployment": "abc"}}]])
def test_a_state_that_says_nothing_of_versions_has_none(nothing: list[dict[str, Any]]) -> None:
    assert remembered(nothing) == {}


@pytest.mark.parametrize(
    ("version", "found"),
    [
        ("1.35", (1, 35)),
        ("v1.22.4-eksbuild.3", (1, 22, 4)),
        ("17.6", (17, 6)),
        ("0.2.0.dev1+local", (0, 2, 0)),
        ("latest", ()),
        ("", ()),
    ],
)
def test_a_version_is_compared_by_its_numbers(version: str, found: tuple[int, ...]) -> None:
    assert numbers(version) == found
