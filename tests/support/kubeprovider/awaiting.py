"""What pulumi-kubernetes waits for before it takes an object for done, where there are nodes on which it can come true.

Kinds by its documentation of await logic: workloads that are rolled out, jobs that ended well, services that somebody
answers for, and whatever the annotation `pulumi.com/waitFor` asks for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlplat.cluster import Cluster

Document = Mapping[str, Any]
WAIT_FOR = "pulumi.com/waitFor"
CONDITION = "condition="
SLICES = "discovery.k8s.io/v1"


def lacking(cluster: Cluster, document: Document) -> str:
    """Return what an object still waits for; empty when it is done."""
    metadata, status = document["metadata"], document.get("status") or {}
    if asked := (metadata.get("annotations") or {}).get(WAIT_FOR):
        wanted = asked.removeprefix(CONDITION)
        return "" if _is_true(status, wanted) else f"it is not {wanted}: {status}"
    match document["kind"]:
        case "Deployment" | "StatefulSet":
            return _rolling(document, status)
        case "Job":
            return "" if status.get("succeeded") else f"it has not ended well: {status}"
        case "Service":
            return _unanswered(cluster, document)
    return ""


def failed(document: Document) -> bool:
    """Tell whether there is nothing more to wait for."""
    return document["kind"] == "Job" and _is_true(document.get("status") or {}, "Failed")


def _is_true(status: Document, condition: str) -> bool:
    found = status.get("conditions") or []
    return any(each["type"] == condition and each["status"] == "True" for each in found)


def _rolling(document: Document, status: Document) -> str:
    wanted = document["spec"].get("replicas", 1)
    counts = [status.get(name, 0) for name in ("updatedReplicas", "availableReplicas", "replicas")]
    seen = status.get("observedGeneration", 0) >= document["metadata"]["generation"]
    return "" if seen and counts == [wanted] * len(counts) else f"{wanted} pods are wanted: {status}"


def _unanswered(cluster: Cluster, document: Document) -> str:
    spec, metadata = document["spec"], document["metadata"]
    if not spec.get("selector") or spec.get("clusterIP") == "None":
        return ""
    labels = {"kubernetes.io/service-name": metadata["name"]}
    slices = cluster.list(SLICES, "EndpointSlice", metadata["namespace"], labels)
    ends = [end for each in slices for end in each.get("endpoints") or []]
    return "" if any((end.get("conditions") or {}).get("ready") for end in ends) else "nobody answers for it"
