"""The real Envoy Gateway takes the routes that the controller writes, shares by them, and counts as we read it.

Behind it stand Envoys that answer by themselves instead of model servers.
"""

from __future__ import annotations

import json
import os
import urllib.request
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest

import kubecrds
import kubegateway
import kubenode
import kubenodes
from commands import until
from kubeendpoints import define
from mlplat.cluster import Cluster
from mlplat.controller import wishes
from mlplat.controller.document import Event
from mlplat.controller.gateway import Plan, Route, Upstream
from mlplat.controller.kubernetes.routes import OWNER_LABEL, Routes
from mlplat.controller.kubernetes.settings import Settings
from mlplat.controller.kubernetes.store import KubernetesStore
from mlplat.labels import Name
from mlplat.manifests import names
from mlplat.spec.kubernetes import ExposureSpec
from mlplat.spec.rollout import RolloutPolicy
from mlplat.targets.kubernetes import edge
from mlplat.targets.kubernetes.ground import Ground

REASON = kubegateway.missing()
pytestmark = [
    pytest.mark.node,
    pytest.mark.skipif(
        REASON is not None and "node" not in os.environ.get("MLPLAT_REQUIRE", "").split(","), reason=str(REASON)
    ),
]
TEAM = "flights"
LATE = Name("flights", "late")
PORT = 8080
REQUESTS = 300


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder: Path = tmp_path_factory.mktemp("gateway")
    with kubenode.running(folder / "node", data=kubecrds.prepared()) as node:
        node.load(*kubegateway.images(folder))
        with node.api.cluster() as made:
            define(made)
            for name in (names.NAMESPACE, TEAM):
                kubenodes.namespace(made, name)
            made.merge("v1", "Namespace", TEAM, {"metadata": {"labels": {names.ROUTES: "true"}}})
            for each in [*kubegateway.documents(), *platform()]:
                made.apply(each)
            for label in ("r1", "r2"):
                for each in backend(label):
                    made.apply(each)
            yield made


def platform() -> list[dict[str, Any]]:
    """Return the platform's own gateway, its proxy from the test's image."""
    exposure = ExposureSpec(service="cluster-ip", authentication="none", replicas=1)
    ground = cast("Ground", SimpleNamespace(cloud=None, placement={}))
    proxies, gateway = edge.gateway(exposure, ground)
    container = proxies["spec"]["provider"]["kubernetes"]["envoyDeployment"]["container"]
    container |= {"image": kubegateway.PROXY, "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}}}
    return [*edge.kind(), proxies, gateway, *edge.policies(exposure)]


def backend(label: str) -> list[dict[str, Any]]:
    """Return a revision that answers with its label, as fast as there is."""
    name = names.revision(LATE, label)
    metadata = {"name": name, "namespace": TEAM, "labels": {"app": name}}
    container = {
        "name": "answers",
        "image": kubegateway.PROXY,
        "imagePullPolicy": "Never",
        "args": ["--config-yaml", answering(label), "--concurrency", "1", "--disable-hot-restart"],
        "env": [{"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
        "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1},
    }
    pod = {"containers": [container]}
    template = {"metadata": {"labels": {"app": name}}, "spec": {**pod, "terminationGracePeriodSeconds": 1}}
    selector = {"selector": {"matchLabels": {"app": name}}, "template": template, "replicas": 1}
    service = {"selector": {"app": name}, "ports": [{"port": PORT, "targetPort": PORT}]}
    return [
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": selector},
        {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": service},
    ]


def answering(label: str) -> str:
    """Return the configuration of an Envoy that answers everything with a text."""
    types = "type.googleapis.com/envoy.extensions.filters"
    router = {"name": "envoy.filters.http.router", "typed_config": {"@type": f"{types}.http.router.v3.Router"}}
    answer = {"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": label}}}
    manager = {
        "@type": f"{types}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "answers",
        "http_filters": [router],
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [answer]}]},
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    # Kubernetes puts it in.
    address = {"socket_address": {"address": "$(POD_IP)", "port_value": PORT}}
    return json.dumps({"static_resources": {"listeners": [{"address": address, "filter_chains": [chain]}]}})


@pytest.fixture(scope="module")
def store(cluster: Cluster) -> Iterator[KubernetesStore]:
    made = KubernetesStore(cluster, {LATE.project: TEAM})
    event = Event(time=datetime.now(UTC), generation=0, kind="wished", text="wished")
    made.wish(LATE, lambda _: wishes.deploy(LATE, LATE, "1", RolloutPolicy(), by="ada"), event)
    yield made
    made.close()


@pytest.fixture(scope="module")
def routes(cluster: Cluster, store: KubernetesStore) -> Iterator[Routes]:
    settings = cast("Settings", SimpleNamespace(**WANTED))
    with httpx.Client(trust_env=False) as http:
        yield Routes(cluster, store, lambda: settings, http, follow_seconds=60)


WANTED = {
    "hostname": None,
    "parallel_requests": 1024,
    "requests_per_second": None,
    "serving_port": PORT,
    "proxies_port": 19001,
}


def planned(**weights: int) -> Plan:
    """Return what the documents would ask for: revisions, and their weights."""
    upstreams = tuple(Upstream(LATE, label, PORT) for label in weights)
    shares = tuple((f"{LATE.id}.{label}", weight) for label, weight in weights.items() if weight)
    return Plan(upstreams, (Route(LATE, shares),))


def address(cluster: Cluster) -> str:
    """Return where the gateway answers, from this computer."""
    found = cluster.list("v1", "Service", names.PROXIES, {OWNER_LABEL: names.GATEWAY})
    return f"http://{found[0]['spec']['clusterIP']}" if found else ""


def ask(cluster: Cluster, count: int, path: str = "predict") -> Counter[str]:
    """Return who answered, by how often; `error` is an answer that is none."""
    told: Counter[str] = Counter()
    for _ in range(count):
        try:
            with urllib.request.urlopen(f"{address(cluster)}/endpoints/{LATE}/{path}", timeout=30) as answer:
                told[answer.read().decode()] += 1
        except OSError:
            told["error"] += 1
    return told


def test_a_route_is_taken_and_requests_are_shared_by_its_weights(cluster: Cluster, routes: Routes) -> None:
    until(lambda: _directed(routes, planned(r1=100)), seconds=180, what="the gateway takes a route")
    until(lambda: address(cluster) and ask(cluster, 1)["r1"], seconds=120, what="the first answer")
    routes.direct(planned(r1=90, r2=10))
    until(lambda: ask(cluster, 50)["r2"], seconds=30, what="the second revision answers")
    told = ask(cluster, REQUESTS)
    assert told["error"] == 0
    # Six standard deviations of 300 throws.
    assert 2 <= told["r2"] <= 62


def test_what_the_proxies_count_is_what_was_answered_and_no_explanation(cluster: Cluster, routes: Routes) -> None:
    upstreams = [Upstream(LATE, label, PORT) for label in ("r1", "r2")]
    routes.counts(upstreams)
    before = _counted(routes, upstreams)
    explained = ask(cluster, 50, "explain")
    assert explained["r1"] + explained["r2"] == 50
    told = ask(cluster, REQUESTS)
    until(
        lambda: _new(routes, upstreams, before) == {"r1": told["r1"], "r2": told["r2"]}, seconds=20, what="the counts"
    )
    window = routes.counts(upstreams)[upstreams[0].cluster]
    assert window.errors == 0
    # Our own histogram: a tenth to a fifth apart, and not Envoy's own powers of about two.
    assert {12.0, 15.0, 18.0} <= {edge for edge, _ in window.buckets}


def test_a_promotion_is_in_force_and_nothing_is_lost(cluster: Cluster, routes: Routes) -> None:
    routes.direct(planned(r1=0, r2=100))
    until(lambda: set(ask(cluster, 20)) == {"r2"}, seconds=30, what="the new weights")
    assert ask(cluster, REQUESTS) == Counter({"r2": REQUESTS})


def test_the_place_that_fell_empty_counts_for_nobody_else(cluster: Cluster, routes: Routes) -> None:
    routes.direct(planned(r2=100))
    until(lambda: set(ask(cluster, 20)) == {"r2"}, seconds=30, what="one revision answers")
    upstreams = [Upstream(LATE, label, PORT) for label in ("r1", "r2")]
    before = _counted(routes, upstreams)
    told = ask(cluster, REQUESTS)
    until(lambda: _new(routes, upstreams, before)["r2"] == told["r2"], seconds=20, what="the counts")
    assert _new(routes, upstreams, before) == {"r1": 0, "r2": REQUESTS}


def _directed(routes: Routes, plan: Plan) -> bool:
    try:
        routes.direct(plan)
    except Exception:  # noqa: BLE001 - whatever it is, it is tried again until the deadline
        return False
    return True


def _counted(routes: Routes, upstreams: list[Upstream]) -> dict[str, int]:
    routes._looked = None
    found = routes.counts(upstreams)
    return {each.revision: found[each.cluster].requests for each in upstreams}


def _new(routes: Routes, upstreams: list[Upstream], before: dict[str, int]) -> dict[str, int]:
    return {label: count - before[label] for label, count in _counted(routes, upstreams).items()}
