"""A flow as Metaflow compiles it for Argo: its code goes to the bucket, its graph comes back as a document.

It runs in the project's own environment. Metaflow writes whatever it is told here into every container; what is the
platform's to say is put in its place afterwards (`mlplat.manifests.pipeline`).
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlplat import environment
from mlplat.errors import MlplatError, NotReadyError
from mlplat.manifests.pipeline import name
from mlplat.runs.flow import find

SECONDS = 180
"""A store that does not answer is tried for minutes; one that does takes seconds."""
RETRY = "retry:times={},minutes_between_retries=1"
TAIL_LINES = 12


@dataclass(frozen=True)
class Storage:
    """Where pipelines keep what their steps hand on."""

    root: str
    """`s3://<bucket>/<team>/metaflow`."""
    endpoint: str | None = None
    """Address of the object store as this computer reaches it; None for AWS's own."""
    region: str = "us-east-1"
    access_key: str | None = None
    secret_key: str | None = None
    """Of whoever compiles; None where the environment has an identity."""


def command(python: Path, file: Path, project: str, *, retries: int) -> list[str]:
    """Return the command that compiles a flow and uploads its code."""
    # Only a flow that counts its attempts itself can be tried again: each writes down what it did under its number.
    tried = ["--with", RETRY.format(retries)] if retries else []
    kept = ["--datastore", "s3", "--metadata", "local"]
    called = ["--name", name(project, file.stem)]
    return [str(python), str(file), "--no-pylint", *kept, *tried, "argo-workflows", *called, "create", "--only-json"]


def variables(storage: Storage, *, namespace: str, account: str) -> dict[str, str]:
    """Return the environment of that command: nothing of Metaflow's that lies around gets into it."""
    kept = {each: value for each, value in environment.inherited().items() if not each.startswith("METAFLOW_")}
    keys = {"AWS_ACCESS_KEY_ID": storage.access_key, "AWS_SECRET_ACCESS_KEY": storage.secret_key}
    own = {
        "METAFLOW_DEFAULT_DATASTORE": "s3",
        "METAFLOW_DATASTORE_SYSROOT_S3": storage.root,
        "METAFLOW_S3_ENDPOINT_URL": storage.endpoint,
        "METAFLOW_KUBERNETES_NAMESPACE": namespace,
        "METAFLOW_KUBERNETES_SERVICE_ACCOUNT": account,
        # It wants one; the platform puts the project's own in its place.
        "METAFLOW_KUBERNETES_CONTAINER_IMAGE": "project",
        "METAFLOW_USER": "mlplat",
        "METAFLOW_HOME": "no-metaflow-settings",
        "AWS_DEFAULT_REGION": storage.region,
        **keys,
    }
    return {**kept, **{each: value for each, value in own.items() if value is not None}}


def compile_flow(
    project: Path, python: Path, flow: str, *, title: str, storage: Storage, namespace: str, retries: int
) -> Mapping[str, Any]:
    """Return the WorkflowTemplate that Metaflow makes of a project's flow, and upload the flow's code.

    `title` is the project's name. Raises `UsageError` for a flow that is not there, `NotReadyError` when the object
    store does not answer, `MlplatError` with the compiler's words when it refuses.
    """
    argv = command(python, find(project, flow), title, retries=retries)
    env = variables(storage, namespace=namespace, account="pipeline")
    try:
        done = subprocess.run(argv, cwd=project, env=env, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise NotReadyError(
            f"the flow `{flow}` could not be compiled within {SECONDS} s: {storage.root} does not take its code",
            hint=f"see whether {storage.endpoint or 'S3'} answers from here, and whether you may write there",
        ) from error
    return _read(done, flow)


def _read(done: subprocess.CompletedProcess[str], flow: str) -> Mapping[str, Any]:
    told = "\n".join(done.stderr.strip().splitlines()[-TAIL_LINES:])
    if done.returncode:
        raise MlplatError(f"the flow `{flow}` cannot be compiled:\n{told}", hint="`mlplat run` runs it here as it is")
    try:
        found: Mapping[str, Any] = json.loads(done.stdout)
    except ValueError as error:
        raise MlplatError(f"the flow `{flow}` was compiled to no document:\n{told or done.stdout[:200]}") from error
    return found
