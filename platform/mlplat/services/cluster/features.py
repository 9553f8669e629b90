"""Feast's registry on a cluster: what features there are, of all projects, in PostgreSQL behind one server.

Values of features are not read through it: who looks one up goes to the online store with the rights of its own team. A
registry of SQL belongs to no team, so that projects ask this server and the password of the database stays here.
"""

from __future__ import annotations

from mlplat.services.cluster import development, standing
from mlplat.services.cluster.launch import DATABASE_URL
from mlplat.services.service import Job, Open, Ref, Resources, Service
from mlplat.spec.platform import PlatformSpec

PORT = 6570
FILE = "feature_store.yaml"
CACHE_SECONDS = 60
FEAST = ("feast", "--feature-store-yaml", (Ref("files"), f"/{FILE}"))


def features(spec: PlatformSpec) -> Service:
    """Return the feature registry's service."""
    return Service(
        name="features",
        image="features",
        argv=(*FEAST, "serve_registry", "--port", str(PORT)),
        ready=Open(port="grpc", timeout=180),
        env={DATABASE_URL: standing.database(spec, "features")},
        ports={"grpc": PORT},
        # JSON is YAML.
        files={FILE: store()},
        needs=standing.needs(spec, standing.DATABASE),
        reaches=standing.reaches(spec, standing.DATABASE),
        callers=("pipelines", "serving"),
        resources=Resources(cpu=0.1, memory_mib=384, memory_limit_mib=1024),
        replicas=standing.replicas(spec),
        setup=(
            *development.databases(spec, "features"),
            Job("schema", (*FEAST, "registry", "create-schema"), {DATABASE_URL: standing.database(spec, "features")}),
        ),
    )


def store() -> dict[str, object]:
    """Return the registry's `feature_store.yaml`; Feast puts the variable's value in."""
    return {
        # Each request names its own project; Feast asks for one here.
        "project": "mlplat",
        "provider": "local",
        "entity_key_serialization_version": 3,
        "registry": {
            "registry_type": "sql",
            "path": f"${{{DATABASE_URL}}}",
            "cache_ttl_seconds": CACHE_SECONDS,
            # Tables are made by one job, before: two servers that make them at once fail.
            "schema_mode": "verify",
            "sqlalchemy_config_kwargs": {"pool_pre_ping": True, "pool_size": 5},
        },
        "online_store": None,
    }
