"""A project's flow as Argo's objects: what Metaflow compiled, placed on the platform.

Metaflow writes the graph and the commands; which machines, whose rights, whose queue and what becomes of a pod whose
machine is taken away is the platform's to say. Its templates are those of the version that projects pin.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from mlplat import contracts
from mlplat.manifests.names import MANAGED_BY, MANAGER, PROJECT, TEAM, short
from mlplat.spec.pipelines import PipelineSpec, ScheduleSpec, StepSpec

ARGO = "argoproj.io/v1alpha1"
QUEUE = "kueue.x-k8s.io/queue-name"
KEEP = "karpenter.sh/do-not-disrupt"
REASON = "mlplat/reason"
FLOW = "mlplat/flow"
COMMIT = "mlplat/commit"
"""Of a template: the commit that it was published from."""
GPU = "nvidia.com/gpu"
WORK = "/work"
"""Where a step unpacks the flow's code: the image's root is read-only."""
DAY = 86_400
HOUR = 3_600
START_SECONDS = 600
"""A scheduled run that could not be begun for so long waits for its next time."""
SETTLED = ("METAFLOW_PRODUCTION_TOKEN",)
"""Variables that Metaflow leaves a place for and nobody needs."""


@dataclass(frozen=True)
class Nodes:
    """Where the pods of a pool go."""

    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: Sequence[Mapping[str, str]] = ()
    gpu_resource: str = GPU
    """What its GPUs are asked for by: shared ones have a name of their own."""


@dataclass(frozen=True)
class Site:
    """What a platform says to every flow of a project."""

    namespace: str
    """Its team's."""
    project: str
    image: str
    queue: str | None = None
    """Queue in which its pods wait for their share; None where there are no queues."""
    account: str = "pipeline"
    variables: Mapping[str, Any] = field(default_factory=dict)
    """Addresses and settings by name of variable: a text, or a document `{valueFrom: …}`."""
    pools: Mapping[str, Nodes] = field(default_factory=dict)
    pull_secret: str | None = None
    user: int = 10_001
    """Whom the image is made for."""

    @property
    def labels(self) -> dict[str, str]:
        """Return the labels of everything of the project."""
        return {TEAM: self.namespace, PROJECT: self.project, MANAGED_BY: MANAGER}


def name(project: str, flow: str) -> str:
    """Return what a project's flow is called in its team's namespace, where other projects have flows too."""
    return short(f"{project}-{flow}", 55)


def template(compiled: Mapping[str, Any], site: Site, spec: PipelineSpec, *, flow: str, commit: str) -> dict[str, Any]:
    """Return the WorkflowTemplate of a flow, made of what Metaflow compiled from a commit.

    Raises `KeyError` for a document that is none of Metaflow's.
    """
    # Its image holds no repository that a step could ask.
    site = replace(site, variables={**site.variables, contracts.COMMIT: commit})
    document = _without_nothing(compiled)
    inner = document["spec"]
    parts = [_part(each, site, spec) for each in inner["templates"]]
    own = {
        **inner,
        "templates": parts,
        "serviceAccountName": site.account,
        "podMetadata": _labelled(inner.get("podMetadata", {}), site),
        "workflowMetadata": _labelled(inner.get("workflowMetadata", {}), site, flow),
        "activeDeadlineSeconds": int(spec.timeout_hours * HOUR),
        "ttlStrategy": {"secondsAfterCompletion": int(spec.keep_days * DAY)},
        # One that failed stays, so that its log can be read: it has ended, and keeps no node.
        "podGC": {"strategy": "OnPodSuccess"},
        "securityContext": _pod_security(site.user),
    }
    if site.pull_secret:
        own["imagePullSecrets"] = [{"name": site.pull_secret}]
    if not own.get("hooks"):
        own.pop("hooks", None)
    return {
        "apiVersion": ARGO,
        "kind": "WorkflowTemplate",
        "metadata": {
            "name": name(site.project, flow),
            "namespace": site.namespace,
            "labels": {**document["metadata"].get("labels", {}), **site.labels, FLOW: flow},
            "annotations": {**document["metadata"].get("annotations", {}), COMMIT: commit},
        },
        "spec": own,
    }


def schedule(site: Site, when: ScheduleSpec, *, flow: str) -> dict[str, Any]:
    """Return the CronWorkflow of a flow.

    `schedules`, and not `schedule`: since version 4 Argo takes an object with the latter and never runs it.
    """
    called, labels = name(site.project, flow), {**site.labels, FLOW: flow}
    return {
        "apiVersion": ARGO,
        "kind": "CronWorkflow",
        "metadata": {"name": called, "namespace": site.namespace, "labels": labels},
        "spec": {
            "schedules": list(when.cron),
            "timezone": when.timezone,
            "concurrencyPolicy": when.overlapping.capitalize(),
            "startingDeadlineSeconds": START_SECONDS,
            "workflowSpec": {"workflowTemplateRef": {"name": called}, "podMetadata": _why("schedule")},
            "workflowMetadata": {"labels": labels, "annotations": {REASON: "schedule"}},
        },
    }


def run(
    project: str, flow: str, *, namespace: str, key: str, reason: str, parameters: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the Workflow that runs a project's flow once.

    `key` names the wish: asked for twice, it is one run. Parameters are those of the flow, as JSON values: Metaflow
    reads the JSON of each.
    """
    called = name(project, flow)
    given = [{"name": each, "value": json.dumps(value)} for each, value in sorted((parameters or {}).items())]
    return {
        "apiVersion": ARGO,
        "kind": "Workflow",
        "metadata": {
            "name": short(f"{called}-{key}", 63),
            "namespace": namespace,
            "labels": {TEAM: namespace, PROJECT: project, MANAGED_BY: MANAGER, FLOW: flow},
            "annotations": {REASON: reason},
        },
        "spec": {
            "workflowTemplateRef": {"name": called},
            "podMetadata": _why(reason),
            **({"arguments": {"parameters": given}} if given else {}),
        },
    }


def _why(reason: str) -> dict[str, Any]:
    """Return what the pods of a run say of why it was begun; Argo adds it to what the template says of them."""
    return {"annotations": {REASON: reason}}


def _part(part: Mapping[str, Any], site: Site, spec: PipelineSpec) -> dict[str, Any]:
    """Place one template of the graph; those that only order others stay as they are."""
    container = part.get("container")
    if container is None:
        return dict(part)
    step = spec.step(part["name"])
    nodes = site.pools.get(step.pool or "", Nodes())
    placed = {
        **part,
        "serviceAccountName": site.account,
        "metadata": _pod_metadata(part.get("metadata", {}), site),
        "container": _container(container, site, step if _is_step(part) else None),
        "volumes": [*part.get("volumes", []), *_volumes()],
        "nodeSelector": dict(nodes.node_selector),
        "tolerations": [dict(each) for each in nodes.tolerations],
        "automountServiceAccountToken": True,
    }
    if "retryStrategy" in part:
        # Tried again when its machine was taken away, never when it failed: a refused model stays refused.
        placed["retryStrategy"] = {**part["retryStrategy"], "limit": spec.retries, "retryPolicy": "OnError"}
    return placed


def _is_step(part: Mapping[str, Any]) -> bool:
    return "metaflow/step_name" in part.get("metadata", {}).get("annotations", {})


def _container(container: Mapping[str, Any], site: Site, step: StepSpec | None) -> dict[str, Any]:
    return {
        **container,
        "image": site.image,
        "workingDir": WORK,
        "env": _variables(container.get("env", []), site),
        "resources": _resources(step, site) if step else container["resources"],
        "volumeMounts": [
            *container.get("volumeMounts", []),
            {"name": "work", "mountPath": WORK},
            {"name": "scratch", "mountPath": "/tmp"},  # noqa: S108 - a volume of the pod's own
        ],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }


def _variables(present: Sequence[Mapping[str, Any]], site: Site) -> list[dict[str, Any]]:
    """Return a container's variables: the platform's in place of those of the computer that compiled."""
    kept = [dict(each) for each in present if each["name"] not in {*site.variables, *SETTLED}]
    own = [
        {"name": each, **(value if isinstance(value, Mapping) else {"value": value})}
        for each, value in sorted(site.variables.items())
    ]
    return [*kept, *own]


def _resources(step: StepSpec, site: Site) -> dict[str, Any]:
    memory, name = f"{step.memory_gib:g}Gi", site.pools.get(step.pool or "", Nodes()).gpu_resource
    gpus = {name: str(step.gpu)} if step.gpu else {}
    return {
        "requests": {"cpu": f"{step.cpu:g}", "memory": memory, "ephemeral-storage": f"{step.disk_gib:g}Gi", **gpus},
        "limits": {"memory": memory, **gpus},
    }


def _volumes() -> list[dict[str, Any]]:
    return [{"name": "work", "emptyDir": {}}, {"name": "scratch", "emptyDir": {}}]


def _pod_metadata(present: Mapping[str, Any], site: Site) -> dict[str, Any]:
    labelled = _labelled(present, site)
    queue = {QUEUE: site.queue} if site.queue else {}
    # Consolidation would end a step that has worked for hours.
    return {
        "labels": {**{key: value for key, value in labelled["labels"].items() if key != QUEUE}, **queue},
        "annotations": {**labelled["annotations"], KEEP: "true"},
    }


def _labelled(present: Mapping[str, Any], site: Site, flow: str | None = None) -> dict[str, Any]:
    return {
        "labels": {**present.get("labels", {}), **site.labels, **({FLOW: flow} if flow else {})},
        "annotations": dict(present.get("annotations", {})),
    }


def _pod_security(user: int) -> dict[str, Any]:
    return {
        "runAsNonRoot": True,
        "runAsUser": user,
        "runAsGroup": user,
        "fsGroup": user,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def _without_nothing(value: Any) -> Any:
    """Return a document without the fields that say nothing: the compiler writes each that there could be."""
    if isinstance(value, Mapping):
        return {key: _without_nothing(each) for key, each in value.items() if each is not None}
    if isinstance(value, list):
        return [_without_nothing(each) for each in value]
    return value
