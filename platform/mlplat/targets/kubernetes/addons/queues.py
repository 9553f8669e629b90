"""Kueue, which admits jobs by quota and fair share, and JobSet, by which one job has several nodes."""

from __future__ import annotations

import json
from typing import Any

from mlplat import versions
from mlplat.manifests import names
from mlplat.targets.kubernetes.addons.release import Part, Release
from mlplat.targets.kubernetes.addons.standing import Standing

NAMESPACE = "kueue-system"
JOBSETS = "jobset-system"
DEFINITIONS = (versions.JOBSET_DEFINITIONS,)
FRAMEWORKS = ("batch/job", "jobset.x-k8s.io/jobset", "pod")
"""How training arrives: a step as a job, one of several nodes as a job set, a step of Argo as a pod."""
UNCOUNTED = ("ephemeral-storage", "hugepages-", "vpc.amazonaws.com/")
"""Resources, by what their names begin with, that no quota covers: each comes with what one does cover."""


def releases(on: Standing) -> tuple[Release, ...]:
    """Return what is installed."""
    kueue: dict[str, Any] = {
        "controllerManager": {
            # While none of them answers, every job of the namespaces below is refused.
            "replicas": on.replicas,
            "podDisruptionBudget": {"enabled": on.production, "minAvailable": 1},
            **on.placed,
        },
        "enablePrometheus": on.monitored,
        "managerConfig": {"controllerManagerConfigYaml": json.dumps(configuration(), indent=2)},
    }
    jobset = {"controller": {"replicas": on.replicas, **on.placed}, "prometheus": {"enable": on.monitored}}
    manager = Part("kueue", "controllerManager.manager.resources", 200, 512, 1024, on.replicas)
    sets = Part("jobset", "controller.resources", 50, 128, 1024, on.replicas)
    return (
        Release(versions.JOBSET, JOBSETS, (sets,), jobset, skip_crds=True),
        Release(versions.KUEUE, NAMESPACE, (manager,), kueue),
    )


def configuration() -> dict[str, Any]:
    """Return Kueue's own configuration. It takes the place of the chart's as a whole, whose first blocks it repeats."""
    return {
        "apiVersion": "config.kueue.x-k8s.io/v1beta2",
        "kind": "Configuration",
        "health": {"healthProbeBindAddress": ":8081"},
        # Quotas and their use are not among its metrics otherwise.
        "metrics": {"bindAddress": ":8443", "enableClusterQueueResources": True},
        "webhook": {"port": 9443},
        "leaderElection": {"leaderElect": True, "resourceName": "c1f6bfd2.kueue.x-k8s.io"},
        "controller": {
            "groupKindConcurrency": {
                "Job.batch": 5,
                "Pod": 5,
                "Workload.kueue.x-k8s.io": 5,
                "LocalQueue.kueue.x-k8s.io": 1,
                "ClusterQueue.kueue.x-k8s.io": 1,
                "ResourceFlavor.kueue.x-k8s.io": 1,
            }
        },
        "clientConnection": {"qps": 50, "burst": 100},
        # Its webhooks hear of these namespaces alone: elsewhere jobs start also while it is down.
        "managedJobsNamespaceSelector": {"matchLabels": {names.QUEUED: "true"}},
        # A model server is a pod too, and has no queue: only what names one waits.
        "manageJobsWithoutQueueName": False,
        # Every resource that a job asks for must be in its queue's quota, or it is never admitted. Metaflow asks for
        # disk each time.
        "resources": {"excludeResourcePrefixes": list(UNCOUNTED)},
        # A node with GPUs takes minutes to come; what has no node after this gives its share back and waits again.
        "waitForPodsReady": {"timeout": "15m"},
        "fairSharing": {"preemptionStrategies": ["LessThanOrEqualToFinalShare", "LessThanInitialShare"]},
        "integrations": {"frameworks": list(FRAMEWORKS)},
        # Without an end, they stay as long as their namespace.
        "objectRetentionPolicies": {"workloads": {"afterFinished": "168h"}},
    }
