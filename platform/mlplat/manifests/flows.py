"""What a platform says to the flows of a team: one ConfigMap in the team's namespace.

It is for whoever publishes a flow, and for whoever asks for the team's data. It stands on the cluster, and not with the
project, so that a flow is published by what the platform is today.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from mlplat import clock
from mlplat.contracts import FEATURES, PREDICTIONS, PROJECTS, REASON
from mlplat.errors import StateError
from mlplat.manifests import names, pipeline
from mlplat.manifests.pipeline import Nodes, Site

NAME = "pipelines"
FILE = "flows.json"
RUN = "{{workflow.name}}"
"""Argo puts a run's name there: what it registers carries it, so that a step that is tried again registers once."""
WHY = {"valueFrom": {"fieldRef": {"fieldPath": f"metadata.annotations['{pipeline.REASON}']"}}}
"""Why a run was begun, as its pods are annotated; empty where nobody has said it."""


class Terms(BaseModel):
    """What holds for every flow of a team. A newer platform may say more."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    platform: str
    tracking: str
    """MLflow's URL inside the cluster."""
    root: str
    """Where flows keep what their steps hand on: `s3://<bucket>/<team>/metaflow`."""
    data: str | None = None
    """Where the team's data lie: `s3://<bucket>/<team>`; None of a platform that has not said it yet."""
    region: str
    endpoint: str | None = None
    """Address of the object store inside the cluster; None for AWS's own of the region."""
    secret: str | None = None
    """Secret of the namespace with `access_key` and `secret_key`; None where pods have identities."""
    clock: str | None = None
    """A set clock, or None for the computers' own."""
    features: str | None = None
    """The feature server's URL inside the cluster; None where there is none."""
    queue: str | None = None
    pools: dict[str, Nodes] = {}
    """Pools that the team's steps may name."""
    pull_secret: str | None = None
    registry: str | None = None
    """Registry and folder of images; None where the platform has none."""
    base: str
    """Image that projects' images are built on."""
    processors: str
    """What they are built for: `linux/amd64`."""

    def site(self, namespace: str, project: str, image: str) -> Site:
        """Return what is said to a project's flows."""
        return Site(
            namespace,
            project,
            image,
            queue=self.queue,
            variables={**self._variables(), **self.places(project)},
            pools=self.pools,
            pull_secret=self.pull_secret,
        )

    def places(self, project: str) -> dict[str, str]:
        """Return the variables by which a project's code finds its snapshots and its endpoints' prediction logs."""
        if self.data is None:
            return {}
        return {
            "MLPLAT_DATA_PLACE": f"{self.data}/{PROJECTS}/{project}",
            "MLPLAT_PREDICTIONS": f"{self.data}/{PREDICTIONS}",
        }

    def entry(self, endpoint: str | None) -> dict[str, str]:
        """Return the variables by which a client of S3 finds the object store, at this address of it."""
        return {"AWS_DEFAULT_REGION": self.region, **self._elsewhere(endpoint)}

    def _variables(self) -> dict[str, Any]:
        timed = {clock.VARIABLE: self.clock} if self.clock else {}
        return {
            "MLFLOW_TRACKING_URI": self.tracking,
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "DO_NOT_TRACK": "1",
            "MLPLAT_PLATFORM": self.platform,
            "MLPLAT_RUN": RUN,
            REASON: WHY,
            # All of it is in the image, where nothing can be installed.
            "METAFLOW_SKIP_INSTALL_DEPENDENCIES": "1",
            **timed,
            **({FEATURES: self.features} if self.features else {}),
            **({"METAFLOW_S3_ENDPOINT_URL": self.endpoint} if self.endpoint else {}),
            **self.entry(self.endpoint),
            **self._keys(),
        }

    @staticmethod
    def _elsewhere(endpoint: str | None) -> dict[str, str]:
        if endpoint is None:
            return {}
        return {
            "AWS_ENDPOINT_URL_S3": endpoint,
            # Newer clients add checksums of their own to every request, which many stores other than AWS's refuse.
            "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
            "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
        }

    def _keys(self) -> dict[str, Any]:
        keys = {"AWS_ACCESS_KEY_ID": "access_key", "AWS_SECRET_ACCESS_KEY": "secret_key"} if self.secret else {}
        return {name: {"valueFrom": {"secretKeyRef": {"name": self.secret, "key": key}}} for name, key in keys.items()}


def document(team: str, content: Any) -> dict[str, Any]:
    """Return the ConfigMap of a team; `content` is the JSON of its terms, or an output of it."""
    labels = {names.PART_OF: "mlplat", names.TEAM: team}
    metadata = {"name": NAME, "namespace": team, "labels": labels}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {FILE: content}}


def read(found: Mapping[str, Any]) -> Terms:
    """Read a team's ConfigMap. Raises `StateError` for one that holds no terms."""
    try:
        return Terms.model_validate_json(found["data"][FILE])
    except (KeyError, TypeError, ValidationError) as error:
        where, why = found["metadata"]["namespace"], str(error).partition("\n")[0]
        raise StateError(
            f"the ConfigMap `{NAME}` of the namespace `{where}` says nothing that flows can go by: {why}",
            hint="`mlplat up` of the platform writes it again",
        ) from error
