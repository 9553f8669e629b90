"""Envoy as the gateway of all endpoints: what it should hold, the files it follows, and what it counts.

Clusters are revisions, routes are endpoints. A revision has a second cluster for its explanations: they take many times
as long as predictions, and would condemn it or hide what is wrong with it. Predictions alone count.

Envoy follows a file renamed into place without dropping a request; it answers 503 for a route to a cluster it does not
know, and keeps the old routes when it refuses new ones. So clusters come before the routes that name them and go after
them, and whoever gives weight waits until Envoy says it has both.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx

from mlplat.controller.document import CLUSTER, Endpoint
from mlplat.controller.window import Window
from mlplat.errors import NotReadyError, RefusedError, UnreachableError
from mlplat.files import write_if_changed
from mlplat.labels import Name
from mlplat.manifests.route import EXPLAIN

API = "type.googleapis.com/envoy"
CLUSTER_TYPE = f"{API}.config.cluster.v3.Cluster"
ROUTES_TYPE = f"{API}.config.route.v3.RouteConfiguration"
HTTP_TYPE = f"{API}.extensions.upstreams.http.v3.HttpProtocolOptions"
ROUTES_NAME = "mlplat"
"""Name of the route configuration, as the gateway's listener asks for it."""
STAT_PREFIX = "gateway"

EXPLAINING = "-explaining"
"""What the name of a revision's cluster for explanations ends with."""

REQUEST_SECONDS = 30
"""A prediction that takes longer is answered with 504 and counts as an error."""
CONNECT_SECONDS = 1
"""A server on the same computer or network answers a connection in milliseconds."""
IDLE_SECONDS = 3
"""Shorter than any server keeps a connection open: none is used at the moment its server closes it."""
CONNECT_RETRIES = 20
CONNECT_PAUSE_SECONDS = (0.1, 0.5)
"""The first and the longest mean pause between two of them. Together about eight seconds, in which a model server that
ended is back: its requests wait. Only for connections that could not be made: no request is ever sent twice."""
WAITING_REQUESTS = 1024
"""That may wait so at a time for one revision."""
SMOKE_TEST = "x-mlplat-smoke-test"
"""Header of the controller's own rows, which a model server keeps out of its log; nobody else may send it."""
ADMIN_SECONDS = 2.0
FOLLOW_SECONDS = 5.0
"""Envoy follows a file within milliseconds; past this it does not follow at all."""

_SAMPLE = re.compile(r"^envoy_cluster_upstream_rq_(xx|time_bucket|time_count|active)\{(.*)\} (\d+)$")
_LABEL = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True)
class Upstream:
    """A revision that the gateway may send requests to."""

    endpoint: Name
    revision: str
    port: int

    @property
    def cluster(self) -> str:
        """`project.endpoint.r3`."""
        return f"{self.endpoint.id}.{self.revision}"

    @property
    def counted_as(self) -> str:
        """`project/endpoint/r3`: Envoy cuts a cluster's name at its first dot when it names its counters."""
        return f"{self.endpoint}/{self.revision}"

    @property
    def explaining(self) -> Upstream:
        """The same servers as a cluster of its own, whose counters nobody reads."""
        return replace(self, revision=f"{self.revision}{EXPLAINING}")


@dataclass(frozen=True)
class Route:
    """An endpoint and who answers for it."""

    endpoint: Name
    weights: tuple[tuple[str, int], ...]
    """(cluster, weight); weights are above zero."""


@dataclass(frozen=True)
class Plan:
    """Everything the gateway should hold."""

    upstreams: tuple[Upstream, ...] = ()
    routes: tuple[Route, ...] = ()


def plan(endpoints: Iterable[Endpoint]) -> Plan:
    """Return what the endpoints' documents ask of the gateway."""
    endpoints = list(endpoints)
    upstreams = [
        Upstream(endpoint.name, revision.label, revision.port)
        for endpoint in endpoints
        for revision in endpoint.status.revisions
        if revision.state in CLUSTER
    ]
    return Plan(tuple(upstreams), tuple(route for endpoint in endpoints if (route := _route(endpoint))))


def _route(endpoint: Endpoint) -> Route | None:
    status = endpoint.status
    shares = {status.answering: 100 - status.weight, status.challenger: status.weight}
    weights = [
        (f"{endpoint.name.id}.{revision.label}", share)
        for number, share in shares.items()
        if share and (revision := status.revision(number)) and revision.state in CLUSTER
    ]
    return Route(endpoint.name, tuple(weights)) if weights and status.phase != "deleting" else None


class Gateway:
    """One Envoy, by the folder it follows and its admin address."""

    def __init__(self, folder: Path, admin: str, http: httpx.Client) -> None:
        self._http = http
        self.clusters_file = folder / "clusters.json"
        self.routes_file = folder / "routes.json"
        self.admin = admin
        self._held: Plan | None = None
        self._written = ("", "")

    def apply(self, wanted: Plan) -> None:
        """Make Envoy hold exactly `wanted`, and return when it does. Does nothing when it already did.

        Raises `UnreachableError` when Envoy does not answer, `RefusedError` when it refuses, `NotReadyError` when it
        does not follow.
        """
        if wanted == self._held and self._files() == self._written:
            return
        self._held = None
        new = {each.cluster: _cluster(each) for one in wanted.upstreams for each in (one, one.explaining)}
        self._follow_clusters({**self._in_use(), **new})
        self._follow_routes([each for route in wanted.routes for each in _envoy_routes(route)])
        self._follow_clusters(new)
        self._held, self._written = wanted, self._files()

    def counts(self, upstreams: Iterable[Upstream]) -> dict[str, Window]:
        """Return how each revision answered predictions since Envoy started, by cluster. Raises `UnreachableError`."""
        return {upstream.cluster: self._samples(upstream)[0] for upstream in upstreams}

    def active(self, upstream: Upstream) -> int:
        """Return how many predictions a revision is making. Raises `UnreachableError`.

        Explanations are not waited for: a server that ends answers what it has begun.
        """
        return self._samples(upstream)[1]

    def _samples(self, upstream: Upstream) -> tuple[Window, int]:
        pattern = rf"^cluster\.{re.escape(upstream.counted_as)}\.upstream_rq_(.xx|time|active)$"
        return read_samples(self._get("/stats/prometheus", filter=pattern).text, upstream.counted_as)

    def _files(self) -> tuple[str, str]:
        return _text(self.clusters_file), _text(self.routes_file)

    def _in_use(self) -> dict[str, Any]:
        """Return the clusters that routes in force may name, though they are to go; all, where nobody can tell.

        A disk may have left anything in both files. Envoy goes on with what it has read before.
        """
        present = {cluster["name"]: cluster for cluster in _resources(self.clusters_file) or ()}
        routes = _resources(self.routes_file)
        named = re.findall(r'"name": "([^"]+)"', json.dumps(routes))
        return {name: cluster for name, cluster in present.items() if routes is None or name in named}

    def _follow_clusters(self, clusters: Mapping[str, Any]) -> None:
        version = self._write(self.clusters_file, [clusters[name] for name in sorted(clusters)])
        self._await(version, "cluster_manager.cds", "clusters")
        known = self._get("/clusters", format="json").json().get("cluster_statuses", [])
        with_hosts = {status["name"] for status in known if status.get("host_statuses")}
        if lacking := clusters.keys() - with_hosts:
            raise NotReadyError(f"the gateway does not know {', '.join(sorted(lacking))}")

    def _follow_routes(self, routes: list[dict[str, Any]]) -> None:
        nothing = {"prefix": "/"}, {"status": 404, "body": {"inline_string": '{"error": "no endpoint answers here"}\n'}}
        everything = [*routes, {"match": nothing[0], "direct_response": nothing[1]}]
        host = {"name": "endpoints", "domains": ["*"], "routes": everything}
        host["request_headers_to_remove"] = [SMOKE_TEST]
        version = self._write(self.routes_file, [{"@type": ROUTES_TYPE, "name": ROUTES_NAME, "virtual_hosts": [host]}])
        self._await(version, f"http.{STAT_PREFIX}.rds.{ROUTES_NAME}", "routes")

    def _write(self, path: Path, resources: list[dict[str, Any]]) -> str:
        version = hashlib.sha256(json.dumps(resources, sort_keys=True).encode()).hexdigest()[:16]
        write_if_changed(path, json.dumps({"version_info": version, "resources": resources}, indent=1) + "\n")
        return version

    def _await(self, version: str, prefix: str, what: str) -> None:
        """Wait until Envoy says that it holds a version of a file."""
        refused_before: int | None = None
        deadline = time.monotonic() + FOLLOW_SECONDS
        while True:
            stats = self._stats(prefix)
            if stats.get("version_text") == f'"{version}"':
                return
            refused = int(stats.get("update_rejected", "0"))
            if refused_before is not None and refused > refused_before:
                raise RefusedError(
                    f"the gateway refused new {what}", hint="its log says why; the old ones are in force"
                )
            refused_before = refused
            if time.monotonic() > deadline:
                raise NotReadyError(f"the gateway did not take new {what} within {FOLLOW_SECONDS:.0f} s")
            time.sleep(0.01)

    def _stats(self, prefix: str) -> dict[str, str]:
        text = self._get("/stats", filter=rf"^{re.escape(prefix)}\.(version_text|update_rejected)$").text
        lines = (line.partition(": ") for line in text.splitlines())
        return {name.removeprefix(f"{prefix}."): value for name, _, value in lines}

    def _get(self, path: str, **parameters: str) -> httpx.Response:
        try:
            answer = self._http.get(f"{self.admin}{path}", params=parameters, timeout=ADMIN_SECONDS)
            return answer.raise_for_status()
        except httpx.HTTPError as error:
            raise UnreachableError(
                f"the gateway does not answer on {self.admin}: {error}", hint="`mlplat status` shows whether it runs"
            ) from error


def read_samples(text: str, counted_as: str) -> tuple[Window, int]:
    """Read one revision's counters, and how many requests it is answering, from Envoy's Prometheus page."""
    classes: dict[str, int] = {}
    buckets: dict[float, int] = {}
    timed = active = 0
    for line in text.splitlines():
        if not (sample := _SAMPLE.match(line)):
            continue
        kind, labels, value = sample[1], dict(_LABEL.findall(sample[2])), int(sample[3])
        if labels.get("envoy_cluster_name") != counted_as:
            continue
        if kind == "xx":
            classes[labels["envoy_response_code_class"]] = value
        elif kind == "time_count":
            timed = value
        elif kind == "active":
            active = value
        elif labels["le"] != "+Inf":
            buckets[float(labels["le"])] = value
    window = Window(
        requests=sum(classes.values()), errors=classes.get("5", 0), timed=timed, buckets=tuple(sorted(buckets.items()))
    )
    return window, active


def _cluster(upstream: Upstream) -> dict[str, Any]:
    address = {"socket_address": {"address": "127.0.0.1", "port_value": upstream.port}}
    idle = {"common_http_protocol_options": {"idle_timeout": f"{IDLE_SECONDS}s"}}
    return {
        "@type": CLUSTER_TYPE,
        "name": upstream.cluster,
        "alt_stat_name": upstream.counted_as,
        "type": "STATIC",
        "connect_timeout": f"{CONNECT_SECONDS}s",
        "circuit_breakers": {"thresholds": [{"max_retries": WAITING_REQUESTS}]},
        "load_assignment": {
            "cluster_name": upstream.cluster,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": HTTP_TYPE,
                **idle,
                "explicit_http_config": {"http_protocol_options": {}},
            }
        },
    }


def _envoy_routes(route: Route) -> list[dict[str, Any]]:
    """Return an endpoint's routes; Envoy takes the first that matches."""
    base = f"/endpoints/{route.endpoint}"
    explaining = [(f"{name}{EXPLAINING}", weight) for name, weight in route.weights]
    return [
        _envoy_route({"path": f"{base}{EXPLAIN}"}, EXPLAIN, explaining),
        _envoy_route({"prefix": f"{base}/"}, "/", route.weights),
    ]


def _envoy_route(match: Mapping[str, str], rewritten: str, weights: Iterable[tuple[str, int]]) -> dict[str, Any]:
    return {
        "match": dict(match),
        "route": {
            "prefix_rewrite": rewritten,
            "weighted_clusters": {"clusters": [{"name": name, "weight": weight} for name, weight in weights]},
            "timeout": f"{REQUEST_SECONDS}s",
            "retry_policy": {
                "retry_on": "connect-failure",
                "num_retries": CONNECT_RETRIES,
                # Envoy waits for a random part of twice the mean.
                "retry_back_off": {
                    "base_interval": f"{CONNECT_PAUSE_SECONDS[0]}s",
                    "max_interval": f"{2 * CONNECT_PAUSE_SECONDS[1]}s",
                },
            },
        },
    }


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except FileNotFoundError:
        return ""


def _resources(path: Path) -> list[dict[str, Any]] | None:
    """Return what was last written to a file that Envoy follows; None where it cannot be read."""
    try:
        return [{"name": each["name"], **each} for each in json.loads(_text(path))["resources"]]
    except (ValueError, TypeError, KeyError):
        return None
