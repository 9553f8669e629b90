from __future__ import annotations

import pytest
from moto.ec2.models.instance_types import INSTANCE_TYPES

from mlplat.errors import UsageError
from mlplat.targets.aws import machines


@pytest.mark.parametrize(
    ("name", "vcpus", "memory", "gpu", "gpus"),
    [
        ("m7i.large", 2, 8, None, 0),
        ("g6.xlarge", 4, 16, "L4", 1),
        ("g6e.12xlarge", 48, 384, "L40S", 4),
        ("p5.48xlarge", 192, 2048, "H100", 8),
    ],
)
def test_a_type_has_its_processors_memory_and_gpus(
    name: str, vcpus: int, memory: int, gpu: str | None, gpus: int
) -> None:
    found = machines.find(name)
    assert (found.vcpus, found.memory_gib, found.gpu, found.gpu_count) == (vcpus, memory, gpu, gpus)
    assert found.usd_per_hour > 0
    assert found.family == name.split(".", maxsplit=1)[0]


def test_part_of_a_gpu_counts_as_none() -> None:
    """EC2 reports it so, and a pod that asks for one never fits."""
    found = machines.find("g6f.large")
    assert (found.gpu, found.gpu_count) == ("L4", 0)


def test_an_unknown_type_is_refused_with_the_nearest_ones() -> None:
    with pytest.raises(UsageError, match=r"`g6\.xlrage`") as refused:
        machines.find("g6.xlrage")
    assert refused.value.hint is not None
    assert "`g6.xlarge`" in refused.value.hint


def test_every_type_of_the_table_has_a_price_and_one_known_architecture() -> None:
    for each in machines.table().values():
        assert each.usd_per_hour > 0, each.name
        assert each.architecture in {"x86_64", "arm64"}, each.name


def test_the_largest_is_by_processors_and_the_dearest_by_price() -> None:
    assert machines.largest(["g6.xlarge", "g5.2xlarge"]).name == "g5.2xlarge"
    assert machines.dearest(["g6e.12xlarge", "g5.24xlarge"]).name == "g6e.12xlarge"


@pytest.mark.parametrize("name", [name for name, each in machines.table().items() if each.gpu_count])
def test_the_cards_of_the_fast_network_are_those_that_ec2_describes(name: str) -> None:
    network = INSTANCE_TYPES[name]["NetworkInfo"]
    described = network.get("EfaInfo", {}).get("MaximumEfaInterfaces", 0) if network["EfaSupported"] else 0
    known = machines.find(name).efa_cards
    assert known == described or (name == "p6-b300.48xlarge" and known == 0)


@pytest.mark.parametrize("name", list(machines.table())[::25])
def test_sizes_are_those_that_ec2_describes(name: str) -> None:
    described, found = INSTANCE_TYPES[name], machines.find(name)
    assert found.vcpus == described["VCpuInfo"]["DefaultVCpus"]
    assert found.memory_gib * 1024 == pytest.approx(described["MemoryInfo"]["SizeInMiB"], rel=0.01)
    assert found.architecture in described["ProcessorInfo"]["SupportedArchitectures"]
