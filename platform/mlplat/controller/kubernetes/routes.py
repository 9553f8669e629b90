"""Routes of endpoints on the gateway: written where they changed, waited for until the gateway holds them, and counted.

Which revision has which place in a route's list stands in the route itself, so another controller finds it there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import httpx

from mlplat.cluster import Cluster
from mlplat.controller.actuator import UndirectedError
from mlplat.controller.gateway import Plan, Route, Upstream
from mlplat.controller.kubernetes import pods
from mlplat.controller.kubernetes.proxies import Tally
from mlplat.controller.kubernetes.settings import Settings
from mlplat.controller.kubernetes.store import KubernetesStore
from mlplat.controller.window import Window
from mlplat.errors import MlplatError, NotReadyError, UnreachableError
from mlplat.labels import Name
from mlplat.manifests import names, route
from mlplat.manifests.route import Treatment

API_VERSION, KIND = f"{route.API}/v1", "HTTPRoute"
POLICY = (f"{route.ENVOY}/v1alpha1", "BackendTrafficPolicy")
OWNER_LABEL = f"{route.ENVOY}/owning-gateway-name"
"""Label of the gateway's proxies: which Gateway they are of."""
FOLLOW_SECONDS = 5.0
"""The gateway's controller takes a new route within a second or two; past this the next pass looks again."""
PAUSE_SECONDS = 0.1
SCRAPE_SECONDS = 3.0
AGE_SECONDS = 0.5
"""For which the counters that were read serve all endpoints of a pass."""
COUNTERS = r"^cluster\.httproute/.*/rule/0/.*\.upstream_rq_(.xx|time|active)$"
"""Of predictions by weight: neither of explanations nor of requests that chose their revision."""

Document = dict[str, Any]


class Routes:
    """The gateway's routes, and what its proxies count by them."""

    def __init__(
        self,
        cluster: Cluster,
        store: KubernetesStore,
        settings: Callable[[], Settings],
        http: httpx.Client,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
        follow_seconds: float = FOLLOW_SECONDS,
    ) -> None:
        self._cluster = cluster
        self._store = store
        self._settings = settings
        self._http = http
        self._monotonic, self._pause = monotonic, pause
        self._follow_seconds = follow_seconds
        self._tally = Tally()
        self._live: dict[Name, Document] = {}
        self._policies: dict[Name, Document] = {}
        self._looked: float | None = None

    def direct(self, plan: Plan) -> None:
        """Make the routes be as planned, each for itself, and return when the gateway holds them.

        Raises `UndirectedError` for those that it does not hold, `UnreachableError` when nothing can be asked.
        """
        self._live, self._policies = self._read(API_VERSION, KIND), self._read(*POLICY)
        present: dict[Name, list[str]] = {}
        for upstream in plan.upstreams:
            present.setdefault(upstream.endpoint, []).append(upstream.revision)
        troubles: dict[Name, str] = {}
        for wanted in plan.routes:
            try:
                self._write(wanted, present.get(wanted.endpoint, []))
            except (MlplatError, ValueError) as error:
                troubles[wanted.endpoint] = error.message if isinstance(error, MlplatError) else str(error)
        kept = {wanted.endpoint for wanted in plan.routes}
        for endpoint in [each for each in self._live if each not in kept]:
            self._remove(endpoint)
        troubles |= self._follow([endpoint for endpoint in kept if endpoint not in troubles])
        if troubles:
            raise UndirectedError(troubles)

    def counts(self, upstreams: Iterable[Upstream]) -> dict[str, Window]:
        """Return how each revision answered predictions since this controller began to look, by cluster."""
        self._look()
        return {each.cluster: self._tally.totals.get(each.cluster, Window()) for each in upstreams}

    def active(self, upstream: Upstream) -> int:
        """Return how many predictions a revision is making."""
        self._look()
        return self._tally.active.get(upstream.cluster, 0)

    def _read(self, version: str, kind: str) -> dict[Name, Document]:
        found = [
            document
            for namespace in sorted(set(self._store.namespaces.values()))
            for document in self._cluster.list(version, kind, namespace, names.ENDPOINT)
        ]
        named = {
            Name(labels[names.PROJECT], labels[names.ENDPOINT]): document
            for document in found
            if names.PROJECT in (labels := document["metadata"]["labels"])
        }
        return {name: document for name, document in named.items() if document["metadata"]["name"] == route.name(name)}

    def _write(self, wanted: Route, present: Sequence[str]) -> None:
        endpoint, live = wanted.endpoint, self._live.get(wanted.endpoint)
        weights = {cluster.rpartition(".")[2]: weight for cluster, weight in wanted.weights}
        before = route.order(live)
        order = route.places(before, sorted(present, key=lambda label: int(label[1:])))
        documents = route.documents(
            endpoint,
            self._store.namespace(endpoint),
            route.backends(order, weights),
            self._treatment(),
            owner=self._store.owner(endpoint) if live is None else _owner(live),
        )
        # The policy first: a route is never without its time-outs. Each for itself is written only where it changes:
        # a controller that ends after any write finds the next one to make.
        if not _holds(self._policies.get(endpoint), documents[1]):
            self._policies[endpoint] = self._cluster.apply(documents[1])
        if _holds(live, documents[0]):
            return
        if live is not None and order[: len(before)] != before:
            # What a place has counted for whoever had it is taken before somebody else has it.
            self._look(anew=True)
        self._live[endpoint] = self._cluster.apply(documents[0])

    def _remove(self, endpoint: Name) -> None:
        namespace = self._store.namespace(endpoint)
        for version, kind in ((API_VERSION, KIND), POLICY):
            self._cluster.delete(version, kind, route.name(endpoint), namespace)
        self._live.pop(endpoint, None)
        self._policies.pop(endpoint, None)

    def _follow(self, endpoints: Sequence[Name]) -> dict[Name, str]:
        """Wait until the gateway holds the routes; return what keeps it from those that it does not hold."""
        waiting = {endpoint: why for endpoint in endpoints if (why := refusal(self._live[endpoint]))}
        until = self._monotonic() + self._follow_seconds
        while waiting and self._monotonic() < until:
            self._pause(PAUSE_SECONDS)
            for endpoint in list(waiting):
                live = self._cluster.get(API_VERSION, KIND, route.name(endpoint), self._store.namespace(endpoint))
                if live is not None:
                    self._live[endpoint] = live
                    waiting[endpoint] = refusal(live)
            waiting = {endpoint: why for endpoint, why in waiting.items() if why}
        return waiting

    def _treatment(self) -> Treatment:
        settings = self._settings()
        return Treatment(
            hostname=settings.hostname,
            parallel_requests=settings.parallel_requests,
            requests_per_second=settings.requests_per_second,
            port=settings.serving_port,
        )

    def _places(self) -> dict[str, str]:
        """Return which revision Envoy counts under which name: `flights.late.r3` by cluster."""
        found: dict[str, str] = {}
        for endpoint, live in self._live.items():
            order, namespace = route.order(live), live["metadata"]["namespace"]
            for place, label in enumerate(order):
                found[route.cluster(namespace, endpoint, place)] = f"{endpoint.id}.{label}"
        return found

    def _look(self, *, anew: bool = False) -> None:
        now = self._monotonic()
        if not anew and self._looked is not None and now - self._looked < AGE_SECONDS:
            return
        if not self._live:
            self._live = self._read(API_VERSION, KIND)
        pages = {uid: self._page(address) for uid, address in self._proxies().items()}
        self._tally.look(pages, self._places())
        self._looked = now

    def _proxies(self) -> dict[str, str]:
        """Return the address of each proxy's counters, by the proxy. Raises `NotReadyError` when there is none."""
        found = self._cluster.list("v1", "Pod", names.PROXIES, {OWNER_LABEL: names.GATEWAY})
        ready = [pod for pod in found if pods.is_ready(pod) and "deletionTimestamp" not in pod["metadata"]]
        if not ready:
            raise NotReadyError(
                "the gateway has no proxy that is ready", hint=f"`kubectl -n {names.PROXIES} get pods` shows them"
            )
        port = self._settings().proxies_port
        return {pod["metadata"]["uid"]: _url(pod["status"]["podIP"], port) for pod in ready}

    def _page(self, address: str) -> str:
        try:
            answer = self._http.get(address, params={"filter": COUNTERS}, timeout=SCRAPE_SECONDS)
            return answer.raise_for_status().text
        except httpx.HTTPError as error:
            raise UnreachableError(f"a proxy of the gateway does not answer on {address}: {error}") from error


def refusal(live: Mapping[str, Any]) -> str:
    """Say why the gateway does not hold a route as it is written now; empty when it does."""
    generation = live["metadata"]["generation"]
    parents = live.get("status", {}).get("parents", [])
    ours = [each for each in parents if each["parentRef"]["name"] == names.GATEWAY]
    if not ours:
        return "the gateway has not looked at its route yet"
    for kind in ("Accepted", "ResolvedRefs"):
        found = [each for parent in ours for each in parent.get("conditions", []) if each["type"] == kind]
        for each in found:
            if each.get("observedGeneration", 0) >= generation and each["status"] != "True":
                return f"the gateway refuses its route: {each.get('message') or each.get('reason')}"
        if not any(each.get("observedGeneration", 0) >= generation for each in found):
            return "the gateway has not taken its new route yet"
    return ""


def _holds(live: Mapping[str, Any] | None, wanted: Mapping[str, Any]) -> bool:
    """Tell whether what is there says what is wanted, defaults of the API beside it."""
    return live is not None and _within(wanted["spec"], live["spec"])


def _within(wanted: Any, live: Any) -> bool:
    match wanted:
        case Mapping():
            return isinstance(live, Mapping) and all(key in live and _within(wanted[key], live[key]) for key in wanted)
        case list():
            same = isinstance(live, list) and len(live) == len(wanted)
            return same and all(_within(*pair) for pair in zip(wanted, live, strict=True))
        case _:
            return bool(wanted == live)


def _owner(live: Mapping[str, Any]) -> Mapping[str, Any] | None:
    owners: list[Mapping[str, Any]] = live["metadata"].get("ownerReferences", [])
    return owners[0] if owners else None


def _url(address: str, port: int) -> str:
    host = f"[{address}]" if ":" in address else address
    return f"http://{host}:{port}/stats/prometheus"
