"""A service as Kubernetes' own objects, in the order in which they are made.

Whatever stands after a Job waits until that has ended well. On the way out the order is the other one.
"""

from __future__ import annotations

from typing import Any

from mlplat.manifests import accounts, config, edges, job
from mlplat.manifests.meta import metadata, selector
from mlplat.manifests.place import Place
from mlplat.manifests.pod import template
from mlplat.services import Service

HISTORY = 3
"""Versions that a Deployment can be returned to."""
PROGRESS_MARGIN = 60
"""Seconds beyond a service's own patience: pods have to be placed, and images fetched."""
SCRAPE = "30s"


def workload(service: Service, place: Place) -> list[dict[str, Any]]:
    """Return a service's objects. Any leaf may be an output.

    Raises `RefusedError` for an image that is unknown or could change unseen, `ValueError` for a reference that means
    nothing here, or for `seeds`, which only a target with folders can plant.
    """
    if service.seeds:
        raise ValueError(f"{service.name}: `seeds` cannot be planted on a cluster")
    return [
        *accounts.of(service, place),
        *edges.policies(service, place),
        *config.maps(service, place),
        *job.jobs(service, place),
        *([_service(service, place)] if service.ports else []),
        _stateful(service, place) if service.volumes else _deployment(service, place),
        *([_budget(service, place)] if service.replicas > 1 else []),
        *([_monitor(service, place)] if service.metrics and place.monitored else []),
    ]


def _service(service: Service, place: Place) -> dict[str, Any]:
    ports = [
        {"name": name, "port": port, "targetPort": name, "protocol": "TCP"}
        for name, port in sorted(service.ports.items())
    ]
    spec = {"type": "ClusterIP", "selector": selector(service), "ports": ports}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata(service, place), "spec": spec}


def _deployment(service: Service, place: Place) -> dict[str, Any]:
    spec = {
        "replicas": service.replicas,
        "revisionHistoryLimit": HISTORY,
        "progressDeadlineSeconds": round(service.ready.timeout) + service.stop_seconds + PROGRESS_MARGIN,
        "strategy": _strategy(service),
        "selector": {"matchLabels": selector(service)},
        "template": template(service, place),
    }
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata(service, place), "spec": spec}


def _strategy(service: Service) -> dict[str, Any]:
    if service.exclusive:
        return {"type": "Recreate"}
    # One more before one less: also a service of one replica answers throughout.
    return {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}


def _stateful(service: Service, place: Place) -> dict[str, Any]:
    spec = {
        "replicas": service.replicas,
        "revisionHistoryLimit": HISTORY,
        "serviceName": service.name,
        "selector": {"matchLabels": selector(service)},
        "template": template(service, place),
        # What it keeps goes with the namespace, and with nothing less.
        "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"},
        "volumeClaimTemplates": config.claims(service, place),
    }
    return {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": metadata(service, place), "spec": spec}


def _budget(service: Service, place: Place) -> dict[str, Any]:
    spec = {
        "maxUnavailable": 1,
        "selector": {"matchLabels": selector(service)},
        # A pod that is not ready anyway must not keep its node from being emptied.
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
    }
    meta = metadata(service, place)
    return {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": meta, "spec": spec}


def _monitor(service: Service, place: Place) -> dict[str, Any]:
    spec = {
        "selector": {"matchLabels": selector(service)},
        "endpoints": [{"port": "http", "path": service.metrics, "interval": SCRAPE}],
    }
    meta = metadata(service, place)
    return {"apiVersion": "monitoring.coreos.com/v1", "kind": "ServiceMonitor", "metadata": meta, "spec": spec}
