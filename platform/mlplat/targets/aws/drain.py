"""What must go from a cluster before the cluster goes, while the controllers that clean up after it still live.

A load balancer whose controller was ended first stands for ever and holds the network; a node that Karpenter made is in
nobody's state, and bills after its cluster is gone. So first goes what people made, then the ways in, then the pools.

`STAGES` and the functions on objects decide; `Cluster` is the edge: a client of the API server, by our own token.
"""

from __future__ import annotations

import base64
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from mlplat.errors import MlplatError, RefusedError, UnreachableError

Say = Callable[[str], None]
Object = Mapping[str, Any]
OURS = "mlplat."
"""Begins the groups of mlplat's own kinds."""
NODE_LABEL = "karpenter.sh/nodepool"
PAUSE_SECONDS = 5.0
NETWORK_SECONDS = 20.0
SKIP = "`--skip-drain` ends the rest all the same; `mlplat aws leftovers` then finds what that leaves"


@dataclass(frozen=True)
class Kind:
    """A kind of objects, by its API group and plural name."""

    group: str
    plural: str

    def __str__(self) -> str:
        return self.plural


@dataclass(frozen=True)
class Stage:
    """Kinds that go together, and how long that may take."""

    what: str
    kinds: tuple[Kind, ...]
    seconds: float
    waits_for: tuple[Kind, ...] = ()
    """Kinds that a controller removes once the others are deleted."""
    empties_nodes: bool = False
    """Whether pods on pools' nodes are ended: one that says `do-not-disrupt` would hold its node for a day."""


STAGES = (
    Stage(
        "what people run",
        (
            Kind(OURS, "modelendpoints"),
            # Schedules before what they start.
            Kind("argoproj.io", "cronworkflows"),
            Kind("argoproj.io", "workflows"),
            Kind("ray.io", "rayjobs"),
            Kind("ray.io", "rayservices"),
            Kind("ray.io", "rayclusters"),
            Kind("jobset.x-k8s.io", "jobsets"),
            Kind("serving.kserve.io", "inferenceservices"),
        ),
        300,
    ),
    Stage(
        "load balancers",
        (Kind("gateway.networking.k8s.io", "gateways"), Kind("networking.k8s.io", "ingresses"), Kind("", "services")),
        300,
    ),
    Stage(
        "nodes of pools",
        (Kind("karpenter.sh", "nodepools"),),
        900,
        waits_for=(Kind("karpenter.sh", "nodeclaims"),),
        empties_nodes=True,
    ),
    Stage("classes of nodes", (Kind("karpenter.k8s.aws", "ec2nodeclasses"),), 120),
)
"""In order. The seconds: an NLB takes up to five minutes to go, a GPU node up to ten to end its pods and itself."""


def goes(kind: Kind, found: Object) -> bool:
    """Tell whether an object must go: of Services, those that have a load balancer."""
    return kind.plural != "services" or (found.get("spec") or {}).get("type") == "LoadBalancer"


def named(kind: Kind, found: Object) -> str:
    """Return how an object is said: its kind, namespace and name."""
    told = found["metadata"]
    return "/".join(filter(None, [kind.plural, told.get("namespace"), told["name"]]))


def holders(pods: Iterable[Object], nodes: Iterable[Object]) -> list[Object]:
    """Return the pods that keep pools' nodes from ending: neither a daemon's, nor on their way out already."""
    pooled = {each["metadata"]["name"] for each in nodes if NODE_LABEL in (each["metadata"].get("labels") or {})}
    return [each for each in pods if (each.get("spec") or {}).get("nodeName") in pooled and _holds(each)]


def _holds(pod: Object) -> bool:
    told = pod["metadata"]
    owners = {each["kind"] for each in told.get("ownerReferences") or []}
    is_over = (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")
    return not (owners & {"DaemonSet", "Node"} or told.get("deletionTimestamp") or is_over)


def stuck(left: Iterable[tuple[Kind, Object]]) -> str:
    """Return what is still there and who it waits for."""
    lines = []
    for kind, found in left:
        waits = ", ".join(found["metadata"].get("finalizers") or [])
        lines.append(f"{named(kind, found)}{f': waits for {waits}' if waits else ''}")
    return "; ".join(lines)


class Cluster:
    """The API of a cluster: what draining asks and deletes."""

    def __init__(self, server: str, bearer: Callable[[], str], *, authority: str | None = None) -> None:
        """Reach `server` with the token that `bearer` returns; `authority` is its certificate authority, base64."""
        self._bearer = bearer
        verify: ssl.SSLContext | bool = True
        if authority:
            verify = ssl.create_default_context(cadata=base64.b64decode(authority).decode())
        self._client = httpx.Client(base_url=server, verify=verify, timeout=NETWORK_SECONDS)
        self._served: dict[str, str] | None = None

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def groups(self) -> dict[str, str]:
        """Return the path of each API group that the cluster serves, in its preferred version."""
        if self._served is None:
            found = self._ask("GET", "/apis")["groups"]
            self._served = {"": "/api/v1", **{_name(each): f"/apis/{_version(each)}" for each in found}}
        return self._served

    def objects(self, kind: Kind) -> list[tuple[str, Object]]:
        """Return the objects of a kind in all namespaces, each with the path it is deleted by; none of one unknown."""
        root = next((path for group, path in self.groups().items() if _is(kind, group)), None)
        told = self._ask("GET", f"{root}/{kind.plural}", missing={}) if root else {}
        return [(_path(f"{root}", kind, each), each) for each in told.get("items") or []]

    def delete(self, path: str) -> None:
        """Delete an object, and what it owns before it. One that is gone already is fine."""
        self._ask("DELETE", path, missing={}, json={"propagationPolicy": "Foreground"})

    def _ask(self, method: str, path: str, missing: Any = None, json: Any = None) -> Any:
        try:
            answer = self._client.request(
                method, path, json=json, headers={"Authorization": f"Bearer {self._bearer()}"}
            )
        except httpx.TransportError as error:
            raise UnreachableError(
                f"the cluster's API {self._client.base_url} does not answer: {error}",
                hint=f"a private one is reached from inside its network only; {SKIP}",
            ) from error
        if answer.status_code == httpx.codes.NOT_FOUND and missing is not None:
            return missing
        if answer.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            raise RefusedError(
                f"the cluster does not let you {method} {path}: {_message(answer)}",
                hint=f"take a role that `aws.cluster.admins` names; {SKIP}",
            )
        if answer.is_error:
            raise MlplatError(f"the cluster answers {answer.status_code} to {method} {path}: {_message(answer)}")
        return answer.json()


def drain(cluster: Cluster, say: Say, *, pause: float = PAUSE_SECONDS, stages: Iterable[Stage] = STAGES) -> list[str]:
    """Delete what must go, stage by stage; return what was deleted. Raises `MlplatError` for what does not go in time.

    Run again, it goes on where it was.
    """
    deleted: list[str] = []
    for stage in stages:
        deleted += _stage(cluster, stage, say, pause)
    return deleted


def planned(cluster: Cluster) -> list[str]:
    """Return what `drain` would delete, and delete nothing."""
    return [
        named(kind, each)
        for stage in STAGES
        for kind in stage.kinds
        for _, each in cluster.objects(kind)
        if goes(kind, each)
    ]


def _stage(cluster: Cluster, stage: Stage, say: Say, pause: float) -> list[str]:
    deleted: list[str] = []
    until = time.monotonic() + stage.seconds
    asked: set[str] = set()
    while True:
        left = [(kind, path, each) for kind in stage.kinds for path, each in cluster.objects(kind) if goes(kind, each)]
        for kind, path, each in left:
            if path not in asked:
                cluster.delete(path)
                asked.add(path)
                deleted.append(named(kind, each))
                say(f"deleted {named(kind, each)}")
        waiting = [(kind, each) for kind in stage.waits_for for _, each in cluster.objects(kind)]
        if stage.empties_nodes and waiting:
            _empty(cluster, asked)
        if not left and not waiting:
            return deleted
        if time.monotonic() > until:
            remains = [*((kind, each) for kind, _, each in left), *waiting]
            raise MlplatError(
                f"{stage.what}: still there after {stage.seconds:.0f} s: {stuck(remains)}",
                hint=f"look at what it waits for, then run the command again; {SKIP}",
            )
        threading.Event().wait(pause)


def _empty(cluster: Cluster, asked: set[str]) -> None:
    """End the pods that hold nodes. Their owners make new ones, for which there is no node any more."""
    nodes = [each for _, each in cluster.objects(Kind("", "nodes"))]
    pods = cluster.objects(Kind("", "pods"))
    paths = {id(each): path for path, each in pods}
    for pod in holders((each for _, each in pods), nodes):
        uid = str(pod["metadata"].get("uid"))
        if uid not in asked:
            cluster.delete(paths[id(pod)])
            asked.add(uid)


def _is(kind: Kind, group: str) -> bool:
    return group.startswith(kind.group) if kind.group == OURS else group == kind.group


def _name(group: Mapping[str, Any]) -> str:
    return str(group["name"])


def _version(group: Mapping[str, Any]) -> str:
    return str(group["preferredVersion"]["groupVersion"])


def _path(root: str, kind: Kind, found: Object) -> str:
    told = found["metadata"]
    space = f"/namespaces/{told['namespace']}" if told.get("namespace") else ""
    return f"{root}{space}/{kind.plural}/{told['name']}"


def _message(answer: httpx.Response) -> str:
    try:
        return str(answer.json().get("message") or answer.text)
    except ValueError:
        return answer.text[:200]
