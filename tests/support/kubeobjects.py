"""The Kubernetes objects of a captured program on a real API server, in the worst order that its dependencies allow."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import capture
import clusterprogram
import definitionfiles
from mlplat.cluster import Cluster
from mlplat.errors import MlplatError

Document = dict[str, Any]
ARN = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:example"


@dataclass(frozen=True)
class Refusal:
    """What the API server said against an object."""

    kind: str
    name: str
    message: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}: {self.message}"


def documents(graph: capture.Graph) -> list[Document]:
    """Return every object of a graph, each only after what it depends on, and else those declared last first.

    Definitions of others' kinds are those of the pinned files, and not the small ones of a capture.
    """
    waiting = {each.key: each for each in graph}
    ready: list[Document] = []
    while waiting:
        # What it depends on waits for its own dependencies in turn, and so does its parent.
        free = (
            each for each in reversed(waiting.values()) if waiting.keys().isdisjoint((*each.depends_on, each.parent))
        )
        ready += clusterprogram.documents(capture.Graph([waiting.pop(next(free).key)]))
    real = definitionfiles.carried()
    return [concrete(real.get(definitionfiles.key(each), each)) for each in ready]


def concrete(value: Any) -> Any:
    """Return a value with what only a cloud knows in the place of its token."""
    if isinstance(value, dict):
        return {key: concrete(each) for key, each in value.items()}
    if isinstance(value, list):
        return [concrete(each) for each in value]
    return capture.TOKEN.sub(_known, value) if isinstance(value, str) else value


def refusals(cluster: Cluster, wanted: list[Document]) -> list[Refusal]:
    """Apply objects, strictly and for real, and return what the API server says against them."""
    found = []
    for each in wanted:
        try:
            cluster.apply(each)
        except MlplatError as error:
            found.append(_refusal(each, error))
    return found


def pods(wanted: list[Document]) -> Iterator[Document]:
    """Yield a pod of every workload among some objects, as its controller would make it."""
    for each in wanted:
        spec = each.get("spec", {})
        if each["kind"] == "CronJob":
            spec = spec["jobTemplate"]["spec"]
        if each["kind"] in {"CronJob", "Deployment", "Job", "StatefulSet", "DaemonSet"}:
            named = {
                **spec["template"].get("metadata", {}),
                "name": f"{each['kind']}-{each['metadata']['name']}".lower()[:63],
            }
            named["namespace"] = each["metadata"]["namespace"]
            yield {"apiVersion": "v1", "kind": "Pod", "metadata": named, "spec": deepcopy(spec["template"]["spec"])}


def refused_pods(cluster: Cluster, wanted: list[Document]) -> list[Refusal]:
    """Return what admission says against pods of some objects: Pod Security, limits, quotas, accounts, priorities."""
    found = []
    for each in pods(wanted):
        try:
            cluster.create(each, dry_run=True)
        except MlplatError as error:
            found.append(_refusal(each, error))
    return found


def _refusal(document: Document, error: MlplatError) -> Refusal:
    named = document["metadata"]
    return Refusal(document["kind"], "/".join(filter(None, (named.get("namespace"), named["name"]))), str(error))


def _known(match: Any) -> str:
    return ARN if match["property"].lower().endswith("arn") else f"{match['property'].lower()}.example.com"
