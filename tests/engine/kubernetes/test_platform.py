"""The Kubernetes target under a real engine, on a real API server: made, made again, changed, looked at, ended.

Charts are somebody else's here (`adopt`), and nothing runs pods: what a kubelet and Envoy Gateway would write into the
status of what `up` has made, `answered` writes.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from kubeapi import Api
from kubeengine import Repository, spec
from mlplat.cluster import Cluster
from mlplat.manifests import names
from mlplat.spec.base import read_yaml

pytestmark = [pytest.mark.engine, pytest.mark.cluster]
SERVICES = ("tracking", "controller")
KINDS = {"Deployment": "apps/v1", "StatefulSet": "apps/v1"}


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory, server: Api) -> Repository:
    """Return a platform that stands."""
    made = Repository(tmp_path_factory.mktemp("platform"), server)
    made.write(spec(server))
    made.run("up", "--yes")
    return made


def config(platform: Repository) -> dict[str, Any]:
    """Return what the stack file holds now."""
    found: dict[str, Any] = read_yaml(platform.file.read_text(), str(platform.file))["config"]
    return found


def answered(cluster: Cluster) -> None:
    """Write what would be there once everything runs."""
    for kind, version in KINDS.items():
        for each in cluster.list(version, kind, names.NAMESPACE):
            wanted = each["spec"].get("replicas", 1)
            counts = dict.fromkeys(("replicas", "readyReplicas", "updatedReplicas", "availableReplicas"), wanted)
            told = {"status": {"observedGeneration": each["metadata"]["generation"], **counts}}
            cluster.merge(version, kind, each["metadata"]["name"], told, names.NAMESPACE, status=True)
    true = {"status": "True", "reason": "Programmed", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    conditions = [{"type": "Programmed", **true}]
    cluster.merge(
        "gateway.networking.k8s.io/v1",
        "Gateway",
        names.GATEWAY,
        {"status": {"conditions": conditions}},
        names.NAMESPACE,
        status=True,
    )


def test_up_makes_the_platform_in_an_order_that_a_cluster_can_take(platform: Repository) -> None:
    made = platform.changed()
    kinds = [each.type.rpartition(":")[2] for each in made]
    assert {each.action for each in made} == {"create"}
    with platform.cluster as cluster:
        there = {each["metadata"]["name"] for each in cluster.list("apps/v1", "Deployment", names.NAMESPACE)}
        assert {*SERVICES} <= there
        assert cluster.knows(names.API_VERSION, "ModelEndpoint")
        assert cluster.get("v1", "Namespace", "flights") is not None
    home = [each.identity for each in made].index(names.NAMESPACE)
    assert all(index > home for index, each in enumerate(made) if each.identity.startswith(f"{names.NAMESPACE}/"))
    assert kinds.index("GatewayClass") < kinds.index("Gateway")


def test_the_stack_file_names_the_cluster_and_another_one_is_refused(platform: Repository) -> None:
    written = platform.file.read_text()
    mine = config(platform)["mlplat:cluster"]
    platform.file.write_text(written.replace(mine, "00000000-0000-0000-0000-000000000000"))
    for verb in (("up", "--yes"), ("up", "--preview"), ("down", "--yes", "--delete-data", "--confirm", "mlplat")):
        refused = platform.run(*verb, code=1)
        assert f"leads to the cluster {mine}" in refused.err
    # The engine itself asks the cluster which it is: whatever waits for the platform's namespace is not touched.
    plain = platform.plain("up", "--yes", "--skip-preview", code=None)
    assert plain.code != 0
    assert f"leads to the cluster {mine}" in plain.out + plain.err
    assert platform.changed() == []
    platform.file.write_text(written)


def test_a_second_up_and_the_engines_own_command_change_nothing(platform: Repository) -> None:
    again = platform.run("up", "--yes", "--json")
    assert json.loads(again.out)["changes"] == []
    platform.plain("up", "--yes", "--skip-preview")
    assert platform.changed() == []


def test_status_tells_what_is_not_ready_until_it_is(platform: Repository) -> None:
    waits = platform.run("status", "--json", code=1)
    before = {(each["group"], each["name"]): each for each in json.loads(waits.out)}
    assert not before["service", "tracking"]["ready"]
    assert before["add-on", "queues"]["ready"]
    with platform.cluster as cluster:
        answered(cluster)
    ready = platform.run("status")
    assert all(f"{name} " in ready.out for name in SERVICES)
    assert " no " not in ready.out


def test_projects_find_the_platform_and_its_teams_namespaces(platform: Repository) -> None:
    outputs = json.loads(platform.run("outputs", "--json").out)
    assert outputs["connection"]["namespaces"] == {"flights": "flights"}
    assert outputs["connection"]["store"].startswith("kubernetes:tests?kubeconfig=/")
    assert outputs["endpoints"]["tracking"] == "http://tracking.mlplat.svc:5000"
    assert "no endpoint exists yet" in platform.run("endpoint", "list").err
    foreign = platform.run("endpoint", "show", "elsewhere/late", code=1)
    assert "belongs to no team" in foreign.err


def test_a_changed_setting_changes_that_and_nothing_else(platform: Repository, server: Api) -> None:
    platform.write(spec(server, teams={"flights": {"cpu": 9}}))
    platform.run("up", "--yes")
    changed = platform.changed()
    assert {(each.action, each.type.rpartition(":")[2]) for each in changed} <= {
        ("update", "ResourceQuota"),
        ("update", "ClusterQueue"),
    }
    assert any(each.type.endswith("ResourceQuota") for each in changed)
    with platform.cluster as cluster:
        quota = cluster.list("v1", "ResourceQuota", "flights")[0]["spec"]["hard"]
    assert quota["requests.cpu"] == "9"


def test_down_wants_to_be_told_that_the_data_goes_and_leaves_an_empty_cluster(platform: Repository) -> None:
    refused = platform.run("down", "--yes", code=2)
    assert "--delete-data" in refused.err
    platform.run("down", "--yes", "--delete-data", "--confirm", "mlplat")
    ended = [each.type.rpartition(":")[2] for each in platform.changed() if each.action == "delete"]
    assert ended.index("Gateway") < ended.index("GatewayClass")
    with platform.cluster as cluster:
        left = {each["metadata"]["name"] for each in cluster.list("v1", "Namespace")}
        assert not {names.NAMESPACE, "flights"} & left
        assert cluster.list("gateway.networking.k8s.io/v1", "Gateway") == []
