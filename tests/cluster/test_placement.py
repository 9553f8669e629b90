"""Where the real scheduler puts the platform's pods, on nodes that pretend to be those of the stack `prod`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import clusterprogram
import kubeapi
import kubecrds
import kubenodes
import kubeobjects
from mlplat.cluster import Cluster
from mlplat.controller.kubernetes import settings
from mlplat.labels import Name
from mlplat.manifests import revision
from mlplat.services.cluster.controller import nodes
from mlplat.spec.capacity import PoolSpec
from mlplat.spec.scale import ScaleSpec
from mlplat.targets.aws import pools
from mlplat.targets.aws.tolerations import POOL, SYSTEM
from mlplat.targets.kubernetes import teams

pytestmark = pytest.mark.cluster
SPEC = clusterprogram.spec("prod")
OWNED = "owned"
POOLS = {
    **SPEC.pools,
    OWNED: PoolSpec(instance_types=["m7i.2xlarge"], max_size=2, teams=["flights"]),
}
PLATFORM = SPEC.model_copy(update={"pools": POOLS})
GPU_POOLS = sorted(name for name, pool in POOLS.items() if pools.has_gpus(pool))
WHOLE = next(each for each in GPU_POOLS if POOLS[each].shared_by == 1)
OTHERS = sorted({*POOLS} - {*GPU_POOLS})
TEAM = "flights"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Return a cluster with a scheduler, and two nodes of each pool that nothing runs on."""
    folder = tmp_path_factory.mktemp("placement") / "api"
    with kubeapi.running(folder, data=kubecrds.prepared()) as api, api.cluster() as made:
        kubenodes.pretend(made, kubenodes.of_platform(PLATFORM))
        kubenodes.namespace(made, TEAM, revision.ACCOUNT)
        api.scheduler()
        yield made


def model_server(scale: ScaleSpec, pool: str | None = None, **more: Any) -> kubeobjects.Document:
    """Return a pod of a model server as the controller declares it, on a pool when one is named."""
    where: dict[str, Any] = {}
    if pool:
        told = settings.Pool.model_validate(nodes(pool, PLATFORM))
        where = {each: getattr(told, each) for each in settings.Pool.model_fields}
    server = revision.Server(
        endpoint=Name(TEAM, "delays"),
        label="r1",
        version="1",
        digest="0" * 64,
        key="flights/bundles/0.tar",
        scale=scale,
        namespace=TEAM,
        image=f"registry.example.com/mlplat/serving@sha256:{'0' * 64}",
        bucket=revision.Bucket("artifacts", "eu-west-1"),
        **{**where, **more},
    )
    return next(kubeobjects.pods(revision.documents(server)))


def pool_of(node: str) -> str:
    """Return the pool that a node's name begins with."""
    return node.rpartition("-")[0]


@pytest.mark.parametrize("pool", GPU_POOLS)
def test_a_model_server_with_a_gpu_lands_on_the_gpu_pool_that_it_names(cluster: Cluster, pool: str) -> None:
    (node,) = kubenodes.placed(cluster, [model_server(ScaleSpec(gpu=1, pool=pool), pool)]).values()
    assert pool_of(node) == pool


@pytest.mark.parametrize("pool", OTHERS)
def test_a_request_for_a_gpu_finds_no_room_where_there_are_none(cluster: Cluster, pool: str) -> None:
    server = model_server(ScaleSpec(gpu=1, pool=pool), pool)
    assert [*kubenodes.placed(cluster, [server]).values()] == [kubenodes.NOBODY]


def test_what_asks_for_no_gpu_is_kept_off_gpu_nodes_and_off_system_nodes(cluster: Cluster) -> None:
    pods = [model_server(ScaleSpec(cpu=cpu)) for cpu in (0.5, 8, 60)]
    for index, each in enumerate(pods):
        each["metadata"]["name"] += f"-{index}"
    found = {pool_of(node) for node in kubenodes.placed(cluster, pods).values()}
    assert found
    assert found <= {*OTHERS} - {OWNED}


def test_what_fits_on_no_open_pool_waits_instead_of_taking_a_gpu_node(cluster: Cluster) -> None:
    # Two nodes of each open pool are full, those with GPUs are idle.
    pods = [model_server(ScaleSpec(cpu=60)) for _ in range(2 * len({*OTHERS} - {OWNED}) + 1)]
    for index, each in enumerate(pods):
        each["metadata"]["name"] += f"-{index}"
        each["metadata"]["labels"] = {"crowd": "1"}
        each["spec"].pop("topologySpreadConstraints", None)
    found = [*kubenodes.placed(cluster, pods, together=True).values()]
    assert found.count(kubenodes.NOBODY) == 1
    assert {pool_of(node) for node in found if node} == {*OTHERS} - {OWNED}


def test_a_pool_of_one_team_takes_who_names_it_and_nobody_else(cluster: Cluster) -> None:
    (named,) = kubenodes.placed(cluster, [model_server(ScaleSpec(), OWNED)]).values()
    assert pool_of(named) == OWNED
    stranger = model_server(ScaleSpec(), node_selector={POOL: OWNED})
    assert [*kubenodes.placed(cluster, [stranger]).values()] == [kubenodes.NOBODY]


def test_the_platforms_own_pods_stand_on_system_nodes(cluster: Cluster) -> None:
    wanted = kubeobjects.documents(clusterprogram.graph("prod"))
    for each in wanted:
        if each["kind"] in {"Namespace", "ServiceAccount", "PriorityClass"}:
            cluster.apply(each)
    found = kubenodes.placed(cluster, list(kubeobjects.pods(wanted)))
    assert len(found) >= 4
    assert {pool_of(node) for node in found.values()} == {SYSTEM}, found


def test_two_servers_of_a_revision_stand_on_two_nodes_in_two_zones(cluster: Cluster) -> None:
    pods = [model_server(ScaleSpec(), "cpu") for _ in range(2)]
    for index, each in enumerate(pods):
        each["metadata"]["name"] += f"-{index}"
    found = kubenodes.placed(cluster, pods, together=True)
    assert len({*found.values()}) == 2
    assert kubenodes.NOBODY not in found.values()


def test_a_team_gets_no_more_gpus_than_its_quota(cluster: Cluster) -> None:
    quota = next(each for each in teams.within(TEAM, SPEC, on_cloud=True) if each["kind"] == "ResourceQuota")
    cluster.apply(quota)
    named = quota["metadata"]
    # As the quota's controller writes it, which does not run here.
    used = dict.fromkeys(quota["spec"]["hard"], "0")
    try:
        cluster.merge(
            "v1",
            "ResourceQuota",
            named["name"],
            {"status": {"hard": quota["spec"]["hard"], "used": used}},
            TEAM,
            status=True,
        )
        most = SPEC.teams[TEAM].gpu
        assert kubenodes.why_not(cluster, model_server(ScaleSpec(gpu=most, pool=WHOLE), WHOLE)) == ""
        assert "exceeded quota" in kubenodes.why_not(cluster, model_server(ScaleSpec(gpu=most + 1, pool=WHOLE), WHOLE))
    finally:
        cluster.delete("v1", "ResourceQuota", named["name"], TEAM)
