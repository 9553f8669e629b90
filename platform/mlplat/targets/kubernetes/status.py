"""What of a platform stands on its cluster, and what of it is ready: asked of the cluster, not of its stack's state."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mlplat.cluster import Cluster, UnknownKindError
from mlplat.manifests import names
from mlplat.spec.platform import PlatformSpec
from mlplat.targets.kubernetes import connection, pods

APPS = "apps/v1"
WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet")
CHARTS: Mapping[str, Sequence[str]] = {
    "gateway": (names.PROXIES,),
    "secrets": (names.NAMESPACE,),
    "autoscaling": ("keda",),
    "pipelines": ("argo",),
    "queues": ("kueue-system", "jobset-system"),
    "monitoring": ("monitoring",),
    "cost": ("opencost",),
}
"""Where each group of add-ons runs when the platform installs it."""
INSTANCE = "app.kubernetes.io/instance"
RELEASES: Mapping[str, str] = {"secrets": "external-secrets"}
"""Release by which an add-on is told from the platform's own services, beside which it runs."""
KINDS: Mapping[str, tuple[str, str]] = {
    "gateway": (connection.GATEWAYS, "Gateway"),
    "secrets": ("external-secrets.io/v1", "ExternalSecret"),
    "autoscaling": ("keda.sh/v1alpha1", "ScaledObject"),
    "pipelines": ("argoproj.io/v1alpha1", "Workflow"),
    "queues": ("kueue.x-k8s.io/v1beta2", "ClusterQueue"),
    "monitoring": ("monitoring.coreos.com/v1", "ServiceMonitor"),
}
"""A kind that each group brings, by which one that somebody else keeps is found."""
Document = Mapping[str, Any]


@dataclass(frozen=True)
class Row:
    """One thing of a platform on a cluster."""

    group: Literal["service", "add-on", "gateway", "endpoint"]
    name: str
    ready: bool
    state: str
    """How much of it is ready, or what phase it is in."""
    said: str = ""
    """Why it is not ready, or where it is."""


def rows(cluster: Cluster, spec: PlatformSpec) -> list[Row]:
    """Ask for everything. Raises `MlplatError` where the cluster does not answer."""
    return [*services(cluster), *addons(cluster, spec), *_gateway(cluster, spec), *endpoints(cluster)]


def services(cluster: Cluster) -> list[Row]:
    """Return the platform's own services, and the jobs of theirs that failed."""
    running = cluster.list("v1", "Pod", names.NAMESPACE)
    found = [each for each in _workloads(cluster, names.NAMESPACE) if _release(each) not in RELEASES.values()]
    jobs = [each for each in cluster.list("batch/v1", "Job", names.NAMESPACE) if _has_failed(each)]
    return [
        *(Row("service", _name(each), *_readiness(each, pods.of(each, running))) for each in sorted(found, key=_name)),
        *(Row("service", _name(each), False, "failed", _last_words(each)) for each in sorted(jobs, key=_name)),
    ]


def _has_failed(job: Document) -> bool:
    return condition(job, "Failed").get("status") == "True"


def _last_words(job: Document) -> str:
    return f"its job: {condition(job, 'Failed').get('message', 'did not end well')}"


def addons(cluster: Cluster, spec: PlatformSpec) -> Iterator[Row]:
    """Return each group of add-ons that the platform uses."""
    for group, places in CHARTS.items():
        chosen = getattr(spec.kubernetes.addons, group)
        if chosen == "install":
            release = RELEASES.get(group)
            yield _installed(group, [each for place in places for each in _workloads(cluster, place, release)])
        elif chosen == "adopt" and group in KINDS:
            known = cluster.knows(*KINDS[group])
            kind = KINDS[group][1]
            yield Row("add-on", group, known, "adopted", "" if known else f"the cluster has no `{kind}`")


def _installed(group: str, found: Sequence[Document]) -> Row:
    ready = {_name(each): _readiness(each) for each in found}
    good = sum(each[0] for each in ready.values())
    waits = ", ".join(f"{name}: {said or state}" for name, (fine, state, said) in ready.items() if not fine)
    missing = "" if found else "nothing of it runs"
    return Row("add-on", group, bool(found) and good == len(found), f"{good}/{len(found)}", waits or missing)


def _gateway(cluster: Cluster, spec: PlatformSpec) -> Iterator[Row]:
    if spec.kubernetes.addons.gateway == "off":
        return
    found = connection.gateway(cluster)
    if found is None:
        yield Row("gateway", names.GATEWAY, False, "missing", "the cluster has no such Gateway")
        return
    programmed = condition(found, "Programmed")
    ready = programmed.get("status") == "True"
    where = connection.address(spec, found, connection.proxies(cluster))
    state = "programmed" if ready else programmed.get("reason", "unseen by any controller")
    yield Row("gateway", names.GATEWAY, ready, str(state), where if ready else str(programmed.get("message", "")))


def endpoints(cluster: Cluster) -> list[Row]:
    """Return the endpoints of all teams, as their resources say."""
    try:
        found = cluster.list(names.API_VERSION, "ModelEndpoint")
    except UnknownKindError:
        return []
    return sorted(map(_endpoint, found), key=lambda row: row.name)


def _endpoint(document: Document) -> Row:
    status = document.get("status") or {}
    phase = str(status.get("phase", "unseen"))
    trouble = str(status.get("trouble") or "")
    said = trouble or str(status.get("message") or "the controller has not taken it up")
    return Row("endpoint", _name(document).replace(".", "/", 1), bool(status) and not trouble, phase, said)


def condition(document: Document, kind: str) -> Document:
    """Return a condition of an object's status; empty where nobody has said it."""
    told = (document.get("status") or {}).get("conditions") or []
    return next((each for each in told if each.get("type") == kind), {})


def _workloads(cluster: Cluster, namespace: str, release: str | None = None) -> Iterable[Document]:
    labels = {INSTANCE: release} if release else None
    return [each for kind in WORKLOADS for each in cluster.list(APPS, kind, namespace, labels)]


def _release(document: Document) -> str | None:
    return (document["metadata"].get("labels") or {}).get(INSTANCE)


def _readiness(document: Document, running: Sequence[Document] = ()) -> tuple[bool, str, str]:
    """Return whether a workload is ready, how much of it, and what it or one of its pods says if not."""
    status, metadata = document.get("status") or {}, document["metadata"]
    wanted, ready, updated = _counts(document)
    seen = status.get("observedGeneration", 0) >= metadata.get("generation", 0)
    fine = seen and ready >= wanted and updated >= wanted
    if fine:
        return True, f"{ready}/{wanted}", ""
    trouble = next(filter(None, map(pods.trouble, running)), "")
    return False, f"{ready}/{wanted}", trouble or _why(document, seen=seen, updated=updated, wanted=wanted)


def _counts(document: Document) -> tuple[int, int, int]:
    status = document.get("status") or {}
    if document["kind"] == "DaemonSet":
        wanted = status.get("desiredNumberScheduled", 0)
        return wanted, status.get("numberReady", 0), status.get("updatedNumberScheduled", 0)
    wanted = document["spec"].get("replicas", 1)
    return wanted, status.get("readyReplicas", 0), status.get("updatedReplicas", 0)


def _why(document: Document, *, seen: bool, updated: int, wanted: int) -> str:
    if not seen:
        return "nothing has looked at it since it was changed"
    for kind, bad in (("ReplicaFailure", "True"), ("Progressing", "False"), ("Available", "False")):
        told = condition(document, kind)
        if told.get("status") == bad:
            return str(told.get("message", ""))
    return "takes its new version" if updated < wanted else "starts"


def _name(document: Document) -> str:
    return str(document["metadata"]["name"])
