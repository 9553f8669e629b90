"""Metaflow's metadata service: flows' runs by name, for notebooks and for resuming a run of somebody else's.

Flows run without it. Its public image keeps its migrations in the folder of root, so that one Job runs as root, without
a single capability. The standard `restricted` refuses that: the service is there only where one asks for it.
"""

from __future__ import annotations

from mlplat.services.cluster import development, standing
from mlplat.services.service import Http, Job, Ref, Resources, Service
from mlplat.spec.platform import PlatformSpec

PORT = 8080
ROOT, HOME = 0, "/root"
MIGRATIONS = f"{HOME}/services/migration_service/migration_files/"
"""Folder of the image's own."""


def metadata(spec: PlatformSpec) -> Service:
    """Return the service of Metaflow's metadata. Raises `ValueError` where the spec has no image of it."""
    if spec.kubernetes.metadata_service is None:
        raise ValueError("`kubernetes.metadata_service` names no image")
    url = standing.database(spec, "pipelines")
    return Service(
        name="metadata",
        image=spec.kubernetes.metadata_service,
        version=_version(spec.kubernetes.metadata_service),
        argv=("/opt/latest/bin/python3", "-m", "services.metadata_service.server"),
        ready=Http("/ping"),
        env={
            "MF_METADATA_DB_DSN": url,
            "MF_METADATA_HOST": Ref("host"),
            "MF_METADATA_PORT": str(PORT),
        },
        ports={"http": PORT},
        needs=standing.needs(spec, standing.DATABASE),
        reaches=standing.reaches(spec, standing.DATABASE),
        callers=("pipelines",),
        resources=Resources(cpu=0.1, memory_mib=128, memory_limit_mib=512),
        replicas=standing.replicas(spec),
        setup=(
            *development.databases(spec, "pipelines"),
            Job(
                name="migrate",
                argv=("goose", "-dir", MIGRATIONS, "up"),
                env={"GOOSE_DRIVER": "postgres", "GOOSE_DBSTRING": url},
                user=ROOT,
            ),
        ),
    )


def _version(image: str) -> str | None:
    """Return the tag of an image; None for one that has none."""
    return image.partition("@")[0].rpartition("/")[2].partition(":")[2] or None
