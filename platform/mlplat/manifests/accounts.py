"""As whom a service and its jobs run, and what their accounts may do in the namespace."""

from __future__ import annotations

from typing import Any

from mlplat.manifests.meta import metadata
from mlplat.manifests.place import Place
from mlplat.manifests.pod import identity
from mlplat.services import Job, Service

RBAC = "rbac.authorization.k8s.io"


def of(service: Service, place: Place) -> list[dict[str, Any]]:
    """Return the accounts of a service and its jobs, and the roles of those jobs that have rights."""
    own = identity(service)
    known = sorted({own, *(each.identity or own for each in service.setup)})
    held = [each for each in service.setup if each.rights]
    return [
        *(_account(service, place, each) for each in known),
        *(d for each in held for d in _role(service, each, place)),
    ]


def _account(service: Service, place: Place, name: str) -> dict[str, Any]:
    meta = metadata(service, place, name)
    # A pod that signs in says so itself.
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta, "automountServiceAccountToken": False}


def _role(service: Service, job: Job, place: Place) -> list[dict[str, Any]]:
    name = job.identity or identity(service)
    meta = metadata(service, place, name)
    subject = {"kind": "ServiceAccount", "name": name, "namespace": place.namespace}
    return [
        {"apiVersion": f"{RBAC}/v1", "kind": "Role", "metadata": meta, "rules": [dict(each) for each in job.rights]},
        {
            "apiVersion": f"{RBAC}/v1",
            "kind": "RoleBinding",
            "metadata": meta,
            "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": name},
            "subjects": [subject],
        },
    ]
