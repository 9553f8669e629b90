"""Retraining on a cluster: a wish is an annotation of an endpoint's resource, and its run an Argo Workflow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from mlplat.cluster import Cluster, ConflictError, UnknownKindError
from mlplat.controller.document import Endpoint
from mlplat.controller.retraining import Models, Outcome, Wish
from mlplat.errors import RefusedError
from mlplat.labels import Name
from mlplat.manifests import names, pipeline

if TYPE_CHECKING:
    from mlplat.controller.kubernetes.store import KubernetesStore

ASKED = f"{names.GROUP}/retrain"
"""Annotation of an endpoint's resource that holds the newest wish."""
OVER = {"Succeeded": True, "Failed": False, "Error": False}
"""Argo's phases of a Workflow that nothing more happens to, and whether it went well."""


class ArgoRunner:
    """Runs of the flows that projects have published to a cluster."""

    def __init__(self, store: KubernetesStore, registry: Callable[[], Models]) -> None:
        self._store, self._registry = store, registry

    def begin(self, name: Name, wish: Wish, key: str) -> tuple[str, str]:
        """See `Runner.begin`."""
        try:
            run = begin(
                self._store.cluster, self._store.namespace(name), name.project, wish.flow, key=f"retrain-{key}",
                reason=f"retraining, asked for by {wish}",
            )  # fmt: skip
        except UnknownKindError as error:
            raise RefusedError("the platform runs no pipelines: its cluster has no Argo Workflows") from error
        return run, ""

    def outcome(self, endpoint: Endpoint, run: str) -> Outcome | None:
        """See `Runner.outcome`."""
        found = self._store.cluster.get(pipeline.ARGO, "Workflow", run, self._store.namespace(endpoint.name))
        if found is None:
            return Outcome("failed", "it is not there any more")
        phase = found.get("status", {}).get("phase", "")
        if phase not in OVER:
            return None
        if not OVER[phase]:
            return Outcome("failed", found["status"].get("message", "") or f"it ended as {phase}")
        version = self._registry().registered_by(Name.parse(endpoint.spec.model), run)
        return Outcome("registered", f"registered version {version}", version) if version else Outcome("done", "done")


def begin(
    cluster: Cluster,
    namespace: str,
    project: str,
    flow: str,
    *,
    key: str,
    reason: str,
    parameters: Mapping[str, Any] | None = None,
) -> str:
    """Have a project's flow run once, and return the name of its Workflow.

    `key` names the wish: of the same key there is one run, for as long as Argo keeps it. Raises `RefusedError` where
    the flow is not on the platform, or the platform runs none.
    """
    # Argo itself takes a run of a flow that is not there, and it fails where nobody looks.
    called = pipeline.name(project, flow)
    found = cluster.get(pipeline.ARGO, "WorkflowTemplate", called, namespace)
    if found is None or found["metadata"].get("labels", {}).get(names.PROJECT) != project:
        raise RefusedError(
            f"the flow `{flow}` of the project `{project}` is not on the platform yet: there is no"
            f" WorkflowTemplate `{called}` of it in the namespace `{namespace}`",
            hint="`mlplat publish` in the project puts it there",
        )
    wanted = pipeline.run(project, flow, namespace=namespace, key=key, reason=reason, parameters=parameters)
    name = str(wanted["metadata"]["name"])
    try:
        cluster.create(wanted)
    except ConflictError:
        # It was begun before: by a controller that ended before it could say so.
        return name
    return name
