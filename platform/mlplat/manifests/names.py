"""Names and labels of everything on a cluster, said once."""

from __future__ import annotations

import hashlib

from mlplat.labels import Name

NAMESPACE = "mlplat"
"""Namespace of the platform's own services, and of the gateway."""
PROXIES = "envoy-gateway-system"
"""Namespace of Envoy Gateway and of the proxies that it runs."""
GATEWAY = "mlplat"
"""Name of the Gateway and of its class."""
MANAGER = "mlplat"
"""Who owns the fields that the controller applies."""

GROUP = "mlplat.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
"""Group and version of `ModelEndpoint`."""

APP = "app.kubernetes.io/name"
APP_VERSION = "app.kubernetes.io/version"
INSTANCE = "app.kubernetes.io/instance"
COMPONENT = "app.kubernetes.io/component"
PART_OF = "app.kubernetes.io/part-of"
MANAGED_BY = "app.kubernetes.io/managed-by"
PROJECT = "mlplat/project"
ENDPOINT = "mlplat/endpoint"
REVISION = "mlplat/revision"
TEAM = "mlplat/team"
"""Label of a team's namespace and of its pods."""
ROUTES = "mlplat/gateway"
"""Label of namespaces whose routes the gateway takes."""
QUEUED = "mlplat/queue"
"""Label of namespaces whose jobs wait for their share of the cluster."""
LOCAL_QUEUE = "training"
"""Name of each team's queue. One called `default` would also take pods that name none, model servers among them."""

LABEL_LENGTH = 63
HASH_SIGNS = 6


def short(text: str, limit: int = LABEL_LENGTH) -> str:
    """Return a DNS label for a text of at most `limit` signs: a longer one is cut, and ends with a hash of it all."""
    if len(text) <= limit:
        return text
    mark = hashlib.sha256(text.encode()).hexdigest()[:HASH_SIGNS]
    return f"{text[: limit - HASH_SIGNS - 1].rstrip('-')}-{mark}"


def revision(endpoint: Name, label: str) -> str:
    """Return the name of what a revision runs as: `a-b-1f0c9a-r3`. The hash keeps `a/b-c` and `a-b/c` apart."""
    mark = hashlib.sha256(endpoint.id.encode()).hexdigest()[:HASH_SIGNS]
    tail = f"-{mark}-{label}"
    return f"{f'{endpoint.project}-{endpoint.name}'[: LABEL_LENGTH - len(tail)].rstrip('-')}{tail}"
