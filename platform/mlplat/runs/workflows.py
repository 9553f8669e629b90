"""Runs of a project's flows on a cluster: Argo's Workflows, begun of what the project has published.

Argo itself carries them out. What is read of one here is what Argo 4 writes into its status.
"""

from __future__ import annotations

import base64
import gzip
import json
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from mlplat.cluster import Cluster
from mlplat.controller.kubernetes import retraining
from mlplat.errors import RefusedError, UnreachableError, UsageError
from mlplat.manifests import names, pipeline

Document = Mapping[str, Any]
Status = Literal["waiting", "running", "done", "failed", "cancelled"]
PHASES: Mapping[str, Status] = {
    "": "waiting",
    "Pending": "waiting",
    "Running": "running",
    "Succeeded": "done",
    "Skipped": "done",
    "Omitted": "done",
    "Failed": "failed",
    "Error": "failed",
}
OVER: tuple[Status, ...] = ("done", "failed", "cancelled")
WORST: tuple[Status, ...] = ("failed", "running", "waiting", "done")
"""Of several tasks of a step, which one's state is the step's."""
OF = "workflows.argoproj.io/workflow"
"""Label of a run's pods."""
MAIN = "main"
LOOK_SECONDS = 2.0


@dataclass(frozen=True)
class Step:
    """One step of a run: all its tasks together."""

    name: str
    status: Status
    tasks: int
    started: str | None
    seconds: float | None
    message: str = ""

    def line(self) -> str:
        """Say it in a line."""
        many = f"  ({self.tasks} tasks)" if self.tasks > 1 else ""
        took = f"{self.seconds:.0f} s" if self.status == "done" and self.seconds is not None else self.status
        return f"{self.name:<12} {took}{many}{f': {self.message}' if self.message else ''}"


@dataclass(frozen=True)
class ClusterRun:
    """One run on a cluster."""

    id: str
    """Name of its Workflow."""
    flow: str
    status: Status
    reason: str
    """Why it was begun: a person, `schedule`, a retraining."""
    message: str
    arguments: dict[str, Any]
    created: str
    """UTC, ISO 8601, as all times here."""
    started: str | None
    finished: str | None
    seconds: float | None
    """From its start to its end; None while it goes on."""
    steps: list[Step]

    @property
    def is_over(self) -> bool:
        """Tell whether nothing more happens to it."""
        return self.status in OVER


class Workflows:
    """The runs of one project on a cluster."""

    def __init__(self, cluster: Cluster, namespace: str, project: str) -> None:
        """Raise `RefusedError` where the cluster runs no pipelines at all."""
        refuse_without(cluster)
        self.cluster, self.namespace, self.project = cluster, namespace, project
        self._labels = {names.PROJECT: project, names.MANAGED_BY: names.MANAGER}

    def published(self) -> dict[str, Document]:
        """Return the templates of the project's flows, by flow."""
        found = self.cluster.list(pipeline.ARGO, "WorkflowTemplate", self.namespace, self._labels)
        return {_flow(each): each for each in found}

    def template(self, flow: str) -> Document:
        """Return the template of a published flow. Raises `RefusedError` with those that are published."""
        found = self.published()
        if flow not in found:
            known = ", ".join(f"`{each}`" for each in sorted(found)) or "none"
            raise RefusedError(
                f"the flow `{flow}` of the project `{self.project}` is not published on this platform; published:"
                f" {known}",
                hint="`mlplat publish` puts what is committed there; `mlplat run --here` runs it on this computer",
            )
        return found[flow]

    def begin(self, flow: str, parameters: Mapping[str, Any], *, reason: str) -> ClusterRun:
        """Begin a run of a published flow. Raises `RefusedError`, and `UsageError` for a parameter that it has not."""
        known = {each["name"] for each in self.template(flow)["spec"].get("arguments", {}).get("parameters", [])}
        if unknown := sorted(parameters.keys() - known):
            listed = ", ".join(f"`--{each}`" for each in sorted(known)) or "none"
            raise UsageError(f"the flow `{flow}`, as it is published, has no `--{unknown[0]}`", hint=f"it has {listed}")
        key = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
        name = retraining.begin(
            self.cluster, self.namespace, self.project, flow, key=key, reason=reason, parameters=parameters
        )
        return self.get(name)

    def all(self) -> list[ClusterRun]:
        """Return every run that the cluster still lists, the newest first."""
        found = self.cluster.list(pipeline.ARGO, "Workflow", self.namespace, self._labels)
        return sorted(map(read, found), key=lambda each: (each.created, each.id), reverse=True)

    def get(self, name: str) -> ClusterRun:
        """Return a run. Raises `UsageError` for one that is not the project's."""
        return read(self._document(name))

    def cancel(self, name: str) -> bool:
        """Have a run end, with all its tasks; tell whether it was still going on."""
        if self.get(name).is_over:
            return False
        change = {"spec": {"shutdown": "Terminate"}}
        self.cluster.merge(pipeline.ARGO, "Workflow", name, change, self.namespace)
        return True

    def follow(
        self, name: str, lost: Callable[[str], None], *, pause: Callable[[float], None] = time.sleep
    ) -> Iterator[ClusterRun]:
        """Look at a run again and again until it is over; a cluster that does not answer is told to `lost`, once."""
        silent = False
        while True:
            try:
                found = self.get(name)
            except UnreachableError as error:
                if not silent:
                    lost(error.message)
                silent = True
            else:
                silent = False
                yield found
                if found.is_over:
                    return
            pause(LOOK_SECONDS)

    def last_words(self, name: str, lines: int) -> list[tuple[str, list[str]]]:
        """Return what the pods that failed wrote last, by pod; none where they are gone already."""
        pods = self.cluster.list("v1", "Pod", self.namespace, {OF: name})
        failed = sorted(each["metadata"]["name"] for each in pods if each.get("status", {}).get("phase") == "Failed")
        logs = [(pod, self.cluster.logs(self.namespace, pod, container=MAIN, lines=lines)) for pod in failed]
        return [(pod, text.splitlines()) for pod, text in logs if text]

    def _document(self, name: str) -> Document:
        found = self.cluster.get(pipeline.ARGO, "Workflow", name, self.namespace)
        if found is None or found["metadata"].get("labels", {}).get(names.PROJECT) != self.project:
            raise UsageError(
                f"the project `{self.project}` has no run `{name}` on this platform",
                hint="`mlplat run list` lists them",
            )
        return found


def refuse_without(cluster: Cluster) -> None:
    """Raise `RefusedError` for a cluster that cannot run a flow."""
    if not cluster.knows(pipeline.ARGO, "WorkflowTemplate"):
        raise RefusedError(
            f"{cluster.described} has no Argo Workflows, so the platform runs no pipelines",
            hint="its keepers set `kubernetes.addons.pipelines` in the stack file; `mlplat run --here` runs a flow on"
            " this computer",
        )


def read(document: Document) -> ClusterRun:
    """Read a Workflow."""
    metadata, spec, status = document["metadata"], document.get("spec", {}), document.get("status", {})
    phase = PHASES.get(status.get("phase") or "", "waiting")
    started, finished = status.get("startedAt"), status.get("finishedAt")
    return ClusterRun(
        id=metadata["name"],
        flow=_flow(document),
        status="cancelled" if phase == "failed" and spec.get("shutdown") else phase,
        reason=metadata.get("annotations", {}).get(pipeline.REASON, ""),
        message=status.get("message", ""),
        arguments={each["name"]: _value(each) for each in spec.get("arguments", {}).get("parameters", [])},
        created=metadata.get("creationTimestamp", ""),
        started=started,
        finished=finished,
        seconds=_seconds(started, finished),
        steps=steps(status),
    )


def steps(status: Document) -> list[Step]:
    """Return the steps of a run in the order in which they began, of what its status says of each node."""
    by_step: dict[str, list[Document]] = {}
    retried = {each.get("templateName") for each in _nodes(status) if each.get("type") == "Retry"}
    for each in _nodes(status):
        name = each.get("templateName") or each.get("displayName", "")
        # Of a step that is tried again, each try is a pod, and what became of all of them is told above those.
        if each.get("type") == ("Retry" if name in retried else "Pod"):
            by_step.setdefault(name, []).append(each)
    return sorted((_step(*each) for each in by_step.items()), key=lambda each: (each.started or "~", each.name))


def _step(name: str, nodes: list[Document]) -> Step:
    states = [PHASES.get(each.get("phase") or "", "waiting") for each in nodes]
    status = min(states, key=WORST.index)
    started = min((each["startedAt"] for each in nodes if each.get("startedAt")), default=None)
    finished = max((each["finishedAt"] for each in nodes if each.get("finishedAt")), default=None)
    messages = [each.get("message", "") for each, state in zip(nodes, states, strict=True) if state != "done"]
    over = status in OVER
    return Step(
        name,
        status,
        len(nodes),
        started,
        _seconds(started, finished) if over else None,
        next(filter(None, messages), ""),
    )


def _nodes(status: Document) -> list[Document]:
    # Argo packs what would be too large for the cluster's database.
    packed = status.get("compressedNodes")
    nodes = json.loads(gzip.decompress(base64.b64decode(packed))) if packed else status.get("nodes")
    return list((nodes or {}).values())


def _flow(document: Document) -> str:
    metadata = document["metadata"]
    return str(metadata.get("labels", {}).get(pipeline.FLOW) or metadata["name"])


def _value(parameter: Document) -> Any:
    try:
        return json.loads(parameter.get("value", "null"))
    except (TypeError, ValueError):
        return parameter.get("value")


def _seconds(started: str | None, finished: str | None) -> float | None:
    if not (started and finished):
        return None
    return (datetime.fromisoformat(finished) - datetime.fromisoformat(started)).total_seconds()
