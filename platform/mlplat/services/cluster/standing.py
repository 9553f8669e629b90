"""What services on a cluster stand on: where the database and the object store are, and how they are signed in to."""

from __future__ import annotations

from collections.abc import Mapping

from mlplat.services.service import Ref, SecretRef, Text
from mlplat.spec.platform import PlatformSpec

DATABASE = "database"
OBJECTS = "objects"
IDENTITY = "identity"
REPLICAS = 2


def is_small(spec: PlatformSpec, kind: str) -> bool:
    """Tell whether the `database` or the `objects` are a service in the cluster itself, for development."""
    given = {DATABASE: spec.kubernetes.databases, OBJECTS: spec.kubernetes.objects}
    return spec.target == "kubernetes" and given[kind] is None


def has_database(spec: PlatformSpec, application: str) -> bool:
    """Tell whether an application has a database."""
    given = spec.kubernetes.databases
    return spec.target != "kubernetes" or given is None or getattr(given, application) is not None


def database(spec: PlatformSpec, application: str) -> SecretRef:
    """Return the secret that holds the address of an application's database."""
    given = spec.kubernetes.databases if spec.target == "kubernetes" else None
    return SecretRef((given and getattr(given, application)) or f"{application}-database", "url")


def needs(spec: PlatformSpec, *kinds: str) -> tuple[str, ...]:
    """Return those of the database and the object store that are services: made before, ended after."""
    return tuple(kind for kind in kinds if is_small(spec, kind))


def reaches(spec: PlatformSpec, *kinds: str) -> tuple[str, ...]:
    """Return those that are elsewhere, and what gives a pod its role where the object store asks for one."""
    by_role = OBJECTS in kinds and objects_secret(spec) is None
    return (*(kind for kind in kinds if not is_small(spec, kind)), *((IDENTITY,) if by_role else ()))


def objects_secret(spec: PlatformSpec) -> str | None:
    """Return the secret by which the object store is entered; None where pods have an identity of their own."""
    if spec.target != "kubernetes":
        return None
    return spec.kubernetes.objects.secret if spec.kubernetes.objects else OBJECTS


def objects(spec: PlatformSpec) -> dict[str, Text | SecretRef]:
    """Return the variables by which boto3 finds and enters the object store."""
    secret = objects_secret(spec)
    keys: Mapping[str, SecretRef] = (
        {
            "AWS_ACCESS_KEY_ID": SecretRef(secret, "access_key"),
            "AWS_SECRET_ACCESS_KEY": SecretRef(secret, "secret_key"),
        }
        if secret
        else {}
    )
    return {"AWS_DEFAULT_REGION": Ref("region"), **keys, **_elsewhere(spec)}


def _elsewhere(spec: PlatformSpec) -> dict[str, Text | SecretRef]:
    on = spec.kubernetes
    if spec.target != "kubernetes" or (on.objects is not None and on.objects.endpoint is None):
        return {}
    return {
        "AWS_ENDPOINT_URL_S3": Ref("objects"),
        # Newer clients add checksums of their own to every request, which many stores other than AWS's refuse.
        "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
        "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
    }


def replicas(spec: PlatformSpec) -> int:
    """Return how many pods a service has that may have several."""
    return REPLICAS if spec.kubernetes.production else 1
