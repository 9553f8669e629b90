from __future__ import annotations

import pytest

from mlplat.controller.kubernetes.actuator import nodes
from mlplat.controller.kubernetes.settings import Objects, Pool, Settings
from mlplat.errors import RefusedError
from mlplat.labels import Name
from mlplat.spec.scale import ScaleSpec

LATE = Name("flights", "late")
SETTINGS = Settings(
    tracking="http://tracking",
    namespaces={"flights": "flights"},
    image="registry.example.com/serving",
    objects=Objects(bucket="artifacts"),
    port=8000,
    pools={
        "whole": Pool(node_selector={"mlplat/pool": "whole"}),
        "shared": Pool(gpu_resource="nvidia.com/gpu.shared"),
    },
)


@pytest.mark.parametrize(("pool", "gpu"), [("whole", 0), ("whole", 8), ("shared", 0), ("shared", 1)])
def test_servers_go_to_the_nodes_of_the_pool_that_they_name(pool: str, gpu: int) -> None:
    assert nodes(LATE, ScaleSpec(pool=pool, gpu=gpu), SETTINGS) == SETTINGS.pools[pool]


def test_without_a_pool_they_go_wherever_there_is_room() -> None:
    assert nodes(LATE, ScaleSpec(), SETTINGS) == Pool()


@pytest.mark.parametrize(
    ("pool", "gpu", "said"),
    [
        ("elsewhere", 1, "flights/late: there is no pool `elsewhere` for it; there is `shared`, `whole`"),
        ("shared", 2, "flights/late: a server asks for 2 GPUs where each is shared, and a pod gets one share"),
    ],
)
def test_what_no_node_would_ever_take_is_refused_before_it_waits_there(pool: str, gpu: int, said: str) -> None:
    with pytest.raises(RefusedError, match=said) as caught:
        nodes(LATE, ScaleSpec(pool=pool, gpu=gpu), SETTINGS)
    assert "`serving.scale" in str(caught.value.hint)
