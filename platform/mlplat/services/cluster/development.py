"""A small PostgreSQL and a small object store in the cluster itself, for development: nobody keeps copies of them.

Their passwords are made in the cluster, by a Job that writes a secret where there is none: no state, output or file of
the engine ever holds one. Both run once, with a volume each. SeaweedFS and PostgreSQL are free software (Apache-2.0 and
PostgreSQL's own licence).
"""

from __future__ import annotations

from mlplat.services.cluster import standing
from mlplat.services.service import Http, Job, Open, Ref, Resources, SecretRef, Service, Text, Volume
from mlplat.spec.platform import PlatformSpec

POSTGRES = "docker.io/library/postgres:17.6"
"""17 and not 18, whose image keeps its data in another folder."""
POSTGRES_PORT = 5432
POSTGRES_USER = 999
"""Number of the user `postgres` in that image."""
SEAWEEDFS = "docker.io/chrislusf/seaweedfs:4.47"
"""Older than 4.0 takes no keys from variables."""
S3_PORT = 8333
APPLICATIONS = ("tracking", "features", "pipelines")
PURPOSES = ("data", "artifacts", "features", "pipelines")
ADMIN = SecretRef("database-admin", "password")
MODULE = ("python", "-m", "mlplat.jobs.development")
LOOPBACK = "127.0.0.1"


def services(spec: PlatformSpec) -> list[Service]:
    """Return those of the two that a platform needs."""
    made = {standing.DATABASE: database, standing.OBJECTS: objects}
    return [make() for kind, make in made.items() if standing.is_small(spec, kind)]


def database() -> Service:
    """Return PostgreSQL."""
    wanted = (f"{each}-database" for each in APPLICATIONS)
    return Service(
        name=standing.DATABASE,
        image=POSTGRES,
        version=POSTGRES.rpartition(":")[2],
        argv=(),
        ready=Open(port="sql", timeout=120),
        env={"POSTGRES_PASSWORD": ADMIN, "PGDATA": "/var/lib/postgresql/data/pgdata"},
        ports={"sql": POSTGRES_PORT},
        resources=Resources(cpu=0.1, memory_mib=256, memory_limit_mib=1024),
        volumes=(Volume("/var/lib/postgresql/data", gib=10),),
        scratch=("/tmp", "/var/run/postgresql"),  # noqa: S108 - in a container
        user=POSTGRES_USER,
        setup=(_secrets("--databases", ADMIN.secret, *wanted),),
        exclusive=True,
        stop_seconds=60,
    )


def objects() -> Service:
    """Return SeaweedFS: its master, its volumes and its S3 in one process, of which only S3 is heard."""
    return Service(
        name=standing.OBJECTS,
        image=SEAWEEDFS,
        version=SEAWEEDFS.rpartition(":")[2],
        argv=(
            *("/usr/bin/weed", "server", "-dir=/data", "-s3", f"-s3.port={S3_PORT}", ("-s3.ip.bind=", Ref("host"))),
            # Its parts remember each other by address, and a pod's is another one at each start.
            *(f"-ip={LOOPBACK}", f"-ip.bind={LOOPBACK}"),
            # Of 30 GiB each, a few buckets would fill the volume before anything is in them.
            *("-master.volumeSizeLimitMB=1024", "-volume.max=0"),
        ),
        ready=Http("/healthz", timeout=120),
        env={
            "AWS_ACCESS_KEY_ID": SecretRef(standing.OBJECTS, "access_key"),
            "AWS_SECRET_ACCESS_KEY": SecretRef(standing.OBJECTS, "secret_key"),
        },
        ports={"http": S3_PORT},
        callers=("pipelines", "serving"),
        resources=Resources(cpu=0.1, memory_mib=256, memory_limit_mib=1024),
        volumes=(Volume("/data", gib=20),),
        setup=(_secrets("--objects", standing.OBJECTS),),
        exclusive=True,
        stop_seconds=60,
    )


def databases(spec: PlatformSpec, *applications: str) -> tuple[Job, ...]:
    """Return the job that makes applications' users and databases, all of them by default; none where they are kept."""
    if not standing.is_small(spec, standing.DATABASE):
        return ()
    wanted = applications or APPLICATIONS
    env: dict[str, Text | SecretRef] = {each.upper(): SecretRef(f"{each}-database", "url") for each in wanted}
    return (Job("database", (*MODULE, "databases", *wanted), {**env, "ADMIN_PASSWORD": ADMIN}, image="controller"),)


def buckets(spec: PlatformSpec) -> tuple[Job, ...]:
    """Return the job that makes the buckets; none where they are kept."""
    if not standing.is_small(spec, standing.OBJECTS):
        return ()
    wanted = (Ref(f"bucket:{each}") for each in PURPOSES)
    return (Job("buckets", (*MODULE, "buckets", *wanted), standing.objects(spec), image="controller"),)


def _secrets(kind: str, *names: str) -> Job:
    secrets = {"apiGroups": [""], "resources": ["secrets"]}
    return Job(
        "secrets",
        (*MODULE, "secrets", kind),
        image="controller",
        identity=f"{kind.removeprefix('--')}-setup",
        reaches=("api",),
        # To make one cannot be limited to names; to read one can.
        rights=({**secrets, "verbs": ["create"]}, {**secrets, "verbs": ["get"], "resourceNames": sorted(names)}),
    )
