"""The network policy of a service: whom it reaches, and who reaches it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlplat.manifests.meta import SERVICE, metadata
from mlplat.manifests.names import APP
from mlplat.manifests.network import POLICY, Peer, egress, ingress
from mlplat.manifests.place import Place
from mlplat.manifests.pod import job_name
from mlplat.services import Job, Service


def of_service(service: Service, namespace: dict[str, Any] | None = None) -> Peer:
    """Return a service as others see it: its pods and ports; in their own namespace unless another is selected."""
    return Peer(sorted(service.ports.values()), {"matchLabels": {SERVICE: service.name}}, namespace)


def policies(service: Service, place: Place) -> list[dict[str, Any]]:
    """Return the policies of a service and of those of its jobs that reach further. Raises `ValueError`."""
    further = [each for each in service.setup if each.reaches]
    return [_own(service, place), *(_further(service, each, place) for each in further)]


def _own(service: Service, place: Place) -> dict[str, Any]:
    reached = [_peer(service, place, name) for name in (*service.needs, *service.reaches)]
    callers = [_peer(service, place, name) for name in (*place.clients.get(service.name, ()), *service.callers)]
    ports = sorted(service.ports.values())
    heard = {"ingress": [ingress(each, ports) for each in callers]} if callers and ports else {}
    # Its jobs are meant as well, by the label that they share: they migrate the same database.
    return _policy(service, place, service.name, {SERVICE: service.name}, reached, heard)


def _further(service: Service, job: Job, place: Place) -> dict[str, Any]:
    reached = [_peer(service, place, name) for name in job.reaches]
    name = job_name(service, job)
    return _policy(service, place, name, {APP: name}, reached, {})


def _policy(
    service: Service, place: Place, name: str, pods: Mapping[str, str], reached: list[Peer], heard: Mapping[str, Any]
) -> dict[str, Any]:
    spec = {
        "podSelector": {"matchLabels": dict(pods)},
        "policyTypes": ["Ingress", "Egress"],
        **heard,
        **({"egress": [egress(each) for each in reached]} if reached else {}),
    }
    return {**POLICY, "metadata": metadata(service, place, name), "spec": spec}


def _peer(service: Service, place: Place, name: str) -> Peer:
    try:
        return place.peers[name]
    except KeyError:
        raise ValueError(f"{service.name}: nobody here is called `{name}`") from None
