"""Services of a cluster that have pages for people, wherever somebody has put them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlplat.cluster import Cluster
from mlplat.errors import NotReadyError, UsageError
from mlplat.manifests import names
from mlplat.targets.kubernetes.connection import OWNER
from mlplat.targets.kubernetes.forward import Target


@dataclass(frozen=True)
class Page:
    """A service by its labels, which a chart sets alike under any release's name."""

    labels: Mapping[str, str]
    ports: tuple[str, ...] = ("http", "http-web", "web", "service")
    """Names that its port goes by, best first; else its only port is meant."""
    namespace: str | None = None
    """None for any: an add-on that somebody else keeps may be anywhere."""
    scheme: str = "http"
    addon: str | None = None
    """Group of add-ons that brings it."""


PAGES: Mapping[str, Page] = {
    "tracking": Page({names.APP: "tracking"}, namespace=names.NAMESPACE),
    "gateway": Page(OWNER, namespace=names.PROXIES, addon="gateway"),
    "grafana": Page({names.APP: "grafana"}, addon="monitoring"),
    # The operator's own services, which do not depend on a chart's name.
    "prometheus": Page({"operated-prometheus": "true"}, addon="monitoring"),
    "alertmanager": Page({"operated-alertmanager": "true"}, addon="monitoring"),
    "workflows": Page({names.APP: "argo-workflows-server"}, addon="pipelines"),
    "costs": Page({names.APP: "opencost"}, ports=("http-ui", "http"), addon="cost"),
}


def find(cluster: Cluster, name: str) -> tuple[Target, str]:
    """Return the service of a page and its scheme. Raises `UsageError` for no such page, `NotReadyError`."""
    page = PAGES.get(name)
    if page is None:
        raise UsageError(f"`{name}` has no pages", hint=f"these have: {', '.join(PAGES)}")
    found = cluster.list("v1", "Service", page.namespace, page.labels)
    if not found:
        brings = f"`kubernetes.addons.{page.addon}` brings it" if page.addon else "`mlplat up` puts it there"
        raise NotReadyError(
            f"the cluster has no service of `{name}`", hint=f"{brings}; `mlplat status` shows what runs"
        )
    service = found[0]
    port = _port(service, page)
    scheme = "https" if port == 443 else page.scheme  # noqa: PLR2004 - TLS's own port
    return Target(service["metadata"]["namespace"], service["metadata"]["name"], port), scheme


def _port(service: Mapping[str, Any], page: Page) -> int:
    ports = service["spec"]["ports"]
    named = {each.get("name"): int(each["port"]) for each in ports}
    return next((named[each] for each in page.ports if each in named), int(ports[0]["port"]))
