"""Secrets that teams' pods need: a job copies those of the platform's namespace, and makes teams' own keys.

No state ever holds one.

Where pods have no identity of their own, everybody has the same keys of the object store: teams are kept apart by what
they may run, and not by the store.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mlplat.manifests import names
from mlplat.manifests.revision import LOG_KEY
from mlplat.services import Http, Job, Resources, Service
from mlplat.spec.platform import PlatformSpec
from mlplat.targets.kubernetes import access
from mlplat.targets.kubernetes.ground import Ground
from mlplat.targets.kubernetes.setup import Setup

NAME = "copies"
OFTEN = "*/10 * * * *"
"""A key that was turned is with the teams before anybody looks for the reason."""


def wanted(spec: PlatformSpec, ground: Ground) -> list[str]:
    """Return the secrets that every team needs a copy of."""
    return sorted({each for each in (ground.objects.secret, spec.kubernetes.images.pull_secret) if each})


def keys(spec: PlatformSpec) -> list[str]:
    """Return the secrets that each team has of its own: the key of its prediction logs' hashes."""
    return [LOG_KEY] if spec.serving.prediction_log.enabled else []


def setup(spec: PlatformSpec, secrets: Sequence[str]) -> Setup:
    """Return the job: again and again where there is something to copy, which may have changed."""
    arguments = [word for each in secrets for word in ("--secret", each)]
    arguments += [word for each in keys(spec) for word in ("--key", each)]
    arguments += [word for team in spec.teams for word in ("--to", team)]
    copy = Job(
        "copy",
        argv=("python", "-m", "mlplat.jobs.copies", *arguments),
        # Never without a name: that would mean every secret. Of a key's name there is none in this namespace.
        rights=(
            {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"], "resourceNames": [*secrets, *keys(spec)]},
        ),
        resources=Resources(cpu=0.05, memory_mib=96, memory_limit_mib=256),
    )
    service = Service(
        name=NAME, image="controller", argv=(), ready=Http("/"), setup=(copy,), reaches=("api",), code=True
    )
    return Setup(service, OFTEN if secrets else None)


def rights(team: str, secrets: Sequence[str]) -> list[dict[str, Any]]:
    """Return what the job may do in a team's namespace: write these secrets, copied and made, and read no other."""
    labels = {names.PART_OF: "mlplat", names.TEAM: team}
    metadata = {"name": NAME, "namespace": team, "labels": labels}
    rules = [
        # To make one cannot be limited to names.
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["create"]},
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "patch"], "resourceNames": [*secrets]},
    ]
    return [
        {"apiVersion": access.API, "kind": "Role", "metadata": metadata, "rules": rules},
        {
            "apiVersion": access.API,
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": access.RBAC, "kind": "Role", "name": NAME},
            "subjects": [{"kind": "ServiceAccount", "name": NAME, "namespace": names.NAMESPACE}],
        },
    ]
