"""The way to MLflow from outside of the cluster: below one path of the gateway, for those whom it knows.

MLflow itself knows no users, so without a way to know who calls there is no way in. What runs in teams' namespaces does
not come by here: it reaches MLflow inside the cluster, by network policy.
"""

from __future__ import annotations

from typing import Any

from mlplat.manifests import names, route
from mlplat.services import Service
from mlplat.spec.platform import PlatformSpec
from mlplat.targets.kubernetes import callers

NAME = "tracking"
PATH = "/tracking"
"""Below which the gateway answers for MLflow: what `MLFLOW_TRACKING_URI` ends with."""
SECONDS = 900
"""In which a request has to have arrived, and then its answer: a file of 1 GB takes 800 on a line of 10 Mbit/s."""

Documents = list[dict[str, Any]]


def has_way(spec: PlatformSpec) -> bool:
    """Tell whether MLflow is written to through the gateway: not where that would be by everybody."""
    return spec.kubernetes.addons.gateway != "off" and spec.kubernetes.exposure.authentication != "none"


def labels(spec: PlatformSpec) -> dict[str, str]:
    """Return what the platform's namespace is labelled with, for the gateway to take a route of it."""
    return {names.ROUTES: "true"} if has_way(spec) else {}


def documents(tracking: Service, spec: PlatformSpec) -> Documents:
    """Return the route, who may come by it, and for how long; nothing where `has_way` says that there is none."""
    admitted = callers.admitted(
        spec.kubernetes.exposure, secret=callers.TRACKING_KEYS, header=callers.TOKEN_HEADER, teams=sorted(spec.teams)
    )
    if not has_way(spec) or admitted is None:
        return []
    way = {"parentRefs": [_parent()], "rules": [_rule(tracking)]}
    return [*route.guard(NAME, admitted, SECONDS), route.own(NAME, f"{route.API}/v1", "HTTPRoute", way)]


def _parent() -> dict[str, Any]:
    # Not the pages' listeners too, which take every route of this namespace that names none.
    return {**route.parent(), "sectionName": route.LISTENER}


def _rule(tracking: Service) -> dict[str, Any]:
    rewrite = {
        # The only names that it answers to are those of the cluster.
        "hostname": f"{tracking.name}.{names.NAMESPACE}.svc",
        "path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"},
    }
    return {
        "name": NAME,
        "matches": [{"path": {"type": "PathPrefix", "value": PATH}}],
        "filters": [{"type": "URLRewrite", "urlRewrite": rewrite}],
        "timeouts": {"request": f"{SECONDS}s"},
        "backendRefs": [{"group": "", "kind": "Service", "name": tracking.name, "port": tracking.ports["http"]}],
    }
