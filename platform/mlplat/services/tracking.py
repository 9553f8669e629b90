"""MLflow: runs, metrics, artifacts and the model registry, in one process.

The public command, `mlflow server`, keeps a second process and twice the memory for one worker; the variables below are
what it hands to that worker. They are MLflow's private names, so its version is pinned.
"""

from __future__ import annotations

from mlplat.services.service import Http, Ref, Service
from mlplat.spec.platform import PlatformSpec


def tracking(spec: PlatformSpec) -> Service:
    """Return MLflow's service."""
    return Service(
        name="tracking",
        image="tracking",
        argv=(
            *("python", "-m", "uvicorn", "mlflow.server.fastapi_app:app", "--host", Ref("host")),
            *("--port", str(spec.tracking.port), "--log-level", "warning", "--no-access-log"),
        ),
        # `/health` answers before the database has its schema; this asks the database.
        ready=Http("/api/2.0/mlflow/experiments/get?experiment_id=0", timeout=120),
        env={
            "_MLFLOW_SERVER_FILE_STORE": Ref("database"),
            "_MLFLOW_SERVER_REGISTRY_STORE": Ref("database"),
            "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
            "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
            "_MLFLOW_SERVER_ARTIFACT_DESTINATION": Ref("artifacts"),
            # Its job runner starts nine processes for features that mlplat does not use.
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        },
        ports={"http": spec.tracking.port},
        pages="/",
    )
