"""The platform's services on a cluster: on the database and object store that are there, one Deployment each.

What only the local target has, such as the gateway's process, is missing; what only a cluster has, such as the feature
store's registry, comes in its place.
"""

from __future__ import annotations

from mlplat.services.cluster import development
from mlplat.services.cluster.controller import controller
from mlplat.services.cluster.features import features, has_server, online
from mlplat.services.cluster.metadata import metadata
from mlplat.services.cluster.standing import has_database
from mlplat.services.cluster.tracking import tracking
from mlplat.services.service import Service
from mlplat.spec.platform import PlatformSpec


def on_cluster(spec: PlatformSpec) -> tuple[Service, ...]:
    """Return every service that a platform has on a cluster, what it needs before it."""
    return (
        *development.services(spec),
        tracking(spec),
        *([features(spec)] if has_database(spec, "features") else []),
        *([online(spec)] if has_server(spec) else []),
        *([metadata(spec)] if spec.kubernetes.metadata_service and has_database(spec, "pipelines") else []),
        controller(spec),
    )
