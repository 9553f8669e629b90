"""Envoy: one address for every endpoint, with weights between revisions.

Routes and clusters are files that the controller replaces; Envoy follows them without a dropped request. They are empty
until an endpoint exists.
"""

from __future__ import annotations

from typing import Any

from mlplat.services.service import Http, Ref, Service
from mlplat.spec.platform import PlatformSpec

API = "type.googleapis.com/envoy"
MANAGER = f"{API}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
ROUTER = f"{API}.extensions.filters.http.router.v3.Router"
ROUTES = "mlplat"
"""Name of the route configuration that the controller writes."""
BUCKETS_MS = (
    *(1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 18, 22, 27, 33, 40, 45, 50, 55, 60, 67, 75, 82, 90),
    *(100, 110, 120, 135, 150, 165, 180, 200, 225, 250, 300, 350, 400, 500, 750, 1000, 2000, 5000, 10000),
)
"""Upper bounds of the histogram by which a rollout judges latency, a tenth to a fifth apart up to 400 ms.

A quantile is known no better than its bucket, and a version may be half as slow again as another. Envoy's own are too
coarse for that."""


def gateway(spec: PlatformSpec) -> Service:
    """Return Envoy's service."""
    return Service(
        name="gateway",
        image="gateway",
        argv=(
            *("envoy", "-c", (Ref("files"), "/bootstrap.json"), "--concurrency", str(spec.gateway.threads)),
            # With hot restart Envoy ends when the process that started it does.
            *("--disable-hot-restart", "-l", "warning"),
        ),
        ready=Http("/ready", port="admin"),
        ports={"http": spec.gateway.port, "admin": spec.gateway.admin_port},
        files={"bootstrap.json": bootstrap(spec)},
        seeds={
            "xds/clusters.json": {"version_info": "0", "resources": []},
            "xds/routes.json": {
                "version_info": "0",
                "resources": [
                    {"@type": f"{API}.config.route.v3.RouteConfiguration", "name": ROUTES, "virtual_hosts": []}
                ],
            },
        },
    )


def bootstrap(spec: PlatformSpec) -> dict[str, Any]:
    """Return Envoy's static configuration: where it listens and which files it follows."""
    return {
        "node": {"id": spec.name, "cluster": spec.name},
        "admin": {"address": _address(spec.gateway.admin_port)},
        "static_resources": {"listeners": [_listener(spec.gateway.port)]},
        "dynamic_resources": {"cds_config": _followed("clusters.json")},
        # Histograms are otherwise up to five seconds old when a rollout is judged by them.
        "stats_flush_on_admin": True,
        "stats_config": {"histogram_bucket_settings": [{"match": {"prefix": "cluster."}, "buckets": list(BUCKETS_MS)}]},
    }


def _listener(port: int) -> dict[str, Any]:
    manager = {
        "@type": MANAGER,
        "stat_prefix": "gateway",
        "rds": {"route_config_name": ROUTES, "config_source": _followed("routes.json")},
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {"@type": ROUTER}}],
        "use_remote_address": True,
        "normalize_path": True,
        "merge_slashes": True,
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    return {"name": "endpoints", "address": _address(port), "filter_chains": [chain]}


def _followed(name: str) -> dict[str, Any]:
    source = {"path": (Ref("data"), f"/xds/{name}"), "watched_directory": {"path": (Ref("data"), "/xds")}}
    return {"path_config_source": source, "resource_api_version": "V3"}


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
