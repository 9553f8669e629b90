"""The champion and the registry, by MLflow: what is there, and putting in exactly what was judged."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlplat.bundle import digest as digest_of
from mlplat.contracts import COMMIT
from mlplat.errors import RefusedError, UnreachableError
from mlplat.labels import Name

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

CHAMPION, CHALLENGER = "champion", "challenger"
TRACKING = "MLFLOW_TRACKING_URI"
CLOSED = {"UNAUTHENTICATED", "PERMISSION_DENIED"}
"""MLflow's words for the statuses 401 and 403."""
RUN = "MLPLAT_RUN"
"""Variable that holds the key of a `mlplat run`, which a run that goes on from it has as well."""


@dataclass(frozen=True)
class Champion:
    """The version that serves, or the last one that did."""

    version: str
    digest: str
    learned_until: str | None
    """Time by which every label that it learned from was known, as ISO 8601; None where rows have no time."""
    holdout: str | None
    """Content hash of the rows it was judged on."""
    folder: Path


def is_connected() -> bool:
    """Tell whether there is a registry at all."""
    return bool(os.environ.get(TRACKING))


def client() -> MlflowClient:
    """Return a client of the registry. Raises `UnreachableError` when it is silent, `RefusedError` when closed."""
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    made = MlflowClient()
    try:
        made.search_experiments(max_results=1)
    except MlflowException as error:
        if error.error_code in CLOSED:
            raise RefusedError(
                f"the registry at {os.environ[TRACKING]} does not let you in",
                hint="`MLFLOW_TRACKING_TOKEN` holds your key or token for it",
            ) from error
        raise UnreachableError(
            f"the registry at {os.environ[TRACKING]} does not answer", hint="`mlplat status` shows what runs"
        ) from error
    return made


def champion(name: Name, folder: Path) -> Champion | None:
    """Return the champion of a model, its bundle fetched into a new folder and checked; None before there is one."""
    from mlflow.exceptions import MlflowException

    registry = client()
    try:
        version = registry.get_model_version_by_alias(name.id, CHAMPION)
    except MlflowException as error:
        # Only these two mean that there is none; a gate that takes a fault for one would judge without the champion.
        if error.error_code in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
            return None
        raise
    return _fetched(name, version, folder)


def numbered(name: Name, number: str, folder: Path) -> Champion:
    """Return a version of a model by its number, likewise. Raises `RefusedError` where there is none."""
    from mlflow.exceptions import MlflowException

    registry = client()
    try:
        return _fetched(name, registry.get_model_version(name.id, number), folder)
    except MlflowException as error:
        if error.error_code not in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
            raise
        raise RefusedError(f"{name} has no version {number}", hint="`mlplat model list` shows them") from error


def _fetched(name: Name, version: ModelVersion, folder: Path) -> Champion:
    from mlflow.artifacts import download_artifacts

    folder.mkdir(parents=True)
    bundle = Path(download_artifacts(artifact_uri=version.source, dst_path=str(folder)))
    found, wanted = digest_of(bundle), version.tags.get("mlplat.digest", "")
    if found != wanted:
        raise RefusedError(
            f"version {version.version} of {name} holds {found}, and was registered as {wanted or 'nothing'}",
            hint="somebody changed its artifacts; deploy another version first",
        )
    tags = version.tags
    return Champion(str(version.version), found, tags.get("mlplat.learned_until"), tags.get("mlplat.holdout"), bundle)


@dataclass(frozen=True)
class Entry:
    """All that is written down of a run."""

    name: Name
    folder: Path
    """The bundle."""
    digest: str
    params: dict[str, Any]
    metrics: dict[str, float]
    tags: dict[str, str]
    report: dict[str, Any]
    pages: Callable[[str], Path] | None = None
    """Writes what people read, for the run's id, and returns the folder."""
    origin: Path | None = None
    """Folder of what another platform's run left of the same bundle."""


def log(entry: Entry, *, passed: bool, register: bool = True) -> tuple[str, str | None]:
    """Write a run down, and register its model when it passed; return the run's id and the version.

    What is uploaded is the bundle's own files. A refused model's run is kept without its model, and so is one that is
    not to be registered. Whatever was written of the same bundle before this run was killed, and resumed, is completed:
    a bundle is registered once a run.
    """
    import mlflow

    kept = passed and register

    experiment, key = mlflow.set_experiment(entry.name.id), os.environ.get(RUN)
    begun = _begun(experiment.experiment_id, key, entry.digest) if key else None
    with mlflow.start_run(run_id=begun) as run:
        # First of all, so that a run that is killed here is found again.
        mlflow.set_tags({**entry.tags, **({"mlplat.run": key} if key else {})})
        mlflow.log_params(entry.params)
        mlflow.log_metrics(entry.metrics)
        mlflow.set_tag("mlplat.status", "passed" if passed else "refused")
        mlflow.log_dict(entry.report, "gate/report.json")
        if entry.pages:
            mlflow.log_artifacts(str(entry.pages(run.info.run_id)))
        if entry.origin and entry.origin.is_dir():
            mlflow.log_artifacts(str(entry.origin), "origin")
        if kept:
            mlflow.log_artifacts(str(entry.folder), "model")
            _check_stored(f"{run.info.artifact_uri}/model", entry.digest)
        run_id = run.info.run_id
    return run_id, _register(entry, run_id) if kept else None


def _check_stored(source: str, digest: str) -> None:
    """Raise `RefusedError` unless the store hands out what was judged, before anybody can be told of it."""
    from mlflow.artifacts import download_artifacts

    with tempfile.TemporaryDirectory(prefix="mlplat-stored-") as folder:
        found = digest_of(Path(download_artifacts(artifact_uri=source, dst_path=folder)))
    if found != digest:
        raise RefusedError(
            f"the registry's store holds {found} at {source}, and {digest} was judged: nothing is registered",
            hint="something changes files in the artifact store, or two runs write to one place",
        )


def _begun(experiment: str, key: str, digest: str) -> str | None:
    """Return the run that an earlier attempt began for the same bundle."""
    wanted = f"tags.`mlplat.run` = '{key}' and tags.`mlplat.digest` = '{digest}'"
    found = client().search_runs([experiment], wanted, max_results=1)
    return str(found[0].info.run_id) if found else None


def _register(entry: Entry, run_id: str) -> str:
    from mlflow.exceptions import MlflowException

    registry = client()
    try:
        registry.create_registered_model(entry.name.id)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    source = f"{registry.get_run(run_id).info.artifact_uri}/model"
    if not _versions(registry, entry.name, run_id):
        registry.create_model_version(entry.name.id, source, run_id, tags={**entry.tags, "mlplat.gate": "passed"})
    # A server that is killed between the version and its answer is asked again by its client: the first one counts.
    version, *again = _versions(registry, entry.name, run_id)
    for number in again:
        registry.delete_model_version(entry.name.id, str(number))
    registry.set_registered_model_alias(entry.name.id, CHALLENGER, str(version))
    return str(version)


def _versions(registry: MlflowClient, name: Name, run_id: str) -> list[int]:
    """Return the versions that a run has registered, the oldest first."""
    found = registry.search_model_versions(f"name = '{name.id}' and run_id = '{run_id}'")
    return sorted(int(version.version) for version in found)


def commit(folder: Path) -> str:
    """Return the commit that a project stands at, with `+changes` where it was changed since; `unknown` without git."""
    if published := os.environ.get(COMMIT):
        return published
    try:
        head = _git(folder, "rev-parse", "HEAD")
        return head + ("+changes" if _git(folder, "status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(folder: Path, *argv: str) -> str:
    return subprocess.run(["git", *argv], cwd=folder, capture_output=True, text=True, check=True).stdout.strip()


def lock(folder: Path) -> str:
    """Return the SHA-256 of a project's locked requirements; `none` without them."""
    path = folder / "requirements.txt"
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "none"


def flat(params: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings as dotted keys, lists as JSON."""
    found: dict[str, Any] = {}
    for key, value in params.items():
        if isinstance(value, dict):
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = json.dumps(value) if isinstance(value, list) else value
    return found
