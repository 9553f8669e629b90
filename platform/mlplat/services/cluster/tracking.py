"""MLflow on a cluster: runs in PostgreSQL, artifacts in the object store, its schema brought up before each version.

It knows no users: whoever reaches it may write. So only the gateway, which lets in whom it knows, the controller and
teams' pipelines do, by network policy, which holds where the cluster's network enforces it; model servers do not, and
start while it is down.
"""

from __future__ import annotations

from mlplat.environment import pinned
from mlplat.services.cluster import development, standing
from mlplat.services.cluster.launch import DATABASE_URL, with_driver
from mlplat.services.service import Http, Job, Ref, Resources, SecretRef, Service, Text
from mlplat.services.tracking import tracking as everywhere
from mlplat.spec.platform import PlatformSpec

STORES = ("_MLFLOW_SERVER_FILE_STORE", "_MLFLOW_SERVER_REGISTRY_STORE")
DRIVER = "postgresql+psycopg"
RESOURCES = Resources(cpu=0.25, memory_mib=1024, memory_limit_mib=2048)
"""It takes 450 MiB when idle, and more while it hands artifacts through."""
CONNECTIONS = "10"
"""To the database, of each pod and store: a small PostgreSQL takes a hundred in all."""

FORWARDED = ("localhost:*", "127.0.0.1:*")
"""By which a port that is forwarded to a person's computer is asked: it has any number there."""

MIGRATE = """
import os, sqlalchemy
from mlflow.store.db import utils
engine = utils.create_sqlalchemy_engine_with_retry(os.environ["MLFLOW_BACKEND_STORE_URI"])
with engine.connect() as waiting:
    waiting.execute(sqlalchemy.text("SELECT pg_advisory_lock(7164775)"))
    if utils._is_empty_database(engine):
        utils._initialize_tables(engine)
    else:
        utils._upgrade_db(engine)
"""
"""What `mlflow db upgrade` does, behind a lock: a Job may, seldom, have two pods at once, and a migration no twin.

The command takes the address with its password as an argument, and no lock."""


def tracking(spec: PlatformSpec) -> Service:
    """Return MLflow's service."""
    kinds = (standing.DATABASE, standing.OBJECTS)
    return Service(
        name="tracking",
        image="tracking",
        version=pinned("images/tracking", "mlflow"),
        argv=(
            *with_driver(DRIVER, *STORES),
            *("python", "-m", "uvicorn", "mlflow.server.fastapi_app:app", "--host", Ref("host")),
            *("--port", str(spec.tracking.port), "--log-level", "warning", "--no-access-log"),
        ),
        ready=Http("/api/2.0/mlflow/experiments/get?experiment_id=0", timeout=180),
        # Without the database it is not ready; a restart would not bring the database back.
        alive=Http("/health"),
        env=_env(spec),
        ports={"http": spec.tracking.port},
        pages="/",
        needs=standing.needs(spec, *kinds),
        reaches=standing.reaches(spec, *kinds),
        callers=("gateway", "pipelines"),
        resources=RESOURCES,
        replicas=standing.replicas(spec),
        setup=(*development.databases(spec), *development.buckets(spec), _migration(spec)),
        stop_seconds=60,
    )


def _env(spec: PlatformSpec) -> dict[str, Text | SecretRef]:
    env, pages = everywhere(spec).env, spec.kubernetes.exposure.pages
    return {
        **{name: value for name, value in env.items() if name not in STORES},
        DATABASE_URL: standing.database(spec, "tracking"),
        **standing.objects(spec),
        **({"MLFLOW_S3_ENDPOINT_URL": Ref("objects")} if "AWS_ENDPOINT_URL_S3" in standing.objects(spec) else {}),
        "MLFLOW_SQLALCHEMYSTORE_POOL_SIZE": CONNECTIONS,
        # Other names are refused: a page in somebody's browser cannot have itself sent here under a name of its own.
        # The gateway asks by the service's name, whatever it was asked by itself.
        "MLFLOW_SERVER_ALLOWED_HOSTS": (Ref("names:tracking"), *(f",{each}" for each in FORWARDED)),
        # A browser says from which page it writes, and MLflow knows only pages of this computer by itself.
        **({"MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": f"https://tracking.{pages.domain}"} if pages else {}),
    }


def _migration(spec: PlatformSpec) -> Job:
    return Job(
        name="migrate",
        argv=(*with_driver(DRIVER, "MLFLOW_BACKEND_STORE_URI"), "python", "-c", MIGRATE),
        env={DATABASE_URL: standing.database(spec, "tracking"), "MLFLOW_DISABLE_TELEMETRY": "true"},
        timeout=1800,
    )
