"""Beginning a run of a project's flow, such as a retraining: a wish that is made twice is one run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlplat.cluster import Cluster, ConflictError
from mlplat.errors import RefusedError
from mlplat.labels import Name
from mlplat.manifests import pipeline


def begin(
    cluster: Cluster,
    namespace: str,
    model: Name,
    flow: str,
    *,
    key: str,
    reason: str,
    parameters: Mapping[str, Any] | None = None,
) -> str:
    """Have a project's flow run once for a model, and return the name of its Workflow.

    `key` names the wish: of the same key there is one run, for as long as Argo keeps it. Raises `RefusedError` where
    the flow is not on the platform, or the platform runs none.
    """
    # Argo itself takes a run of a flow that is not there, and it fails where nobody looks.
    called = pipeline.name(model.project, flow)
    if cluster.get(pipeline.ARGO, "WorkflowTemplate", called, namespace) is None:
        raise RefusedError(
            f"the flow `{flow}` of the project `{model.project}` is not on the platform yet: there is no"
            f" WorkflowTemplate `{called}` in the namespace `{namespace}`",
            hint="put the project's pipeline on the platform;"
            f" `kubectl -n {namespace} get workflowtemplates` shows which ones are there",
        )
    wanted = pipeline.run(model, flow, namespace=namespace, key=key, reason=reason, parameters=parameters)
    name = str(wanted["metadata"]["name"])
    try:
        cluster.create(wanted)
    except ConflictError:
        # It was begun before: by a controller that ended before it could say so.
        return name
    return name
