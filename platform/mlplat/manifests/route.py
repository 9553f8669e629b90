"""The route of an endpoint: its revisions and their weights, and how the gateway treats them.

Envoy Gateway gives all backends of a rule one Envoy cluster, and so one set of counters, unless one of them has a
filter of its own; then each has its own, named by its place in the list. So every backend has a filter, which says who
answers, and a revision keeps its place in the list for as long as it is there: a place that fell empty is held by
another revision without weight until a new one takes it.

Rules come in pairs, for predictions and for explanations, which take many times as long and would condemn a revision or
hide what is wrong with it. A rule's place is part of what Envoy counts by as well: even ones are predictions', and
nobody reads what is counted of odd ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlplat.labels import Name
from mlplat.manifests import names

API = "gateway.networking.k8s.io"
ENVOY = "gateway.envoyproxy.io"
LISTENER = "endpoints"
"""The gateway's listener of endpoints, and of what is no page."""
REQUEST_SECONDS = 30
"""A prediction that takes longer is answered with 504 and counts as an error."""
CONNECT_SECONDS = 1
"""A server on the same network answers a connection in milliseconds."""
IDLE_SECONDS = 3
"""Shorter than any server keeps a connection open: none is used at the moment its server closes it."""
CONNECT_RETRIES = 5
"""Of connections that could not be made, to another pod where there is one: no request is ever sent twice."""
CONNECT_PAUSE = ("100ms", "1s")
SMOKE_TEST = "x-mlplat-smoke-test"
"""Header of the controller's own rows; nobody else may send it."""
SERVED_BY = "x-mlplat-revision"
"""Header by which a request names a revision, and by which a model server is told which one the gateway meant."""
CHOSEN = "x-mlplat-variant"
"""Header by which a caller asks for one of the revisions that get traffic, for a test of two against each other."""
MOST_BACKENDS = 16
"""In one rule (Gateway API)."""

EXPLAIN = "/explain"
"""Path of explanations, below an endpoint's."""

Document = dict[str, Any]


@dataclass(frozen=True)
class Backend:
    """A place in the list: the revision that has it, and its weight."""

    revision: str
    """`r3`."""
    weight: int = 0


@dataclass(frozen=True)
class Treatment:
    """How the gateway treats requests to an endpoint."""

    hostname: str | None = None
    parallel_requests: int = 1024
    requests_per_second: int | None = None
    port: int = 8080
    """Port of the model servers' Services."""


def name(endpoint: Name) -> str:
    """Return the route's name. It has no dot: Envoy cuts a cluster's name at the first one when it counts."""
    return names.revision(endpoint, "route")


def cluster(namespace: str, endpoint: Name, place: int) -> str:
    """Return what Envoy counts a backend's requests as, by its place in the list."""
    return f"httproute/{namespace}/{name(endpoint)}/rule/0/backend/{place}"


def places(before: Sequence[str], present: Sequence[str]) -> list[str]:
    """Return which revision has which place: whoever has one keeps it, new ones take the first that is empty.

    A revision's own place is the last one that names it: an empty place in between is named by the revision at the end
    of the list. Nothing is left of the list where nobody is present. Raises `ValueError` for more revisions than a rule
    can hold.
    """
    kept: list[str | None] = [
        each if each in present and place == _own(before, each) else None for place, each in enumerate(before)
    ]
    for each in present:
        if each not in kept and None in kept:
            kept[kept.index(None)] = each
        elif each not in kept:
            kept.append(each)
    while kept and kept[-1] is None:
        kept.pop()
    if len(kept) > MOST_BACKENDS:
        raise ValueError(f"a route holds {MOST_BACKENDS} revisions, these are {len(kept)}")
    return [each or str(kept[-1]) for each in kept]


def backends(order: Sequence[str], weights: Mapping[str, int]) -> list[Backend]:
    """Return the list of backends: a revision has its weight in its own place."""
    return [
        Backend(each, weights.get(each, 0) if _own(order, each) == place else 0) for place, each in enumerate(order)
    ]


def _own(order: Sequence[str], revision: str) -> int:
    return max(place for place, each in enumerate(order) if each == revision)


def order(route: Mapping[str, Any] | None) -> list[str]:
    """Return the revisions of a route that is there, by their places."""
    if route is None:
        return []
    return [each["name"].rpartition("-")[2] for each in route["spec"]["rules"][0].get("backendRefs", [])]


def parent() -> Document:
    """Return the gateway, as a route names it."""
    return {"group": API, "kind": "Gateway", "name": names.GATEWAY, "namespace": names.NAMESPACE}


def own(name: str, version: str, kind: str, spec: Mapping[str, Any]) -> Document:
    """Return an object of the platform's own namespace."""
    metadata = {"name": name, "namespace": names.NAMESPACE, "labels": {names.PART_OF: "mlplat"}}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": dict(spec)}


def guard(name: str, admitted: Mapping[str, Any], seconds: int) -> list[Document]:
    """Return the policies of a route of the platform's own: who may come by it, and in what time it is answered."""
    target, version = {"targetRefs": [{"group": API, "kind": "HTTPRoute", "name": name}]}, f"{ENVOY}/v1alpha1"
    return [
        own(name, version, "SecurityPolicy", {**target, **admitted}),
        own(name, version, "BackendTrafficPolicy", {**target, **connecting(seconds)}),
    ]


def connecting(seconds: int) -> Document:
    """Return how the gateway connects to what is behind a route, which has so many seconds to answer."""
    return {
        "timeout": {
            "tcp": {"connectTimeout": f"{CONNECT_SECONDS}s"},
            "http": {"requestTimeout": f"{seconds}s", "connectionIdleTimeout": f"{IDLE_SECONDS}s"},
        },
        "retry": {
            "numRetries": CONNECT_RETRIES,
            "retryOn": {"triggers": ["connect-failure"]},
            "perRetry": {"backOff": {"baseInterval": CONNECT_PAUSE[0], "maxInterval": CONNECT_PAUSE[1]}},
        },
    }


def documents(
    endpoint: Name,
    namespace: str,
    listed: Sequence[Backend],
    treatment: Treatment,
    *,
    owner: Mapping[str, Any] | None = None,
    mirror: tuple[str, int] | None = None,
) -> list[Document]:
    """Return the route and its policy; `mirror` is a revision and the per cent of requests that it gets copies of.

    What a mirror answers, nobody sees.
    """
    metadata: Document = {
        "name": name(endpoint),
        "namespace": namespace,
        "labels": {names.PROJECT: endpoint.project, names.ENDPOINT: endpoint.name, names.PART_OF: "mlplat"},
        **({"ownerReferences": [dict(owner)]} if owner else {}),
    }
    return [
        _route(endpoint, metadata, listed, treatment, mirror),
        {
            "apiVersion": f"{ENVOY}/v1alpha1",
            "kind": "BackendTrafficPolicy",
            "metadata": metadata,
            "spec": _policy(name(endpoint), treatment),
        },
    ]


def _route(
    endpoint: Name,
    metadata: Document,
    listed: Sequence[Backend],
    treatment: Treatment,
    mirror: tuple[str, int] | None,
) -> Document:
    to = [_backend(endpoint, treatment.port, each.revision, each.weight) for each in listed]
    shared = sorted({each.revision for each in listed if each.weight})
    predicting, explaining = _pair(endpoint, "weights", to)
    if mirror:
        predicting["filters"].append(_copies(endpoint, treatment.port, *mirror))
    # More headers match more: a caller that asks for a revision gets it, and counts for nobody's share.
    chosen = [_asked_for(endpoint, treatment.port, each) for each in shared] if len(shared) > 1 else []
    rules = [predicting, explaining, *(rule for pair in chosen for rule in pair)]
    spec = {
        "parentRefs": [parent()],
        **({"hostnames": [treatment.hostname]} if treatment.hostname else {}),
        "rules": rules,
    }
    return {"apiVersion": f"{API}/v1", "kind": "HTTPRoute", "metadata": metadata, "spec": spec}


def _asked_for(endpoint: Name, port: int, revision: str) -> tuple[Document, Document]:
    chosen = {"headers": [{"type": "Exact", "name": CHOSEN, "value": revision}]}
    return _pair(endpoint, f"only-{revision}", [_backend(endpoint, port, revision, 1)], chosen)


def _pair(
    endpoint: Name, name: str, to: list[Document], more: Mapping[str, Any] | None = None
) -> tuple[Document, Document]:
    """Return the rules of predictions and of explanations. The longer path of the two is the one that matches."""
    base = f"/endpoints/{endpoint}"
    return (
        _rule(name, {"path": _prefix(base), **(more or {})}, "/", to),
        _rule(f"{name}-explain", {"path": _prefix(f"{base}{EXPLAIN}"), **(more or {})}, EXPLAIN, to),
    )


def _rule(name: str, match: Document, rewritten: str, to: list[Document]) -> Document:
    return {
        "name": name,
        "matches": [match],
        "filters": [_rewrite(rewritten)],
        "timeouts": {"request": f"{REQUEST_SECONDS}s"},
        "backendRefs": to,
    }


def _prefix(path: str) -> Document:
    return {"type": "PathPrefix", "value": path}


def _rewrite(path: str) -> Document:
    return {"type": "URLRewrite", "urlRewrite": {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": path}}}


def _copies(endpoint: Name, port: int, revision: str, percent: int) -> Document:
    to = {"group": "", "kind": "Service", "name": names.revision(endpoint, revision), "port": port}
    return {"type": "RequestMirror", "requestMirror": {"backendRef": to, "percent": percent}}


def _backend(endpoint: Name, port: int, revision: str, weight: int) -> Document:
    told = {"set": [{"name": SERVED_BY, "value": revision}], "remove": [SMOKE_TEST]}
    return {
        "group": "",
        "kind": "Service",
        "name": names.revision(endpoint, revision),
        "port": port,
        "weight": weight,
        "filters": [{"type": "RequestHeaderModifier", "requestHeaderModifier": told}],
    }


def _policy(route: str, treatment: Treatment) -> Document:
    most = treatment.parallel_requests
    rate = treatment.requests_per_second
    rule = {"limit": {"requests": rate, "unit": "Second"}}
    return {
        "targetRefs": [{"group": API, "kind": "HTTPRoute", "name": route}],
        **connecting(REQUEST_SECONDS),
        "circuitBreaker": {"maxParallelRequests": most, "maxPendingRequests": most, "maxParallelRetries": most},
        # By each proxy for itself: a limit of all together would need a store of its own.
        **({"rateLimit": {"type": "Local", "local": {"rules": [rule]}}} if rate else {}),
    }
