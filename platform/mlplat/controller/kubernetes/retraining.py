"""Retraining: a wish that an endpoint's resource carries, and the run of the project's flow that it becomes.

A wish is an annotation, so that it is none for another version. It is known by a digest of its text, of which the run
has its name and the status its answer: a controller that ends at any point goes on with the same run.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, StringConstraints, ValidationError

from mlplat.cluster import Cluster, ConflictError, UnknownKindError
from mlplat.errors import RefusedError, UsageError
from mlplat.labels import LABEL, Name
from mlplat.manifests import names, pipeline

if TYPE_CHECKING:
    from mlplat.controller.kubernetes.store import KubernetesStore

ASKED = f"{names.GROUP}/retrain"
"""Annotation of an endpoint's resource that holds the newest wish."""
BEGUN, REFUSED = "retraining", "retraining refused"
"""Kinds of the events that tell what became of it."""
KEY_SIGNS = 10
FLOW = "train"
Text = Annotated[str, StringConstraints(max_length=256)]

log = logging.getLogger("mlplat.controller")


class Wish(BaseModel):
    """That a project's model be trained anew."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    flow: Annotated[str, StringConstraints(pattern=f"^{LABEL.pattern}$")] = FLOW
    by: Text
    reason: Text = ""
    time: AwareDatetime
    """Two wishes that are otherwise the same differ by it."""

    def __str__(self) -> str:
        return f"{self.by}{f': {self.reason}' if self.reason else ''}"


def wish(flow: str, *, by: str, reason: str, time: datetime) -> Wish:
    """Return a wish. Raises `UsageError` for what none can hold."""
    try:
        return Wish(flow=flow, by=by, reason=reason, time=time)
    except ValidationError as error:
        raise UsageError(_problem(error)) from error


def _problem(error: ValidationError) -> str:
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc'])) or 'the text'}: {first['msg']}"


def key(text: str) -> str:
    """Return what a wish is known by."""
    return hashlib.sha256(text.encode()).hexdigest()[:KEY_SIGNS]


def attend(store: KubernetesStore, now: datetime) -> None:
    """Begin the run of every wish that has no answer yet, and write its answer down.

    Raises `UnreachableError`: what was not answered then is the next pass's.
    """
    for name, text in store.retrainings():
        run, said = _begun(store, name, text)
        answer = {"request": key(text), "run": run, "message": said, "time": now.isoformat()}
        log.info("%s: %s", name, said)
        store.answer_retraining(name, answer, BEGUN if run else REFUSED, now)


def _begun(store: KubernetesStore, name: Name, text: str) -> tuple[str, str]:
    """Return the name of a wish's run, empty where there is none, and how the history tells it."""
    try:
        wish = Wish.model_validate_json(text)
        run = begin(
            store.cluster, store.namespace(name), name.project, wish.flow, key=f"retrain-{key(text)}",
            reason=f"retraining, asked for by {wish}",
        )  # fmt: skip
    except ValidationError as error:
        return "", f"the annotation `{ASKED}` is no wish: {_problem(error)}"
    except UnknownKindError:
        return "", "the platform runs no pipelines: its cluster has no Argo Workflows"
    except RefusedError as error:
        return "", error.message
    return run, f"run {run} of `{wish.flow}`, asked for by {wish}"


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
