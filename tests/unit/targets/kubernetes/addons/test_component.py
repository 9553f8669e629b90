from __future__ import annotations

import functools
from typing import Any

import pulumi
import pytest

import capture
import definitionfiles
from capture import Graph
from clusterrules import variants
from mlplat import versions
from mlplat.errors import UsageError
from mlplat.spec.platform import PlatformSpec
from mlplat.targets.kubernetes import foundation
from mlplat.targets.kubernetes.addons import catalogue
from mlplat.targets.kubernetes.addons.component import Addons

RELEASE = "kubernetes:helm.sh/v3:Release"


def made(spec: PlatformSpec) -> tuple[Graph, dict[str, Any]]:
    """Return what the component declares for a platform, and what it hands to others: keys of resources."""
    found: dict[str, Any] = {}

    def program() -> None:
        addons = Addons("addons", spec, ground=foundation.provide(spec, "0123456789abcdef"))
        found["crds"] = [key(each) for each in addons.crds]
        found["ready"] = {name: [key(each) for each in group] for name, group in addons.ready.items()}

    with definitionfiles.given():
        return capture.run(program), found


def key(resource: pulumi.Resource) -> str:
    return f"{resource._type}::{resource._name}"


@functools.cache
def staging() -> tuple[Graph, dict[str, Any]]:
    return made(variants.changed("staging", {}))


def test_every_group_says_what_to_wait_for() -> None:
    _, found = staging()
    assert set(found["ready"]) == set(catalogue.GROUPS)
    assert all(found["ready"].values())
    assert f"{RELEASE}::gateway-helm" in found["ready"]["gateway"]


def test_every_chart_waits_for_every_definition() -> None:
    graph, found = staging()
    definitions = set(found["crds"])
    assert len(definitions) == sum(len(each.files) for each in versions.DEFINITIONS) + 1
    for each in graph.of(RELEASE):
        assert definitions <= {*each.depends_on, each.key} or each.key in definitions


def test_a_group_waits_for_the_group_that_it_needs() -> None:
    graph, _ = staging()
    assert f"{RELEASE}::kube-prometheus-stack" in graph.one(RELEASE, "opencost").depends_on


def test_a_chart_of_a_registry_names_no_repository_beside_it() -> None:
    graph, _ = staging()
    for each in graph.of(RELEASE):
        assert str(each.inputs["chart"]).startswith("oci://") != ("repositoryOpts" in each.inputs)


@pytest.mark.parametrize("how", ["adopt", "off"])
def test_what_is_not_installed_is_waited_for_by_nobody(how: str) -> None:
    addons = dict.fromkeys(catalogue.GROUPS, how)
    changed = variants.changed("staging", {"kubernetes.addons": addons, "kubernetes.exposure.pages": None})
    graph, found = made(changed)
    assert found == {"crds": [], "ready": {name: [] for name in catalogue.GROUPS}}
    assert [each for each in graph if each.type.startswith("kubernetes:")] == []


def test_a_team_cannot_be_called_as_a_namespace_of_an_addon() -> None:
    spec = variants.changed("staging", {"teams": {"monitoring": {}}})
    with pytest.raises(UsageError, match=r"`teams\.monitoring`: an add-on has a namespace of that name"):
        made(spec)
