"""Revisions as Deployments in their team's namespace, behind the one gateway."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from mlplat.bundle import Row
from mlplat.cluster import Cluster, UnknownKindError
from mlplat.controller import asking
from mlplat.controller.actuator import Condition, Limits
from mlplat.controller.document import Revision
from mlplat.controller.gateway import Plan, Upstream
from mlplat.controller.kubernetes import bundles, pods
from mlplat.controller.kubernetes.bundles import Bundles
from mlplat.controller.kubernetes.routes import Routes
from mlplat.controller.kubernetes.settings import Pool, Settings
from mlplat.controller.kubernetes.store import KubernetesStore
from mlplat.controller.window import Window
from mlplat.errors import MlplatError, RefusedError, UnreachableError
from mlplat.labels import Name, feast_name
from mlplat.manifests import names
from mlplat.manifests.revision import Bucket, Log, Server, documents, fewest, selector
from mlplat.services.service import too_many
from mlplat.spec.scale import ScaleSpec

VERIFY_SECONDS = 60.0
"""How often objects beside the Deployments are looked for: somebody may have removed one."""
LOG_LINES = 200
DRAIN_LEAST_SECONDS = 5.0
"""The gateway's controller tells its proxies of new weights within a second or two, one after the other."""
REMOVED = (
    ("autoscaling/v2", "HorizontalPodAutoscaler"),
    ("keda.sh/v1alpha1", "ScaledObject"),
    ("v1", "Service"),
    ("policy/v1", "PodDisruptionBudget"),
    ("networking.k8s.io/v1", "NetworkPolicy"),
    ("apps/v1", "Deployment"),
)
"""Kinds of a revision's objects, in the order in which they go: the Deployment, by which it is known, last."""

Document = dict[str, Any]

log = logging.getLogger("mlplat.controller")


class ClusterActuator:
    """The actuator of a cluster."""

    def __init__(
        self,
        cluster: Cluster,
        store: KubernetesStore,
        settings: Callable[[], Settings],
        archives: Callable[[], Bundles],
        http: httpx.Client,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cluster = cluster
        self._store = store
        self._settings = settings
        self._archives = archives
        self._http = http
        self._monotonic = monotonic
        self._verified: dict[Name, tuple[tuple[str, ...], float]] = {}
        self.routes = Routes(cluster, store, settings, http)

    def limits(self) -> Limits:
        """Return how long things take here."""
        return Limits(start=self._settings().start_seconds, drain_least=DRAIN_LEAST_SECONDS)

    def owners(self) -> list[Name]:
        """See `Actuator.owners`."""
        found = {
            Name(labels[names.PROJECT], labels[names.ENDPOINT])
            for namespace in sorted(set(self._store.namespaces.values()))
            for labels in map(_labels, self._cluster.list("apps/v1", "Deployment", namespace, names.REVISION))
        }
        return sorted(each for each in found if each.project in self._store.namespaces)

    def run(self, endpoint: Name, revisions: Sequence[Revision]) -> None:
        """See `Actuator.run`.

        What is there is not touched: a newer mlplat, or new settings, are for new revisions. What somebody removed is
        made again.
        """
        wanted = {each.label: each for each in revisions}
        present = self._deployments(endpoint)
        for label in present.keys() - wanted.keys():
            self._remove(endpoint, label)
        state = (tuple(sorted(wanted)), self._monotonic())
        known = self._verified.get(endpoint)
        recent = known is not None and known[0] == state[0] and state[1] - known[1] < VERIFY_SECONDS
        if recent and wanted.keys() <= present.keys():
            return
        for each in wanted.values():
            self._make(endpoint, each)
        if wanted:
            self._verified[endpoint] = state
        else:
            self._verified.pop(endpoint, None)

    def is_whole(self, revision: Revision) -> bool:  # noqa: ARG002 - whichever it is
        """See `Actuator.is_whole`. A pod fetches it for itself, and looks at it then."""
        return True

    def revive(self, endpoint: Name, revision: Revision) -> None:
        """See `Actuator.revive`. It gets the present settings, since the ones it had may be what ended it."""
        present = self._deployments(endpoint).get(revision.label)
        replicas = int(present["spec"].get("replicas", 1)) if present else None
        for document in documents(self._server(endpoint, revision, replicas)):
            self._cluster.apply(document)
        self.restart(endpoint, revision)

    def restart(self, endpoint: Name, revision: Revision) -> None:
        """See `Actuator.restart`. Pods that answer stay."""
        for pod in self._pods(endpoint, revision):
            if not pods.is_ready(pod):
                metadata = pod["metadata"]
                self._cluster.delete("v1", "Pod", metadata["name"], metadata["namespace"])

    def free_port(self, taken: Iterable[int]) -> int:  # noqa: ARG002 - each pod has an address of its own
        """See `Actuator.free_port`."""
        return self._settings().serving_port

    def condition(self, endpoint: Name, revision: Revision) -> Condition:
        """See `Actuator.condition`. One that starts is ready with all its servers, one that serves with any."""
        least = fewest(revision.scale, production=self._settings().production)
        return pods.condition(self._pods(endpoint, revision), least if revision.state == "starting" else 1)

    def last_words(self, endpoint: Name, revision: Revision) -> str:
        """See `Actuator.last_words`."""
        found = pods.failing(self._pods(endpoint, revision))
        if found is None:
            return ""
        return asking.last_words(self._log(self._store.namespace(endpoint), found))

    def predict(self, endpoint: Name, revision: Revision, rows: Sequence[Row]) -> list[Mapping[str, Any]]:
        """See `Actuator.predict`."""
        ready = [pod for pod in self._pods(endpoint, revision) if pods.is_ready(pod)]
        if not ready:
            raise UnreachableError(f"{endpoint} {revision.label} has no server that is ready")
        address = ready[0]["status"]["podIP"]
        return asking.predict(self._http, address, endpoint, revision, rows)

    def bundle(self, revision: Revision) -> Path:
        """See `Actuator.bundle`. A controller on another node fetches it again, from where the servers have it."""
        team = self._store.namespace(Name.parse(revision.model))
        return self._archives().local(team, revision.digest)

    def publish(self, endpoint: Name, folder: Path, digest: str) -> None:
        """See `Actuator.publish`."""
        self._archives().publish(self._store.namespace(endpoint), folder, digest)

    def direct(self, plan: Plan) -> None:
        """See `Actuator.direct`."""
        self.routes.direct(plan)

    def counts(self, upstreams: Iterable[Upstream]) -> dict[str, Window]:
        """See `Actuator.counts`."""
        return self.routes.counts(upstreams)

    def active(self, upstream: Upstream) -> int:
        """See `Actuator.active`."""
        return self.routes.active(upstream)

    def _deployments(self, endpoint: Name) -> dict[str, Document]:
        found = self._cluster.list("apps/v1", "Deployment", self._store.namespace(endpoint), selector(endpoint))
        return {_labels(each)[names.REVISION]: each for each in found if names.REVISION in _labels(each)}

    def _pods(self, endpoint: Name, of: Revision) -> list[Document]:
        namespace = self._store.namespace(endpoint)
        return self._cluster.list("v1", "Pod", namespace, selector(endpoint, of.label))

    def _log(self, namespace: str, of: pods.Container) -> str:
        try:
            return self._cluster.logs(
                namespace, of.pod, container=of.name, lines=LOG_LINES, previous=of.is_running_again
            )
        except MlplatError as error:
            # A node that is gone, or has thrown the log away, keeps no verdict from being passed.
            log.warning("%s/%s: its log cannot be read: %s", namespace, of.pod, error.message)
            return ""

    def _make(self, endpoint: Name, of: Revision) -> None:
        """Make those objects of a revision that are not there."""
        for document in documents(self._server(endpoint, of)):
            metadata = document["metadata"]
            if self._cluster.get(document["apiVersion"], document["kind"], metadata["name"], metadata["namespace"]):
                continue
            self._cluster.apply(document)

    def _remove(self, endpoint: Name, label: str) -> None:
        name, namespace = names.revision(endpoint, label), self._store.namespace(endpoint)
        for version, kind in REMOVED:
            try:
                self._cluster.delete(version, kind, name, namespace)
            except UnknownKindError:
                # Without the add-on nothing of it was made.
                continue

    def _server(self, endpoint: Name, of: Revision, replicas: int | None = None) -> Server:
        settings, namespace = self._settings(), self._store.namespace(endpoint)
        pool = nodes(endpoint, of.scale, settings)
        objects, kept = settings.objects, settings.log
        return Server(
            endpoint=endpoint,
            label=of.label,
            version=of.version,
            digest=of.digest,
            key=bundles.key(namespace, of.digest),
            scale=of.scale,
            namespace=namespace,
            image=settings.image,
            bucket=Bucket(objects.bucket, objects.region, objects.endpoint, objects.secret),
            port=of.port or settings.serving_port,
            start_seconds=settings.start_seconds,
            production=settings.production,
            clock=settings.clock,
            features=f"{settings.features}/{feast_name(endpoint.project)}" if settings.features else None,
            pull_secret=settings.pull_secret,
            node_selector=pool.node_selector,
            tolerations=pool.tolerations,
            gpu_resource=pool.gpu_resource,
            prometheus=settings.prometheus,
            log=Log(kept.bucket, kept.rows, kept.seconds, of.log) if kept else None,
            owner=self._store.owner(endpoint),
            replicas=replicas,
        )


def nodes(endpoint: Name, scale: ScaleSpec, settings: Settings) -> Pool:
    """Return where an endpoint's servers go. Raises `RefusedError` for a pool that is none, or could not hold them."""
    if scale.pool is None:
        return Pool()
    pool = settings.pools.get(scale.pool)
    if pool is None:
        known = ", ".join(f"`{each}`" for each in sorted(settings.pools)) or "none"
        raise RefusedError(
            f"{endpoint}: there is no pool `{scale.pool}` for it; there is {known}",
            hint="`serving.scale.pool` in mlplat.yaml names one of `pools` in the stack file",
        )
    if fault := too_many(scale.gpu, pool.gpu_resource):
        raise RefusedError(
            f"{endpoint}: a server {fault} (pool `{scale.pool}`)",
            hint="`serving.scale.gpu: 1` in mlplat.yaml, or a pool without `shared_by`",
        )
    return pool


def _labels(document: Mapping[str, Any]) -> Mapping[str, str]:
    labels: Mapping[str, str] = document["metadata"].get("labels", {})
    return labels
