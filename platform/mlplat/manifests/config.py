"""Files that a service is given: those whose change restarts it, and those that it rereads; and what it keeps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlplat.manifests.meta import digest, metadata, text
from mlplat.manifests.place import Place
from mlplat.manifests.variables import GIVEN, Variables
from mlplat.services import Service

STAMP = "mlplat/files"
"""Annotation of pods: the digest of their files. A change of it is what restarts them."""


def maps(service: Service, place: Place) -> list[dict[str, Any]]:
    """Return the ConfigMaps of a service."""
    given = {"files": service.files, "live": service.live}
    return [_map(service, place, kind, content) for kind, content in given.items() if content]


def stamp(service: Service, place: Place) -> dict[str, Any]:
    """Return the annotation that changes with `files`. `live` has none: the kubelet brings it to the running pod."""
    if not service.files:
        return {}
    return {STAMP: place.later(Variables(service, place).plain(service.files), digest)}


def volumes(service: Service) -> list[dict[str, Any]]:
    """Return the volumes of the files that a service is given."""
    kinds = [kind for kind, content in (("files", service.files), ("live", service.live)) if content]
    if not kinds:
        return []
    # One volume of both: with `subPath`, a change would never reach the pod.
    sources = [{"configMap": {"name": f"{service.name}-{kind}"}} for kind in kinds]
    return [{"name": "given", "projected": {"sources": sources}}]


def given(service: Service) -> list[dict[str, Any]]:
    """Return where a container has the files that it is given."""
    return [{"name": "given", "mountPath": GIVEN, "readOnly": True}] if volumes(service) else []


def kept(service: Service) -> list[dict[str, Any]]:
    """Return where a container has what it keeps."""
    return [{"name": claim(index), "mountPath": volume.path} for index, volume in enumerate(service.volumes)]


def claims(service: Service, place: Place) -> list[dict[str, Any]]:
    """Return the claims of the volumes that a service keeps."""
    return [_claim(place, claim(index), volume.gib) for index, volume in enumerate(service.volumes)]


def claim(index: int) -> str:
    """Return the name of a service's volume by its place among them."""
    return "data" if index == 0 else f"data-{index}"


def _claim(place: Place, name: str, gib: int) -> dict[str, Any]:
    spec = {
        "accessModes": ["ReadWriteOnce"],
        **({"storageClassName": place.storage_class} if place.storage_class else {}),
        "resources": {"requests": {"storage": f"{gib}Gi"}},
    }
    return {"metadata": {"name": name}, "spec": spec}


def _map(service: Service, place: Place, kind: str, content: Mapping[str, Any]) -> dict[str, Any]:
    variables = Variables(service, place)
    data = {name: place.later(variables.plain(each), text) for name, each in sorted(content.items())}
    name = f"{service.name}-{kind}"
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata(service, place, name), "data": data}
