"""What must go from a cluster before the engine ends the platform, and what is left on it afterwards.

An endpoint has a finalizer that its controller takes away once nothing of it serves any more. A controller that ends
first leaves endpoints that cannot go, and namespaces that cannot go because of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from mlplat.cluster import Cluster, UnknownKindError
from mlplat.errors import RefusedError
from mlplat.manifests import names
from mlplat.spec.platform import PlatformSpec

Say = Callable[[str], None]
SECONDS = 300.0
PAUSE_SECONDS = 1.0
KIND = "ModelEndpoint"
WORKFLOWS = "argoproj.io/v1alpha1", "Workflow"
ENDED = "workflows.argoproj.io/completed"
"""Label that Argo gives to a workflow once it has ended."""


def holds_data(spec: PlatformSpec) -> bool:
    """Tell whether a platform's data is on its cluster: in the small stores for development."""
    on = spec.kubernetes
    return spec.target == "kubernetes" and (on.databases is None or on.objects is None)


def serving(cluster: Cluster) -> list[str]:
    """Return the endpoints of all teams, as `project/name`."""
    return sorted(map(_shown, _endpoints(cluster)))


def drain(cluster: Cluster, say: Say, *, seconds: float = SECONDS, pause: Callable[[float], None] = time.sleep) -> None:
    """Delete every endpoint and wait until the controller has ended it. Raises `RefusedError` when one stays."""
    for each in _endpoints(cluster):
        metadata = each["metadata"]
        cluster.delete(names.API_VERSION, KIND, metadata["name"], metadata["namespace"])
    deadline, told = time.monotonic() + seconds, set[str]()
    while left := _endpoints(cluster):
        here = {each["metadata"]["name"] for each in left}
        for gone in sorted(told - here):
            say(f"{gone.replace('.', '/', 1)} ended")
        told = here
        if time.monotonic() > deadline:
            raise RefusedError(
                f"{', '.join(serving(cluster))}: not ended after {seconds:.0f} s, so nothing else was",
                hint="`mlplat logs controller` shows why; `--skip-drain` ends them without their controller",
            )
        pause(PAUSE_SECONDS)


def release(cluster: Cluster) -> None:
    """Delete every endpoint without its controller: nothing waits for what that would have ended."""
    for each in _endpoints(cluster):
        metadata = each["metadata"]
        place = (metadata["name"], metadata["namespace"])
        cluster.delete(names.API_VERSION, KIND, *place)
        if cluster.get(names.API_VERSION, KIND, *place) is not None:
            change = {"metadata": {"finalizers": None}}
            cluster.merge(names.API_VERSION, KIND, place[0], change, place[1])


def refuse_removed(cluster: Cluster, spec: PlatformSpec) -> None:
    """Raise `RefusedError` where a team that the spec no longer has still serves, or still runs a pipeline."""
    gone = {name for each in cluster.list("v1", "Namespace") if (name := _team(each)) and name not in spec.teams}
    serve = [each for each in _endpoints(cluster) if each["metadata"]["namespace"] in gone]
    run = [each for each in _objects(cluster, *WORKFLOWS) if each["metadata"]["namespace"] in gone and _is_open(each)]
    if not (serve or run):
        return
    teams = sorted({each["metadata"]["namespace"] for each in (*serve, *run)})
    there = {"endpoints": [*map(_shown, serve)], "running pipelines": [each["metadata"]["name"] for each in run]}
    told = [f"{what}: {len(found)} ({', '.join(sorted(found))})" for what, found in there.items() if found]
    raise RefusedError(
        f"{', '.join(f'`teams.{each}`' for each in teams)}: gone from the stack file, and still on the cluster are"
        f" {'; '.join(told)}; nothing was changed",
        hint="write it back, or end first what it has: `mlplat endpoint delete PROJECT/NAME`,"
        " `kubectl delete workflow -n TEAM NAME`",
    )


def left(cluster: Cluster, spec: PlatformSpec) -> list[str]:
    """Return what of the platform is still on a cluster: namespaces, and volumes that outlived their claims."""
    wanted = {names.NAMESPACE, *spec.teams}
    found = [each for each in cluster.list("v1", "Namespace") if each["metadata"]["name"] in wanted]
    volumes = [each for each in cluster.list("v1", "PersistentVolume") if _claimed(each) in wanted]
    return [
        *(f"namespace {each['metadata']['name']} ({each['status'].get('phase', 'unknown')})" for each in found),
        *(f"volume {each['metadata']['name']} of {_claimed(each)}" for each in volumes),
    ]


def _claimed(volume: Mapping[str, Any]) -> str:
    return str((volume["spec"].get("claimRef") or {}).get("namespace", ""))


def _endpoints(cluster: Cluster) -> list[dict[str, Any]]:
    return _objects(cluster, names.API_VERSION, KIND)


def _objects(cluster: Cluster, api_version: str, kind: str) -> list[dict[str, Any]]:
    try:
        return cluster.list(api_version, kind)
    except UnknownKindError:
        return []


def _shown(endpoint: Mapping[str, Any]) -> str:
    return str(endpoint["metadata"]["name"]).replace(".", "/", 1)


def _is_open(workflow: Mapping[str, Any]) -> bool:
    return (workflow["metadata"].get("labels") or {}).get(ENDED) != "true"


def _team(namespace: Mapping[str, Any]) -> str | None:
    """Return the team that a namespace is of, where it is the platform's."""
    labels = namespace["metadata"].get("labels") or {}
    return labels.get(names.TEAM) if labels.get(names.PART_OF) == "mlplat" else None
