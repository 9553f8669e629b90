"""How projects reach a platform on a cluster, as the cluster itself says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlplat.cluster import Cluster, UnknownKindError
from mlplat.contracts import Connection
from mlplat.controller.stores import Entry
from mlplat.manifests import names
from mlplat.spec.platform import PlatformSpec

GATEWAYS = "gateway.networking.k8s.io/v1"
OWNER = {
    "gateway.envoyproxy.io/owning-gateway-name": names.GATEWAY,
    "gateway.envoyproxy.io/owning-gateway-namespace": names.NAMESPACE,
}
"""Labels that Envoy Gateway gives to all that it makes for our Gateway."""
TRACKING = "http://tracking.mlplat.svc:5000"
PLAIN = {"http": 80, "https": 443}
Document = Mapping[str, Any]


def connection(spec: PlatformSpec, stack: str, entry: Entry, cluster: Cluster) -> Connection:
    """Ask a cluster where its platform's addresses are."""
    return Connection(
        platform=spec.name,
        stack=stack,
        target=spec.target,
        tracking=_tracking(cluster),
        gateway=address(spec, gateway(cluster), proxies(cluster)),
        store=entry.address(),
        clock=spec.clock.isoformat() if spec.clock else None,
        namespaces=namespaces(spec),
    )


def namespaces(spec: PlatformSpec) -> dict[str, str]:
    """Return the namespace of each project: its team's."""
    return {project: team for team, each in sorted(spec.teams.items()) for project in sorted(each.projects)}


def gateway(cluster: Cluster) -> Document | None:
    """Return the platform's Gateway; None where there is none."""
    try:
        return cluster.get(GATEWAYS, "Gateway", names.GATEWAY, names.NAMESPACE)
    except UnknownKindError:
        return None


def proxies(cluster: Cluster) -> Document | None:
    """Return the service of the proxies; None until Envoy Gateway has made it."""
    found = cluster.list("v1", "Service", names.PROXIES, OWNER)
    return found[0] if found else None


def address(spec: PlatformSpec, gateway: Document | None, service: Document | None) -> str:
    """Return the address under which endpoints answer.

    It is the name that the gateway answers to, else the address that its status tells, else that of the proxies inside
    the cluster, to which `mlplat` forwards a port. Empty while there is neither.
    """
    exposure = spec.kubernetes.exposure
    listeners = (gateway or {}).get("spec", {}).get("listeners") or [{}]
    port = int(listeners[0].get("port", 80))
    # Where a load balancer ends TLS, the listener itself speaks plainly behind it, on TLS's own port.
    scheme = "https" if listeners[0].get("protocol") == "HTTPS" or port == PLAIN["https"] else "http"
    named = listeners[0].get("hostname")
    if exposure.service == "cluster-ip" and not named:
        return _inside(scheme, port, service)
    if exposure.service == "node-port":
        port = _node_port(service) or port
    told = [str(each["value"]) for each in (gateway or {}).get("status", {}).get("addresses") or []]
    # Any name below a `*.` is answered: this one is as good as another.
    host = named.replace("*", names.GATEWAY, 1) if named else next(iter(told), None)
    if host is None:
        return _inside(scheme, port, service)
    return f"{scheme}://{host}" if PLAIN[scheme] == port else f"{scheme}://{host}:{port}"


def _inside(scheme: str, port: int, service: Document | None) -> str:
    if service is None:
        return ""
    metadata = service["metadata"]
    return f"{scheme}://{metadata['name']}.{metadata['namespace']}.svc:{port}"


def _node_port(service: Document | None) -> int | None:
    ports = (service or {}).get("spec", {}).get("ports") or []
    return next((int(each["nodePort"]) for each in ports if each.get("nodePort")), None)


def _tracking(cluster: Cluster) -> str:
    """Return MLflow's address inside the cluster: the API server and the gateway are the only ways in."""
    found = cluster.get("v1", "Service", "tracking", names.NAMESPACE)
    ports = (found or {}).get("spec", {}).get("ports") or []
    return f"http://tracking.{names.NAMESPACE}.svc:{ports[0]['port']}" if ports else TRACKING
