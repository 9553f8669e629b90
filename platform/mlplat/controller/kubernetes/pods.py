"""How a revision is, from its pods as the API shows them: pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlplat.controller.actuator import Condition

Pod = Mapping[str, Any]

CRASHING = "CrashLoopBackOff"
UNSTARTABLE = {
    "ImagePullBackOff": "its image cannot be fetched",
    "InvalidImageName": "its image has no valid name",
    "ErrImageNeverPull": "its image is not on the node",
    "CreateContainerConfigError": "its container cannot be made",
    "CreateContainerError": "its container cannot be made",
    "RunContainerError": "its container cannot be started",
}
"""Reasons for which a container waits that do not pass by waiting. The first failure to fetch an image may."""
CRASHES = 2
"""Ends of a container, with nothing ready, from which on it counts as dead: one may be the network's or the node's."""
MEMORY = "OOMKilled"


@dataclass(frozen=True)
class Container:
    """One that did not do as it should."""

    pod: str
    name: str
    is_running_again: bool
    """Whether it has been started anew: what it said at its end is in the log before the present one."""


def condition(pods: Sequence[Pod], wanted: int) -> Condition:
    """Judge a revision of which `wanted` pods have to be ready before it gets traffic.

    It is dead when none is ready and one cannot become so by itself.
    """
    present = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
    ready = sum(map(is_ready, present))
    if ready >= max(1, wanted):
        return Condition("ready")
    if not ready and (why := next(filter(None, map(_end, present)), "")):
        return Condition("dead", detail=why)
    return Condition("starting", detail=_awaited(present, ready, wanted))


def is_ready(pod: Pod) -> bool:
    """Tell whether a pod takes requests."""
    return any(each["type"] == "Ready" and each["status"] == "True" for each in pod["status"].get("conditions", ()))


def failing(pods: Sequence[Pod]) -> Container | None:
    """Return a container that ended or cannot start; the one that fetches the bundle, if it is that."""
    for pod in pods:
        for status in _statuses(pod):
            state, last = status.get("state", {}), status.get("lastState", {})
            if "terminated" in state and state["terminated"].get("exitCode"):
                return Container(pod["metadata"]["name"], status["name"], is_running_again=False)
            if "terminated" in last:
                again = "running" in state or "waiting" in state
                return Container(pod["metadata"]["name"], status["name"], is_running_again=again)
    return None


def _statuses(pod: Pod) -> list[Mapping[str, Any]]:
    """Return what is told of a pod's containers, in the order in which they matter.

    Who fetches the bundle comes before the server that needs it, and who goes on beside the server after it.
    """
    status = pod.get("status", {})
    first = pod.get("spec", {}).get("initContainers", ())
    beside = {each["name"] for each in first if each.get("restartPolicy") == "Always"}
    found = [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]
    return sorted(found, key=lambda each: each["name"] in beside)


def _end(pod: Pod) -> str:
    """Say why a pod will not become ready by itself; empty when it may."""
    status = pod.get("status", {})
    if status.get("phase") == "Failed":
        return ": ".join(filter(None, [status.get("reason", "its pod failed"), status.get("message", "")]))
    for each in _statuses(pod):
        waiting = each.get("state", {}).get("waiting", {})
        reason = waiting.get("reason", "")
        if reason in UNSTARTABLE:
            return ": ".join(filter(None, [UNSTARTABLE[reason], waiting.get("message", "")]))
        ended = each.get("state", {}).get("terminated") or each.get("lastState", {}).get("terminated") or {}
        crashes = int(each.get("restartCount", 0)) + ("terminated" in each.get("state", {}))
        if ended.get("exitCode") and (reason == CRASHING or crashes >= CRASHES):
            return _ended(each["name"], ended, crashes)
    return ""


def _ended(container: str, ended: Mapping[str, Any], crashes: int) -> str:
    times = f"{crashes} times" if crashes > 1 else "once"
    if ended.get("reason") == MEMORY:
        return f"{container} needed more memory than `serving.scale.memory_mib` allows, {times}"
    return f"{container} ended with exit code {ended['exitCode']}, {times}"


def _awaited(pods: Sequence[Pod], ready: int, wanted: int) -> str:
    """Say what is waited for, where that is known."""
    if not pods:
        return ""
    for pod in pods:
        for each in pod.get("status", {}).get("conditions", ()):
            if each["type"] == "PodScheduled" and each["status"] == "False" and each.get("message"):
                return f"no node for it yet: {each['message']}"
    for pod in pods:
        for each in _statuses(pod):
            waiting = each.get("state", {}).get("waiting", {})
            if waiting.get("reason") == "ErrImagePull":
                return f"its image cannot be fetched yet: {waiting.get('message', '')}"
    return f"{ready} of {wanted} servers are ready" if ready else ""
