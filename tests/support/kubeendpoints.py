"""Endpoints on a real API server without a node: what kubelets, Envoy Gateway and its proxies would do is written here.

Pods become ready as soon as a Deployment asks for them, routes are accepted, and a proxy counts requests by the weights
of the routes as they are stored. The registry and the object store are in memory. Everything else is the controller's
own, on the real API.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from commands import until
from mlplat import bundle
from mlplat.bundle import Column, Contract, Example
from mlplat.cluster import Cluster
from mlplat.controller import wishes
from mlplat.controller.document import Endpoint, Event
from mlplat.controller.errands import Errands
from mlplat.controller.kubernetes.actuator import ClusterActuator
from mlplat.controller.kubernetes.bundles import Bundles
from mlplat.controller.kubernetes.routes import API_VERSION, KIND, OWNER_LABEL, Routes
from mlplat.controller.kubernetes.settings import Log, Objects, Settings
from mlplat.controller.kubernetes.store import KubernetesStore
from mlplat.controller.reconcile import Reconciler
from mlplat.controller.registry import GateReport, Version
from mlplat.controller.store import Wish
from mlplat.controller.transitions import Moment
from mlplat.labels import Name
from mlplat.manifests import crd, names, route
from mlplat.spec.rollout import RolloutPolicy
from mlplat.tracking import AbsentError

EPOCH = datetime(2013, 7, 1, tzinfo=UTC)
START = 4_000_000_000.0
"""Seconds of the tests' clock: later than any computer's own, which a store would otherwise not go below."""
EDGES = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 500.0)
RATE = 300
BUCKET = "artifacts"


def define(api: Cluster) -> None:
    """Put the definition of endpoints on an API server, unless it is there."""
    api.apply(crd.definition())
    until(lambda: api.knows(names.API_VERSION, crd.KIND), 20, "the definition is taken up")


class Killed(BaseException):
    """The controller's process ended here."""


class CutCluster(Cluster):
    """A cluster at whose writes a controller may end: `cut` is told of each that matters, before and after."""

    def __init__(self, like: Cluster, cut: Callable[[str], None]) -> None:
        super().__init__(like.client.configuration, like.described)
        self.cut = cut

    def ask(self, method: str, path: str, *arguments: Any, **others: Any) -> dict[str, Any]:
        matters = method != "GET" and "/events" not in path and not self._only_counts(path, *arguments)
        if matters:
            self.cut("before")
        answer = super().ask(method, path, *arguments, **others)
        if matters:
            self.cut("after")
        return answer

    def _only_counts(self, path: str, query: Any = None, body: Any = None, *_: Any) -> bool:
        if not path.endswith("/status"):
            return False
        present = super().ask("GET", path)
        before, after = present.get("status", {}).get("state", {}), body["status"]["state"]
        return all(before.get(key) == after.get(key) for key in ("phase", "revisions", "weight", "champion"))


@dataclass
class Objects3:
    """The few calls of an object store, in memory."""

    kept: dict[str, bytes] = field(default_factory=dict)

    def put_object(self, *, Bucket: str, Key: str, Body: Any) -> None:  # noqa: N803 - boto3's names
        self.kept[Key] = Body.read()

    def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803
        return {"Body": _Body(self.kept[Key])}

    def list_objects_v2(self, *, Bucket: str, Prefix: str, **_: str) -> dict[str, Any]:  # noqa: N803
        return {"Contents": [{"Key": key} for key in sorted(self.kept) if key.startswith(Prefix)]}

    def delete_objects(self, *, Bucket: str, Delete: Mapping[str, Any]) -> None:  # noqa: N803
        for each in Delete["Objects"]:
            del self.kept[each["Key"]]


class _Body:
    def __init__(self, content: bytes) -> None:
        self._file = io.BytesIO(content)

    def iter_chunks(self, size: int) -> Any:
        return iter(lambda: self._file.read(size), b"")


@dataclass
class Behaviour:
    """A version, once it serves."""

    folder: Path
    digest: str
    milliseconds: float = 3.0
    error_every: int = 0


class Place:
    """A team's namespace on the API server, and the parts that are played."""

    def __init__(self, api: Cluster, folder: Path, team: str) -> None:
        self.api, self.folder, self.team = api, folder, team
        self.name = Name(team, "late")
        self.seconds = START
        self.objects = Objects3()
        self.versions: dict[str, Behaviour] = {}
        self.counters: dict[tuple[str, str], list[float]] = {}
        self.aliases: dict[str, str] = {}
        self.lost = 0
        self.cut: Callable[[str], None] = lambda _: None
        self.broken: Callable[[Mapping[str, Any]], Mapping[str, Any] | None] = lambda _: None
        """What a pod's status is in place of a ready one's."""
        define(api)
        for namespace in (team, names.PROXIES, names.NAMESPACE):
            api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        self._account(team, "serving")
        self._account(names.PROXIES, "default")
        self._proxy()
        self.renew()

    def renew(self, **told: Any) -> None:
        """Put another controller in the place of this one, with other settings if told so."""
        settings = Settings(
            tracking="http://127.0.0.1:1", namespaces={self.team: self.team}, image="registry.example.com/serving:1",
            objects=Objects(bucket=BUCKET), log=Log(bucket="data"), port=0, production=False, **told,
        )  # fmt: skip
        http = httpx.Client(transport=httpx.MockTransport(self._answer))
        cluster = CutCluster(self.api, self._at_write)
        self.store = KubernetesStore(
            cluster, settings.namespaces, wall=lambda: self.seconds, monotonic=lambda: self.seconds
        )
        archives = Bundles(self.objects, BUCKET, self.folder / "models")
        (self.folder / "models").mkdir(exist_ok=True)
        self.actuator = ClusterActuator(cluster, self.store, lambda: settings, lambda: archives, http)
        self.actuator.routes = Routes(
            cluster, self.store, lambda: settings, http,
            monotonic=self._tick, pause=lambda _: self.play(), follow_seconds=5.0,
        )  # fmt: skip
        errands = Errands(lambda call: call())
        self.reconciler = Reconciler(
            self.store, self.actuator, lambda: self, self.moment, errands, self.actuator.limits
        )

    def _at_write(self, when: str) -> None:
        self.cut(when)

    # What runs without a controller.

    def elapse(self, seconds: float) -> None:
        """Let time pass, requests arrive, and the played parts do theirs."""
        self.play()
        self.seconds += seconds
        live = self.api.get(API_VERSION, KIND, route.name(self.name), self.team)
        if live is None:
            return
        listed = live["spec"]["rules"][0]["backendRefs"]
        whole = sum(each["weight"] for each in listed)
        for place, each in enumerate(listed):
            if each["weight"]:
                label = each["name"].rpartition("-")[2]
                self._serve(place, label, round(RATE * seconds * each["weight"] / whole))

    def play(self) -> None:
        """Be the kubelet and Envoy Gateway."""
        for deployment in self.api.list("apps/v1", "Deployment", self.team):
            self._pods(deployment)
        known = {each["metadata"]["name"] for each in self.api.list("apps/v1", "Deployment", self.team)}
        for pod in self.api.list("v1", "Pod", self.team):
            if pod["metadata"]["labels"][names.APP] not in known:
                self._end(pod)
        for live in self.api.list(API_VERSION, KIND, self.team):
            self._accept(live)

    def pods(self) -> list[str]:
        """Return the names of revisions that have pods."""
        return sorted({each["metadata"]["labels"][names.REVISION] for each in self.api.list("v1", "Pod", self.team)})

    def _pods(self, deployment: Mapping[str, Any]) -> None:
        name, template = deployment["metadata"]["name"], deployment["spec"]["template"]
        if self.api.get("v1", "Pod", f"{name}-0", self.team) is None:
            meta = {**template["metadata"], "name": f"{name}-0", "namespace": self.team}
            self.api.create({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": template["spec"]})
        labels = template["metadata"]["labels"]
        ready = {
            "phase": "Running",
            "podIP": "127.0.0.1",
            "conditions": [{"type": "Ready", "status": "True"}],
        }
        self.api.merge("v1", "Pod", f"{name}-0", {"status": self.broken(labels) or ready}, self.team, status=True)

    def _end(self, pod: Mapping[str, Any]) -> None:
        path = f"/api/v1/namespaces/{self.team}/pods/{pod['metadata']['name']}"
        self.api.ask("DELETE", path, body={"gracePeriodSeconds": 0})

    def _accept(self, live: Mapping[str, Any]) -> None:
        generation = live["metadata"]["generation"]
        conditions = [
            {
                "type": kind, "status": "True", "reason": kind, "message": "", "observedGeneration": generation,
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            }
            for kind in ("Accepted", "ResolvedRefs")
        ]  # fmt: skip
        parent = {
            "parentRef": live["spec"]["parentRefs"][0],
            "controllerName": "gateway.envoyproxy.io/gatewayclass-controller",
            "conditions": conditions,
        }
        metadata = live["metadata"]
        change = {"status": {"parents": [parent]}}
        self.api.merge(API_VERSION, KIND, metadata["name"], change, metadata["namespace"], status=True)

    def _serve(self, place: int, label: str, requests: int) -> None:
        if label not in self.pods():
            self.lost += requests
            return
        revision = self.endpoint().status.revision(int(label[1:]))
        assert revision is not None
        behaviour = self.versions[revision.version]
        cluster = route.cluster(self.team, self.name, place)
        errors = requests // behaviour.error_every if behaviour.error_every else 0
        counts = self.counters.setdefault((cluster, ""), [0.0] * (2 + len(EDGES)))
        counts[0] += requests - errors
        counts[1] += errors
        for index, edge in enumerate(EDGES):
            counts[2 + index] += requests if behaviour.milliseconds <= edge else 0

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/predict":
            rows = json.loads(request.content)["rows"]
            return httpx.Response(200, json={"predictions": [{"label": False, "probability": 0.25} for _ in rows]})
        return httpx.Response(200, text="\n".join(self._page()))

    def _page(self) -> list[str]:
        lines = []
        for (cluster, _), (good, bad, *buckets) in self.counters.items():
            named = f'envoy_cluster_name="{cluster}"'
            lines += [
                f'envoy_cluster_upstream_rq_xx{{envoy_response_code_class="2",{named}}} {int(good)}',
                f'envoy_cluster_upstream_rq_xx{{envoy_response_code_class="5",{named}}} {int(bad)}',
                f"envoy_cluster_upstream_rq_time_count{{{named}}} {int(good + bad)}",
                f"envoy_cluster_upstream_rq_active{{{named}}} 0",
                *(
                    f'envoy_cluster_upstream_rq_time_bucket{{{named},le="{edge:g}"}} {int(count)}'
                    for edge, count in zip(EDGES, buckets, strict=True)
                ),
            ]
        return lines

    def _account(self, namespace: str, name: str) -> None:
        meta = {"name": name, "namespace": namespace}
        self.api.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta})

    def _proxy(self) -> None:
        meta = {"name": "proxy", "namespace": names.PROXIES, "labels": {OWNER_LABEL: names.GATEWAY}}
        spec = {"containers": [{"name": "envoy", "image": "envoy:1"}], "automountServiceAccountToken": False}
        if self.api.get("v1", "Pod", "proxy", names.PROXIES) is None:
            self.api.create({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec})
        status = {"phase": "Running", "podIP": "127.0.0.1", "conditions": [{"type": "Ready", "status": "True"}]}
        self.api.merge("v1", "Pod", "proxy", {"status": status}, names.PROXIES, status=True)

    def _tick(self) -> float:
        # What was read a moment ago is never good enough here.
        self.seconds += 0.6
        return self.seconds

    # The registry.

    def register(self, number: str, **behaviour: Any) -> None:
        """Put a version into the registry, with a passed gate report."""
        folder = self.folder / "registered" / number
        folder.mkdir(parents=True)
        contract = Contract(
            project=self.team, model="late", task="binary", columns=(Column(name="distance", type="double"),),
            classes=(False, True), threshold=0.5, examples=(Example(row={"distance": 1.0}, prediction=0.25),),
            environment={"made": number},
        )  # fmt: skip
        (folder / "mlplat.json").write_text(contract.model_dump_json())
        self.versions[number] = Behaviour(folder, bundle.digest(folder), **behaviour)

    def version(self, model: Name, number: str) -> Version:
        if number not in self.versions:
            raise AbsentError(f"{model} has no version {number}")
        return Version(model, number, self.versions[number].digest, f"mlflow-artifacts:/{number}", "run")

    def gate_report(self, version: Version) -> GateReport | None:
        return GateReport(version.digest, True, ())

    def fetch(self, source: str, digest: str) -> tuple[Path, str]:
        return self.versions[source.rpartition("/")[2]].folder, digest

    def alias(self, model: Name, alias: str) -> str | None:
        return self.aliases.get(alias)

    def set_alias(self, model: Name, alias: str, number: str | None) -> None:
        if number is None:
            self.aliases.pop(alias, None)
        else:
            self.aliases[alias] = number

    def prune(self, digests: set[str]) -> None:
        Bundles(self.objects, BUCKET, self.folder / "models").prune([self.team], digests)

    # What a test does.

    def moment(self) -> Moment:
        return Moment(self.seconds, EPOCH + timedelta(seconds=self.seconds - START))

    def deploy(self, version: str, **policy: object) -> Endpoint:
        """Wish for a version, as the command line does."""
        wanted = RolloutPolicy.model_validate(policy, strict=False)
        return self.wish(
            lambda present: wishes.deploy(self.name, self.name, version, wanted, by="ada", present=present)
        )

    def wish(self, wish: Wish) -> Endpoint:
        store = KubernetesStore(self.api, {self.team: self.team})
        return store.wish(self.name, wish, Event(time=EPOCH, generation=0, kind="wished", text="a wish"))

    def endpoint(self) -> Endpoint:
        found = KubernetesStore(self.api, {self.team: self.team}).get(self.name)
        assert found is not None
        return found

    def kinds(self) -> list[str]:
        return [event.kind for event in KubernetesStore(self.api, {self.team: self.team}).events(self.name)]

    def step(self) -> None:
        """Make one pass, and let time go by as its pace asks."""
        try:
            self.store.adopt()
            pace = self.reconciler.run()
        except Killed:
            self.renew()
            pace = "now"
        self.elapse({"now": 0.0, "soon": 1.0, "later": 5.0}[pace])

    def passes(self, until: Callable[[], bool], most: int = 400) -> None:
        """Make passes until something holds."""
        for _ in range(most):
            if until():
                return
            self.step()
        document = self.api.get(names.API_VERSION, crd.KIND, self.name.id, self.team)
        raise AssertionError(f"never came: {json.dumps(document, indent=1)}")

    def settle(self) -> Endpoint:
        self.passes(lambda: self.endpoint().settled)
        return self.endpoint()

    def objects_left(self) -> list[str]:
        """Return what is left of revisions and routes."""
        kinds = [
            ("apps/v1", "Deployment"), ("v1", "Service"), ("policy/v1", "PodDisruptionBudget"),
            ("networking.k8s.io/v1", "NetworkPolicy"), ("autoscaling/v2", "HorizontalPodAutoscaler"),
            (API_VERSION, KIND), (f"{route.ENVOY}/v1alpha1", "BackendTrafficPolicy"),
        ]  # fmt: skip
        return [
            f"{kind} {each['metadata']['name']}"
            for version, kind in kinds
            for each in self.api.list(version, kind, self.team)
        ]
