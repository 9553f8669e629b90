"""The Kubernetes target under a real engine, on a real API server: made, changed, guarded, ended in order.

Charts are somebody else's here (`adopt`), and nothing runs pods. What every target promises is in `tests/conformance`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from commands import Done
from conformance import Standing
from conformancecluster import ABANDONED
from fakecloud.world import ENDS, Call
from kubeapi import Api
from kubeengine import Repository, spec
from mlplat import deployment, upgrades
from mlplat.environment import pinned
from mlplat.manifests import names
from mlplat.manifests.meta import SERVICE
from mlplat.spec.base import read_yaml
from mlplat.targets.kubernetes import ends

pytestmark = [pytest.mark.engine, pytest.mark.cluster]
SERVICES = ("tracking", "controller")
MLFLOW = pinned("images/tracking", "mlflow")


@pytest.fixture
def platform(kubernetes_platform: Standing) -> Repository:
    """Return the repository of the session's platform. After a test it stands as its stack file says."""
    made = kubernetes_platform.repository
    assert made is not None
    made.world.forget_calls()
    return made


@pytest.fixture
def ended(kubernetes_platform: Standing) -> tuple[Done, Sequence[Call]]:
    """Return what was said and done when the platform was ended, an endpoint on it."""
    return kubernetes_platform.end()


@pytest.fixture
def written(platform: Repository) -> Iterator[str]:
    """Return what the engine remembers of the platform; after the test it is what it was."""
    before = platform.state_file.read_text()
    yield before
    platform.state_file.write_text(before)


def config(platform: Repository) -> dict[str, Any]:
    """Return what the stack file holds now."""
    found: dict[str, Any] = read_yaml(platform.file.read_text(), str(platform.file))["config"]
    return found


def held(state: str) -> dict[str, Any]:
    """Return inputs and outputs of each resource in a state's file: all but who looked when, and by which provider."""
    return {
        each["urn"]: (each.get("inputs"), each.get("outputs"))
        for each in json.loads(state)["checkpoint"]["latest"]["resources"]
        if not each["type"].startswith("pulumi:providers:")
    }


def tracking_of(version: str, state: str) -> str:
    """Return a state as an mlplat leaves it that brings another version of MLflow."""
    document = json.loads(state)
    for each in document["checkpoint"]["latest"]["resources"]:
        marks = each.get("inputs", {}).get("metadata", {}).get("labels", {})
        if marks.get(SERVICE) == "tracking" and names.APP_VERSION in marks:
            marks[names.APP_VERSION] = version
        if each["type"] == deployment.ROOT:
            each["outputs"][upgrades.OUTPUT]["tracking"] = version
    return json.dumps(document)


def test_up_makes_the_platform_in_an_order_that_a_cluster_can_take(
    platform: Repository, kubernetes_platform: Standing
) -> None:
    made = kubernetes_platform.did
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


def test_the_engines_own_command_changes_nothing(platform: Repository) -> None:
    platform.plain("up", "--yes", "--skip-preview")
    assert platform.changed() == []


def test_another_version_is_told_before_it_comes(platform: Repository, written: str) -> None:
    platform.state_file.write_text(tracking_of("3.0.0", written))
    seen = platform.run("up", "--preview", "--json")
    assert [(each["part"], each["was"], each["now"], each["kind"]) for each in json.loads(seen.out)["upgrades"]] == [
        ("tracking", "3.0.0", MLFLOW, "migrates")
    ]
    assert f"migrates  tracking  3.0.0 -> {MLFLOW}: " in seen.err


def test_a_step_that_nobody_supports_changes_nothing_by_whatever_command(platform: Repository, written: str) -> None:
    newer = tracking_of("99.0.0", written)
    platform.state_file.write_text(newer)
    refused = platform.run("up", "--yes", code=1)
    plain = platform.plain("up", "--yes", "--skip-preview", code=None)
    assert plain.code != 0
    for told in (refused.err, plain.out + plain.err):
        assert f"tracking 99.0.0 -> {MLFLOW}: its database was migrated" in told
        assert "use the mlplat that brings tracking 99.0.0" in told
    assert platform.changed() == []
    assert held(platform.state_file.read_text()) == held(newer)


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


def test_nothing_is_ended_while_an_endpoint_serves_by_whatever_command(platform: Repository, server: Api) -> None:
    with platform.cluster as cluster:
        # There is no controller here, so it stays until somebody lets it go.
        cluster.apply(ABANDONED)
    platform.world.forget_calls()
    # A whole engine at work on what it must not touch: `destroy` begins with what was made last.
    plain = platform.plain("destroy", "--yes", "--skip-preview", code=None)
    assert plain.code != 0
    assert "the endpoint flights/abandoned would wait for ever for its controller" in plain.out + plain.err
    assert {(each.action, each.name) for each in platform.world.calls()} == {("delete", "configmap-mlplat-standing")}
    without = {**spec(server), "teams": {"another": {}}}
    platform.write(without)
    platform.world.forget_calls()
    for verb in (("up", "--yes"), ("up", "--preview")):
        refused = platform.run(*verb, code=1)
        assert "`teams.flights`: gone from the stack file" in refused.err
        assert "endpoints: 1 (flights/abandoned)" in refused.err
    plain = platform.plain("up", "--yes", "--skip-preview", code=None)
    assert plain.code != 0
    assert "`mlplat endpoint delete flights/abandoned`" in plain.out + plain.err
    # The team that came with the same file is not made either.
    assert {(each.action, each.name) for each in platform.world.calls()} == {("update", "namespace-mlplat")}
    platform.write(spec(server, teams={"flights": {"cpu": 9}}))
    with platform.cluster as cluster:
        ends.release(cluster)


def test_down_wants_to_be_told_that_the_data_goes(platform: Repository) -> None:
    refused = platform.run("down", "--yes", code=2)
    assert "--delete-data" in refused.err
    assert platform.changed() == []


def test_down_ends_things_in_order_and_leaves_an_empty_cluster(
    ended: tuple[Done, Sequence[Call]], platform: Repository
) -> None:
    said, calls = ended
    assert f"ends    the endpoint {ABANDONED['spec']['model']}" in said.err
    gone = [each.type.rpartition(":")[2] for each in calls if (each.action, each.phase) == ("delete", ENDS)]
    assert gone.index("Gateway") < gone.index("GatewayClass")
    with platform.cluster as cluster:
        left = {each["metadata"]["name"] for each in cluster.list("v1", "Namespace")}
        assert not {names.NAMESPACE, "flights"} & left
        assert cluster.list("gateway.networking.k8s.io/v1", "Gateway") == []
