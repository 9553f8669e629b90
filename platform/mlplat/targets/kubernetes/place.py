"""Where the platform's own services stand on a cluster: what their references mean, and who is at their edges."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pulumi

from mlplat.manifests import edges, names, network
from mlplat.manifests.network import Peer
from mlplat.manifests.place import Place, is_plain
from mlplat.services import Service
from mlplat.spec.platform import PlatformSpec
from mlplat.targets.kubernetes.ground import Ground
from mlplat.targets.kubernetes.namespaces import IDENTITY
from mlplat.targets.kubernetes.teams import WEB

ARTIFACTS = "_tracking"
"""Folder of MLflow's artifacts in their bucket; no team can be called so, and a team's things lie under its name."""
PRIORITY = "mlplat-platform"
POSTGRES = 5432
"""Port of an account's database."""
MONITORING = "monitoring"
"""Namespace of Prometheus."""
API_PORTS = (443, 6443)


def priority() -> dict[str, Any]:
    """Return the class of the platform's own pods: they are not put off the node for somebody's experiment."""
    return {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": PRIORITY, "labels": {names.PART_OF: "mlplat"}},
        "value": 1_000_000,
        "globalDefault": False,
        "description": "The platform's own services.",
    }


def place(
    ground: Ground,
    services: Sequence[Service],
    images: Mapping[str, Any],
    spec: PlatformSpec,
    more: Mapping[str, Any] | None = None,
) -> Place:
    """Return where services stand, all in one namespace; `more` is what further references mean."""
    return Place(
        images=images,
        values={**values(ground, services), **(more or {})},
        production=ground.production,
        pull_secret=spec.kubernetes.images.pull_secret,
        storage_class=ground.storage_class,
        monitored=spec.kubernetes.addons.monitoring != "off",
        priority=PRIORITY,
        node_selector=ground.placement.get("nodeSelector", {}),
        tolerations=ground.placement.get("tolerations", ()),
        peers=peers(ground, services, spec),
        clients=clients(services),
        later=later,
    )


def values(ground: Ground, services: Sequence[Service]) -> dict[str, Any]:
    """Return what references mean; a leaf may be an output."""
    kept = ground.objects
    return {
        "artifacts": ("s3://", _bucket(ground, "artifacts"), f"/{ARTIFACTS}"),
        "objects": kept.endpoint or f"https://s3.{kept.region}.amazonaws.com",
        "region": kept.region,
        **{f"bucket:{purpose}": name for purpose, name in kept.buckets.items()},
        **{f"url:{each.name}": url(each) for each in services if "http" in each.ports},
        **{f"names:{each.name}": ",".join(hosts(each)) for each in services if "http" in each.ports},
    }


def _bucket(ground: Ground, purpose: str) -> Any:
    return ground.objects.buckets[purpose]


def url(service: Service) -> str:
    """Return where a service answers, from anywhere in the cluster."""
    return f"http://{service.name}.{names.NAMESPACE}.svc:{service.ports['http']}"


def hosts(service: Service) -> list[str]:
    """Return the names by which a service is asked: as short as the cluster's DNS takes them, with and without port."""
    port = service.ports["http"]
    parts = (service.name, names.NAMESPACE, "svc", "cluster.local")
    known = [".".join(parts[:length]) for length in (1, 2, 3, 4)]
    # A forwarded port is asked as this computer.
    return [text for name in [*known, "localhost", "127.0.0.1"] for text in (name, f"{name}:{port}")]


def peers(ground: Ground, services: Sequence[Service], spec: PlatformSpec) -> dict[str, Peer]:
    """Return who is meant by the names at services' edges.

    What is outside of the cluster is known by a secret's address or by none, so its edge is a port to anywhere.
    """
    within = {each.name: edges.of_service(each) for each in services}
    teams: Mapping[str, Any] = {"matchExpressions": [{"key": names.TEAM, "operator": "Exists"}]}
    inside = "objects" in within
    databases = spec.kubernetes.databases
    port = databases.port if databases else POSTGRES
    return {
        **({} if "database" in within else {"database": Peer((port,), addresses=network.ANYWHERE)}),
        **({} if inside else {"objects": _store(ground)}),
        "api": Peer(API_PORTS, addresses=network.ANYWHERE),
        "internet": WEB,
        "identity": IDENTITY,
        "gateway": Peer((), {}, network.namespace(names.PROXIES)),
        "pipelines": Peer((), {"matchExpressions": [{"key": names.REVISION, "operator": "DoesNotExist"}]}, teams),
        "serving": Peer((), {"matchExpressions": [{"key": names.REVISION, "operator": "Exists"}]}, teams),
        "monitoring": Peer((), {}, network.namespace(MONITORING)),
        **within,
    }


def _store(ground: Ground) -> Peer:
    from urllib.parse import urlsplit

    given = urlsplit(ground.objects.endpoint or "https://s3")
    port = given.port or (443 if given.scheme == "https" else 80)
    return Peer((port,), addresses=network.ANYWHERE)


def clients(services: Sequence[Service]) -> dict[str, Sequence[str]]:
    """Return the services that need a service, by its name."""
    return {each.name: [other.name for other in services if each.name in other.needs] for each in services}


def later(value: Any, function: Callable[[Any], str]) -> Any:
    """Call a function on a value once its outputs are known: now, where it has none."""
    return function(value) if is_plain(value) else pulumi.Output.from_input(value).apply(function)
