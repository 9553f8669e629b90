"""What has to have ended well before a version of a service starts.

A migration is a Job of its own and not an init container: it runs once for a version, by one pod, before any pod of
that version starts. An init container would run in each of them, at once, and at every restart afterwards.
"""

from __future__ import annotations

from typing import Any

from mlplat.manifests import names
from mlplat.manifests.meta import digest, known, metadata
from mlplat.manifests.place import Place
from mlplat.manifests.pod import job_template
from mlplat.services import Job, Service

RETRIES = 4
DISRUPTED = {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}
"""A pod that was moved away has not failed."""


def jobs(service: Service, place: Place) -> list[dict[str, Any]]:
    """Return the jobs of a service, in their order."""
    return [_job(service, job, place) for job in service.setup]


def _job(service: Service, job: Job, place: Place) -> dict[str, Any]:
    spec = {
        "backoffLimit": RETRIES,
        "activeDeadlineSeconds": job.timeout,
        "podFailurePolicy": {"rules": [DISRUPTED]},
        "template": job_template(service, job, place),
    }
    # A Job cannot be changed: what runs another thing is another one. It stays when it has ended, so that the next `up`
    # finds it and does not run it again.
    name = names.short(f"{service.name}-{job.name}-{digest(known(spec))}")
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata(service, place, name), "spec": spec}
