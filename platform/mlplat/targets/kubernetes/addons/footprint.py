"""What a platform keeps of a cluster for itself: the sum of what all of its own pods ask for, before anything is made.

Of add-ons that somebody else keeps, and of what teams run, nothing is counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mlplat import services
from mlplat.spec.kubernetes import KubernetesSpec
from mlplat.spec.platform import PlatformSpec
from mlplat.targets.kubernetes import edge
from mlplat.targets.kubernetes.addons import catalogue
from mlplat.targets.kubernetes.addons.standing import Standing

SERVICES = "services"
SHUTDOWN_CPU_M, SHUTDOWN_MEMORY_MIB = 10, 32
"""What Envoy Gateway 1.9 asks for beside each proxy, for the container that ends it in good order."""
MILLI, MIB, GIB = 1000, 1024**2, 1024**3


@dataclass(frozen=True)
class Kept:
    """What pods of one kind ask for."""

    group: str
    """Key of `kubernetes.addons`, or `services`."""
    name: str
    replicas: int
    cpu_m: int
    """Thousandths of a processor, for each of them."""
    memory_mib: int
    """MiB of memory, likewise."""
    everywhere: bool = False
    """Whether there is one on every node, however many there are: `replicas` counts one."""


@dataclass(frozen=True)
class Footprint:
    """What a platform keeps of a cluster."""

    lines: tuple[Kept, ...]

    @property
    def groups(self) -> dict[str, tuple[int, int, int]]:
        """Return pods, thousandths of a processor and MiB of each group, without what is on every node."""
        found: dict[str, tuple[int, int, int]] = {}
        for each in self.counted:
            pods, cpu, memory = found.get(each.group, (0, 0, 0))
            asked = each.replicas * each.cpu_m, each.replicas * each.memory_mib
            found[each.group] = pods + each.replicas, cpu + asked[0], memory + asked[1]
        return found

    @property
    def counted(self) -> list[Kept]:
        """Return what there is a fixed number of."""
        return [each for each in self.lines if not each.everywhere]

    @property
    def on_every_node(self) -> tuple[int, int]:
        """Return what each node has less of: thousandths of a processor, and MiB."""
        found = [each for each in self.lines if each.everywhere]
        return sum(each.cpu_m for each in found), sum(each.memory_mib for each in found)

    @property
    def total(self) -> tuple[int, int, int]:
        """Return pods, thousandths of a processor and MiB, without what is on every node."""
        found = [*self.groups.values()]
        return sum(each[0] for each in found), sum(each[1] for each in found), sum(each[2] for each in found)


def footprint(spec: PlatformSpec) -> Footprint:
    """Return what a platform keeps of its cluster."""
    on = _told(spec)
    return Footprint((*_services(spec.model_copy(update={"kubernetes": on})), *_proxies(on), *_addons(on)))


def _told(spec: PlatformSpec) -> KubernetesSpec:
    if spec.aws is None:
        return spec.kubernetes
    return spec.kubernetes.model_copy(update={"production": spec.aws.environment != "dev"})


def _services(spec: PlatformSpec) -> Iterator[Kept]:
    for each in services.on_cluster(spec):
        asked = each.resources
        yield Kept(SERVICES, each.name, each.replicas, round(asked.cpu * MILLI), asked.memory_mib)


def _proxies(on: KubernetesSpec) -> Iterator[Kept]:
    if on.addons.gateway != "off":
        # Also where somebody else keeps Envoy Gateway: the proxies are the platform's own.
        memory = mib(edge.MEMORY) + SHUTDOWN_MEMORY_MIB
        yield Kept("gateway", "proxy", on.exposure.replicas, milli(edge.CPU) + SHUTDOWN_CPU_M, memory)


def _addons(on: KubernetesSpec) -> Iterator[Kept]:
    for group, found in catalogue.releases(Standing(on, production=on.production)).items():
        for release in found:
            for part in release.parts:
                if part.replicas:
                    yield Kept(group, part.name, part.replicas, part.cpu_m, part.memory_mib, part.everywhere)


def milli(cpu: str) -> int:
    """Return thousandths of a processor of what Kubernetes writes: `100m`, `2`."""
    return int(cpu.removesuffix("m")) if cpu.endswith("m") else round(float(cpu) * MILLI)


def mib(memory: str) -> int:
    """Return MiB of what Kubernetes writes: `512Mi`, `2Gi`."""
    for sign, factor in {"Ki": 1024, "Mi": MIB, "Gi": GIB}.items():
        if memory.endswith(sign):
            return int(float(memory.removesuffix(sign)) * factor) // MIB
    return int(memory) // MIB
