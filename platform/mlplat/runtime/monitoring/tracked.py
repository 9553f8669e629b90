"""What the registry's server keeps for monitoring: a version's profile, and the reports on it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mlplat.labels import Name
from mlplat.runtime import registry

ORIGIN = "origin"
"""Where a promoted version keeps what the run that trained it left."""


def folder_of(name: Name, version: str, path: str, into: Path) -> Path | None:
    """Fetch a folder among the artifacts of a version's run, or of the run it was promoted from; None without one."""
    from mlflow.artifacts import download_artifacts

    client = registry.client()
    run = client.get_model_version(name.id, version).run_id
    for place in (path, f"{ORIGIN}/{path}"):
        if run and client.list_artifacts(run, place):
            return Path(download_artifacts(run_id=run, artifact_path=place, dst_path=str(into)))
    return None


def note(
    name: Name, tags: Mapping[str, str], measures: Mapping[str, float], files: Mapping[str, str], folder: str
) -> str:
    """Write a run of its own into a model's experiment, with files as text below a folder; return its id."""
    import mlflow

    registry.client()  # says in one sentence when the server does not answer
    mlflow.set_experiment(name.id)
    with mlflow.start_run() as run:
        for path, text in files.items():
            mlflow.log_text(text, f"{folder}/{path}")
        mlflow.log_metrics(dict(measures))
        # Last: what reads them finds the files.
        mlflow.set_tags(dict(tags))
        return str(run.info.run_id)
