"""Pages for people at the gateway: a name for each, behind a sign-in with the provider of the stack's choice.

The gateway keeps the session in cookies of its own, encrypted, and tells nobody behind it the person's token. Grafana
and Argo ask for their own sign-in as well, which says what somebody may do there; MLflow knows no users, so `groups`
says who may write. A listener of each name takes routes of the platform's own namespace alone: no team can stand in
front of a page.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from mlplat import versions
from mlplat.manifests import names, route
from mlplat.services import Service
from mlplat.spec.kubernetes import ExposureSpec, PagesSpec
from mlplat.spec.platform import PlatformSpec
from mlplat.targets.kubernetes.addons import monitoring, pipelines

SIGN_IN_KEY = "client-secret"
"""Key of the secret, as Envoy Gateway wants it."""
TRACKING, GRAFANA, WORKFLOWS = "tracking", "grafana", "workflows"
SECONDS = 60
"""In which a page has to be answered."""
TOKEN_HEADER = "x-mlplat-person"  # noqa: S105 - the name of a header
"""In which the gateway hands itself the token, from what signs in to what reads groups; it goes no further."""
PROVIDER = "people"

Documents = list[dict[str, Any]]


@dataclass(frozen=True)
class Page:
    """What stands behind a name."""

    name: str
    namespace: str
    service: str
    port: int

    @property
    def own(self) -> bool:
        """Tell whether it is in the namespace of the routes."""
        return self.namespace == names.NAMESPACE


def listeners(exposure: ExposureSpec) -> Documents:
    """Return the gateway's listener of each page that there may be."""
    given = exposure.pages
    if given is None:
        return []
    return [
        {
            "name": each,
            "port": 443,
            "protocol": "HTTPS",
            "hostname": hostname(each, given),
            "tls": {"mode": "Terminate", "certificateRefs": [{"name": given.tls_secret or exposure.tls_secret}]},
            "allowedRoutes": {"namespaces": {"from": "Same"}},
        }
        for each in (TRACKING, GRAFANA, WORKFLOWS)
    ]


def hostname(page: str, given: PagesSpec) -> str:
    """Return the name that a page answers to."""
    return f"{page}.{given.domain}"


def documents(spec: PlatformSpec, tracking: Sequence[Service]) -> Documents:
    """Return the routes of all pages, who may come by them, and the leave to reach other namespaces.

    `tracking` is MLflow's service, or nothing where the platform's own services are left out.
    """
    given = spec.kubernetes.exposure.pages
    if given is None:
        return []
    return [document for page in pages(spec, tracking) for document in _documents(page, given)]


def pages(spec: PlatformSpec, tracking: Sequence[Service]) -> Iterator[Page]:
    """Yield what has pages: services of ours, and of charts that this platform itself installs."""
    on = spec.kubernetes.addons
    for each in tracking:
        yield Page(TRACKING, names.NAMESPACE, each.name, each.ports["http"])
    if on.monitoring == "install":
        yield Page(GRAFANA, monitoring.NAMESPACE, f"{versions.MONITORING.name}-grafana", 80)
    if on.pipelines == "install":
        yield Page(WORKFLOWS, pipelines.NAMESPACE, f"{versions.ARGO_WORKFLOWS.name}-server", 2746)


def _documents(page: Page, given: PagesSpec) -> Documents:
    return [
        *([] if page.own else [_leave(page)]),
        # Who may come in stands before the way in.
        *route.guard(_name(page), _sign_in(page, given), SECONDS),
        route.own(_name(page), f"{route.API}/v1", "HTTPRoute", _route(page, given)),
    ]


def _name(page: Page) -> str:
    return f"page-{page.name}"


def _sign_in(page: Page, given: PagesSpec) -> dict[str, Any]:
    oidc = {
        "provider": {"issuer": given.issuer},
        "clientID": given.client_id,
        "clientSecret": {"name": given.secret},
        "redirectURL": f"https://{hostname(page.name, given)}/oauth2/callback",
        "logoutPath": "/oauth2/logout",
        "cookieConfig": {"sameSite": "Lax"},
    }
    return {"oidc": oidc} if given.jwks is None else {"oidc": {**oidc, **_told()}, **_grouped(given, given.jwks)}


def _told() -> dict[str, Any]:
    return {"forwardIDToken": {"header": TOKEN_HEADER}}


def _grouped(given: PagesSpec, keys: str) -> dict[str, Any]:
    provider = {
        "name": PROVIDER,
        "issuer": given.issuer,
        "audiences": [given.client_id],
        "remoteJWKS": {"uri": keys},
        "extractFrom": {"headers": [{"name": TOKEN_HEADER}]},
    }
    claim = {"name": given.group_claim, "valueType": "StringArray", "values": given.groups}
    allowed = {"name": "groups", "action": "Allow", "principal": {"jwt": {"provider": PROVIDER, "claims": [claim]}}}
    return {"jwt": {"providers": [provider]}, "authorization": {"defaultAction": "Deny", "rules": [allowed]}}


def _route(page: Page, given: PagesSpec) -> dict[str, Any]:
    filters: Documents = [{"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": [TOKEN_HEADER]}}]
    if page.own:
        # The only names that MLflow answers to are those of the cluster.
        filters.append({"type": "URLRewrite", "urlRewrite": {"hostname": f"{page.service}.{page.namespace}.svc"}})
    backend = {"group": "", "kind": "Service", "name": page.service, "namespace": page.namespace, "port": page.port}
    return {
        "parentRefs": [{**route.parent(), "sectionName": page.name}],
        "hostnames": [hostname(page.name, given)],
        "rules": [
            {
                "name": page.name,
                "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
                "filters": filters,
                "timeouts": {"request": f"{SECONDS}s"},
                "backendRefs": [backend],
            }
        ],
    }


def _leave(page: Page) -> dict[str, Any]:
    """Return the leave of a namespace that a route of ours ends at a service of it."""
    spec = {
        "from": [{"group": route.API, "kind": "HTTPRoute", "namespace": names.NAMESPACE}],
        "to": [{"group": "", "kind": "Service", "name": page.service}],
    }
    made = route.own(_name(page), f"{route.API}/v1beta1", "ReferenceGrant", spec)
    return {**made, "metadata": {**made["metadata"], "namespace": page.namespace}}
