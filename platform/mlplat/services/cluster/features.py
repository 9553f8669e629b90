"""Feast on a cluster: what features there are, of all projects, and their values for whoever waits for an answer.

Definitions are in PostgreSQL behind a server of Feast's registry, whose tables belong to no team, so that the password
of the database stays here. Values are in the same PostgreSQL, in an account in DynamoDB, behind the feature server of
`mlplat.online`, which serves every project. Neither server knows users: whoever reaches it may read and write, and by
network policy that is teams' own pods.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlplat.environment import pinned
from mlplat.labels import feast_name
from mlplat.services.cluster import development, standing
from mlplat.services.cluster.launch import DATABASE_URL
from mlplat.services.service import Http, Job, Open, Ref, Resources, Service
from mlplat.spec.platform import PlatformSpec

NAME, ONLINE = "features", "online"
PORT, ONLINE_PORT = 6570, 6566
REGION, TABLES = "AWS_DEFAULT_REGION", "MLPLAT_FEATURE_TABLES"
"""Variables that hold where tables of DynamoDB are, and what the name of each begins with."""
FILE = "feature_store.yaml"
CACHE_SECONDS = 60
FEAST = ("python", "-m", "mlplat.online.feast", "--feature-store-yaml", (Ref("files"), f"/{FILE}"))
RESOURCES = Resources(cpu=0.1, memory_mib=384, memory_limit_mib=1024)
KEYS = 3
"""Version of the form in which Feast writes keys down: one for all that read or write them."""


def features(spec: PlatformSpec) -> Service:
    """Return the feature registry's service."""
    return Service(
        name=NAME,
        image="features",
        version=pinned("features", "feast"),
        argv=(*FEAST, "serve_registry", "--port", str(PORT)),
        ready=Open(port="grpc", timeout=180),
        env={DATABASE_URL: standing.database(spec, "features")},
        ports={"grpc": PORT},
        # JSON is YAML.
        files={FILE: store()},
        needs=standing.needs(spec, standing.DATABASE),
        reaches=standing.reaches(spec, standing.DATABASE),
        callers=("pipelines", "serving"),
        resources=RESOURCES,
        replicas=standing.replicas(spec),
        setup=(
            *development.databases(spec, "features"),
            Job("schema", (*FEAST, "registry", "create-schema"), {DATABASE_URL: standing.database(spec, "features")}),
        ),
    )


def online(spec: PlatformSpec) -> Service:
    """Return the feature server's service. Raises `ValueError` where `has_server` says that there is none."""
    if not has_server(spec):
        raise ValueError("no project of this platform looks features up")
    by_role = spec.target == "aws"
    return Service(
        name=ONLINE,
        image="features",
        version=pinned("features", "feast"),
        argv=(
            *("python", "-m", "mlplat.online", "--store", (Ref("files"), f"/{FILE}")),
            *("--host", Ref("host"), "--port", str(ONLINE_PORT)),
            *(word for project in projects(spec) for word in ("--project", named(project))),
        ),
        ready=Http("/ready", timeout=180),
        # Without the database it is not ready; a restart would not bring the database back.
        alive=Http("/alive"),
        env={
            DATABASE_URL: standing.database(spec, "features"),
            **({REGION: Ref("region"), TABLES: Ref("account:tables")} if by_role else {}),
        },
        ports={"http": ONLINE_PORT},
        files={FILE: online_store(spec)},
        code=True,
        # The registry's tables are made before the registry's server.
        needs=(*standing.needs(spec, standing.DATABASE), NAME),
        reaches=(*standing.reaches(spec, standing.DATABASE), *(("internet", standing.IDENTITY) if by_role else ())),
        callers=("pipelines", "serving"),
        resources=RESOURCES,
        replicas=standing.replicas(spec),
    )


def has_server(spec: PlatformSpec) -> bool:
    """Tell whether there is a feature server: not on Valkey, which Feast does not sign in to by a role."""
    kept = spec.target == "kubernetes" or (spec.aws is not None and spec.aws.online_store.kind == "dynamodb")
    return kept and standing.has_database(spec, "features") and bool(projects(spec))


def projects(spec: PlatformSpec) -> list[str]:
    """Return the projects of all teams."""
    return sorted(project for team in spec.teams.values() for project in team.projects)


def named(project: str) -> str:
    """Return what Feast calls a project."""
    return feast_name(project)


def store() -> dict[str, Any]:
    """Return the registry's `feature_store.yaml`; Feast puts the variable's value in."""
    return {
        # Each request names its own project; Feast asks for one here.
        "project": "mlplat",
        "provider": "local",
        "entity_key_serialization_version": KEYS,
        "registry": _registry(connections=5),
        "online_store": None,
    }


def online_store(spec: PlatformSpec) -> dict[str, Any]:
    """Return the feature server's `feature_store.yaml`, without a project's name, which the server adds."""
    in_account = {
        "type": "mlplat.online.dynamodb.DynamoDBOnlineStore",
        "region": f"${{{REGION}}}",
        "table_name_template": f"${{{TABLES}}}{{project}}.{{table_name}}",
    }
    beside = {"type": "mlplat.online.store.PostgresOnlineStore", "url": f"${{{DATABASE_URL}}}"}
    return {
        "provider": "local",
        "entity_key_serialization_version": KEYS,
        # One for each project.
        "registry": _registry(connections=1),
        "online_store": in_account if spec.target == "aws" else beside,
    }


def client(project: str, registry: str, online: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return a project's `feature_store.yaml`, which holds no credentials; `registry` is host and port.

    Without `online`, features are for training only.
    """
    return {
        "project": named(project),
        "provider": "local",
        "entity_key_serialization_version": KEYS,
        "registry": {"registry_type": "remote", "path": registry},
        "online_store": dict(online) if online else None,
        # Feast's own of files loses rows whose entity and time are the same.
        "offline_store": {"type": "duckdb"},
    }


def _registry(connections: int) -> dict[str, Any]:
    return {
        "registry_type": "sql",
        "path": f"${{{DATABASE_URL}}}",
        "cache_ttl_seconds": CACHE_SECONDS,
        # Tables are made by one job, before: two servers that make them at once fail.
        "schema_mode": "verify",
        "sqlalchemy_config_kwargs": {"pool_pre_ping": True, "pool_size": connections},
    }
