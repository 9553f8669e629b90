"""Names, labels and owners of a service's objects."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from mlplat.manifests import names
from mlplat.manifests.place import Place, is_plain
from mlplat.services import Service

SERVICE = "mlplat/service"
"""Label of all pods of a service, those of its jobs included."""
PLATFORM = "mlplat"
DIGEST_SIGNS = 10


def selector(service: Service) -> dict[str, str]:
    """Return the labels by which a service's own pods are found. A Deployment can never change them."""
    return {names.APP: service.name, names.PART_OF: PLATFORM}


def labels(service: Service, place: Place) -> dict[str, str]:
    """Return the labels of whatever belongs to a service."""
    return dict(sorted({**place.labels, **selector(service), SERVICE: service.name}.items()))


def metadata(service: Service, place: Place, name: str | None = None, **more: Any) -> dict[str, Any]:
    """Return the metadata of one of a service's objects."""
    made: dict[str, Any] = {"name": name or service.name, "namespace": place.namespace}
    owner = {"ownerReferences": [dict(place.owner)]} if place.owner else {}
    # Not on pods: which version they are of is their image's affair, and a label more would replace them.
    version = {names.APP_VERSION: _label(service.version)} if service.version else {}
    return {**made, "labels": dict(sorted({**labels(service, place), **version}.items())), **owner, **more}


def _label(version: str) -> str:
    # The local part of a version begins with `+`, and an image's tag may be longer than a label.
    return re.sub(r"[^\w.-]", "-", version, flags=re.ASCII)[: names.LABEL_LENGTH].strip("-_.")


def text(content: Any) -> str:
    """Write JSON in one way, for files and digests."""
    return json.dumps(content, indent=2, sort_keys=True) + "\n"


def digest(content: Any) -> str:
    """Return a short digest of JSON."""
    return hashlib.sha256(text(content).encode()).hexdigest()[:DIGEST_SIGNS]


def known(content: Any) -> Any:
    """Return JSON with `?` for each output in it: what can be told apart before anything exists."""
    match content:
        case Mapping():
            return {key: known(item) for key, item in content.items()}
        case list() | tuple():
            return [known(item) for item in content]
        case _:
            return content if is_plain(content) else "?"
