"""Pods of a platform's services and endpoints, and what their containers have written or died of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mlplat.cluster import Cluster

Document = Mapping[str, Any]
NORMAL = ("ContainerCreating", "PodInitializing")
"""Reasons to wait that pass by themselves."""


def of(workload: Document, pods: Sequence[Document]) -> list[Document]:
    """Return the pods that a workload's selector chooses, newest first."""
    chosen = workload["spec"].get("selector", {}).get("matchLabels", {}).items()
    found = [each for each in pods if chosen and chosen <= (each["metadata"].get("labels") or {}).items()]
    return sorted(found, key=lambda each: str(each["metadata"].get("creationTimestamp", "")), reverse=True)


def trouble(pod: Document) -> str:
    """Return why a pod does not start, in one line; empty where nothing is known to be wrong."""
    status = pod.get("status") or {}
    for each in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
        waiting = (each.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") and waiting["reason"] not in NORMAL:
            return _line(each["name"], waiting, each)
    for each in status.get("conditions") or []:
        if each.get("type") == "PodScheduled" and each.get("status") == "False":
            return str(each.get("message") or "no node takes it")
    return ""


def _line(container: str, waiting: Document, told: Document) -> str:
    ended = (told.get("lastState") or {}).get("terminated") or {}
    code = f", it ended with {ended['exitCode']} ({ended.get('reason', 'Error')})" if ended else ""
    message = str(waiting.get("message") or "").strip().partition("\n")[0]
    return f"{container}: {waiting['reason']}{code}{f': {message}' if message and not code else ''}"


def follow(cluster: Cluster, pod: Document, container: str, *, lines: int) -> Iterator[str]:
    """Yield what a container has written and goes on writing, until it ends or the connection does."""
    from kubernetes.client import CoreV1Api

    metadata = pod["metadata"]
    answer = CoreV1Api(cluster.client).read_namespaced_pod_log(
        metadata["name"], metadata["namespace"], container=container, follow=True, tail_lines=lines,
        _preload_content=False,
    )  # fmt: skip
    rest = b""
    try:
        for chunk in answer.stream(amt=None, decode_content=True):
            *whole, rest = (rest + chunk).split(b"\n")
            yield from (line.decode(errors="replace") for line in whole)
        if rest:
            yield rest.decode(errors="replace")
    finally:
        answer.close()


def main_container(pod: Document) -> str:
    """Return the container that a pod is for: the first one that is no helper's."""
    return str(pod["spec"]["containers"][0]["name"])
