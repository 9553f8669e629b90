"""Jobs that prepare the ground from within the cluster, where what they speak to can be reached at all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mlplat.manifests.names import short
from mlplat.manifests.place import Place
from mlplat.manifests.workload import workload
from mlplat.services import Service

CRON_SIGNS = 52
"""Most signs of a CronJob's name, which its Jobs lengthen."""
HISTORY = 2
LATE_SECONDS = 3600
"""After a longer outage Kubernetes would count a hundred missed starts, and give the job up for good."""
SERVING = ("Deployment", "StatefulSet", "Service", "PodDisruptionBudget", "ServiceMonitor")


@dataclass(frozen=True)
class Setup:
    """Jobs, as a service that has nothing else."""

    service: Service
    schedule: str | None = None
    """When they run again and again, as a line of cron in UTC; None for once, before what waits for them."""


def documents(setup: Setup, place: Place) -> list[dict[str, Any]]:
    """Return the jobs with their account and their edges."""
    found = [each for each in workload(setup.service, place) if each["kind"] not in SERVING]
    if setup.schedule is None:
        return found
    return [*found, *(_repeated(each, setup.schedule) for each in found if each["kind"] == "Job")]


def _repeated(job: dict[str, Any], schedule: str) -> dict[str, Any]:
    # Unlike a Job it can be changed, so its name needs no digest of what is in it.
    stem = job["metadata"]["name"].rpartition("-")[0]
    spec = {
        "schedule": schedule,
        "timeZone": "Etc/UTC",
        "concurrencyPolicy": "Forbid",
        "startingDeadlineSeconds": LATE_SECONDS,
        "successfulJobsHistoryLimit": HISTORY,
        "failedJobsHistoryLimit": HISTORY,
        "jobTemplate": {"spec": job["spec"]},
    }
    return {**job, "kind": "CronJob", "metadata": {**job["metadata"], "name": short(stem, CRON_SIGNS)}, "spec": spec}
