"""Putting a project's flows on a cluster: compiled from a commit, in an image known by its digest.

What the project does not have any more is taken away, and nothing of anybody else's is touched: every object says by
its labels whose it is.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mlplat.cluster import Cluster
from mlplat.errors import NotReadyError, RefusedError, UsageError
from mlplat.labels import LABEL_RULE, is_label
from mlplat.manifests import flows, names, pipeline
from mlplat.manifests.flows import Terms
from mlplat.manifests.pipeline import Site
from mlplat.runs.commit import Commit
from mlplat.runs.compiled import Storage
from mlplat.runs.flow import FLOWS
from mlplat.services.service import too_many
from mlplat.spec.pipelines import PipelineSpec
from mlplat.spec.project import ProjectSpec

KINDS = ("WorkflowTemplate", "CronWorkflow")
"""In the order in which they are made: what a schedule begins has to be there."""
PINNED = re.compile(r"\S+@sha256:[0-9a-f]{64}")
Document = Mapping[str, Any]


@dataclass(frozen=True)
class Change:
    """What became of one object."""

    kind: str
    name: str
    flow: str
    change: Literal["created", "changed", "unchanged", "removed"]


def terms(cluster: Cluster, namespace: str) -> Terms:
    """Return what the platform says to a team's flows. Raises `NotReadyError` where it has said nothing yet."""
    found = cluster.get("v1", "ConfigMap", flows.NAME, namespace)
    if found is None:
        raise NotReadyError(
            f"the platform says nothing to flows: there is no ConfigMap `{flows.NAME}` in the namespace `{namespace}`",
            hint="its keepers run `mlplat up` with this version of mlplat",
        )
    return flows.read(found)


def storage(cluster: Cluster, namespace: str, told: Terms, reached: str | None, own: Mapping[str, str]) -> Storage:
    """Return how whoever publishes writes to the flows' store: with keys of their own, else with the team's.

    `reached` is the store's address from here, `own` this process's variables. Raises `RefusedError`.
    """
    if told.secret is None or "AWS_ACCESS_KEY_ID" in own:
        return Storage(told.root, reached, told.region)
    mend = (
        "have `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY` in the environment, or let an admin of the team publish"
    )
    try:
        found = cluster.get("v1", "Secret", told.secret, namespace)
    except RefusedError as error:
        raise RefusedError(f"the keys of the flows' store may not be read: {error.message}", hint=mend) from error
    if found is None:
        raise NotReadyError(f"the namespace `{namespace}` has no secret `{told.secret}` yet", hint=mend)
    access, secret = (_decoded(found, key) for key in ("access_key", "secret_key"))
    return Storage(told.root, reached, told.region, access_key=access, secret_key=secret)


def _decoded(secret: Document, key: str) -> str:
    return base64.b64decode(secret.get("data", {}).get(key, "")).decode()


def refuse_moving(image: str) -> None:
    """Raise `UsageError` for an image whose content could change unseen."""
    if not PINNED.fullmatch(image):
        raise UsageError(f"`{image}` has no digest", hint="write it as `registry.example.com/projects/x@sha256:…`")


def found_in(folder: Path, spec: ProjectSpec) -> dict[str, PipelineSpec]:
    """Return the flows of a project, each with what its mlplat.yaml says of it.

    Raises `UsageError` for one that cannot be published, and for what is said of a flow that is not there.
    """
    there = sorted(each.stem for each in (folder / FLOWS).glob("[!_]*.py"))
    if odd := [each for each in there if not is_label(each)]:
        raise UsageError(f"`{FLOWS}/{odd[0]}.py` cannot be published under its name", hint=f"use {LABEL_RULE}")
    if lacking := sorted(spec.pipelines.keys() - there):
        raise UsageError(
            f"`pipelines.{lacking[0]}` in mlplat.yaml: there is no `{FLOWS}/{lacking[0]}.py`",
            hint=f"flows here: {', '.join(f'`{each}`' for each in there) or 'none'}",
        )
    return {each: spec.pipelines.get(each, PipelineSpec()) for each in there}


def refuse_pools(wanted: Mapping[str, PipelineSpec], told: Terms) -> None:
    """Raise `UsageError` for a step that names a pool which its team has not, or which could not hold it."""
    known = ", ".join(f"`{each}`" for each in sorted(told.pools)) or "none"
    for flow, spec in wanted.items():
        steps = {"default": spec.default, **{f"steps.{name}": each for name, each in spec.steps.items()}}
        for where, step in steps.items():
            if step.pool is not None and step.pool not in told.pools:
                raise UsageError(
                    f"`pipelines.{flow}.{where}.pool`: the platform has no pool `{step.pool}` for this team's flows",
                    hint=f"it has {known}",
                )
            if step.pool is not None and (fault := too_many(step.gpu, told.pools[step.pool].gpu_resource)):
                raise UsageError(
                    f"`pipelines.{flow}.{where}.gpu`: {fault} (pool `{step.pool}`)",
                    hint="ask for one, or name a pool without `shared_by`",
                )


def documents(
    wanted: Mapping[str, PipelineSpec], site: Site, commit: Commit, compiled: Mapping[str, Document]
) -> list[dict[str, Any]]:
    """Return what is put on the cluster, templates first."""
    templates = [
        pipeline.template(compiled[flow], site, spec, flow=flow, commit=commit.id) for flow, spec in wanted.items()
    ]
    schedules = [
        pipeline.schedule(site, spec.schedule, flow=flow) for flow, spec in wanted.items() if spec.schedule is not None
    ]
    return [*templates, *schedules]


def put(cluster: Cluster, made: Sequence[Document], site: Site) -> list[Change]:
    """Make a project's objects on a cluster be these and no others; return what became of each.

    Raises `RefusedError`, before anything is written, where one of them has a name that is somebody else's.
    """
    before = {
        (kind, each["metadata"]["name"]): each
        for kind in KINDS
        for each in cluster.list(pipeline.ARGO, kind, site.namespace)
    }
    for each in made:
        _refuse_foreign(before.get(_key(each)), site)
    changes = [_applied(cluster, each, before.get(_key(each))) for each in made]
    wanted = {_key(each) for each in made}
    left = [each for key, each in before.items() if key not in wanted and _is_ours(each, site)]
    # A schedule goes before what it begins.
    for each in sorted(left, key=lambda each: KINDS.index(each["kind"]), reverse=True):
        cluster.delete(pipeline.ARGO, each["kind"], each["metadata"]["name"], site.namespace)
        changes.append(_change(each, "removed"))
    return changes


def _applied(cluster: Cluster, document: Document, before: Document | None) -> Change:
    after = cluster.apply(document)
    if before is None:
        return _change(document, "created")
    same = before["metadata"]["resourceVersion"] == after["metadata"]["resourceVersion"]
    return _change(document, "unchanged" if same else "changed")


def _change(document: Document, change: Literal["created", "changed", "unchanged", "removed"]) -> Change:
    metadata = document["metadata"]
    flow = metadata.get("labels", {}).get(pipeline.FLOW, metadata["name"])
    return Change(document["kind"], metadata["name"], flow, change)


def _key(document: Document) -> tuple[str, str]:
    return document["kind"], document["metadata"]["name"]


def _is_ours(document: Document, site: Site) -> bool:
    labels = document["metadata"].get("labels", {})
    return (labels.get(names.PROJECT), labels.get(names.MANAGED_BY)) == (site.project, names.MANAGER)


def _refuse_foreign(present: Document | None, site: Site) -> None:
    if present is None or _is_ours(present, site):
        return
    name = present["metadata"]["name"]
    owner = present["metadata"].get("labels", {}).get(names.PROJECT)
    whose = f"the project `{owner}`'s" if owner else "nobody's that mlplat knows"
    raise RefusedError(
        f"the namespace `{site.namespace}` has a {present['kind']} `{name}` already, and it is {whose}",
        hint="give the flow another name, or remove that one with `kubectl`",
    )
