"""Argo Workflows: it runs compiled flows in teams' namespaces.

Steps write their logs and artifacts to Metaflow's own store, so Argo keeps neither: a second copy would ask for keys of
the bucket in every team's namespace.
"""

from __future__ import annotations

from typing import Any

from mlplat import versions
from mlplat.targets.kubernetes.addons.release import Part, Release
from mlplat.targets.kubernetes.addons.standing import Standing

NAMESPACE = "argo"
ACCOUNT = "pipeline"
"""Service account of a team's steps."""
DAY = 24 * 60 * 60


def releases(on: Standing) -> tuple[Release, ...]:
    """Return what is installed."""
    base: dict[str, Any] = {
        # The full definitions come by a job that downloads 11 MB, and fails on a cluster without a way out. The small
        # ones take any object: what is wrong with one is found by our own check, and by the controller.
        "crds": {"full": False, "keep": True},
        # `Always` would ask the registry at every step, and stop all of them while it is down.
        "images": {"tag": f"v{versions.ARGO_WORKFLOWS.app}", "pullPolicy": "IfNotPresent"},
        "useStaticCredentials": False,
        "artifactRepository": {"archiveLogs": False},
        # A team's own roles say what its steps may do.
        "workflow": {"serviceAccount": {"create": False, "name": ACCOUNT}, "rbac": {"create": False}},
        "controller": _controller(on),
        # Whoever looks shows a token of their own, and sees what it may.
        "server": {"authModes": ["client"], **on.placed},
    }
    parts = (
        Part("controller", "controller.resources", 50, 128, 1024, on.replicas),
        Part("server", "server.resources", 50, 128, 512),
        # In the pods of steps. Where a namespace has a quota, a container that asks for nothing is refused.
        Part("executor", "executor.resources", 10, 64, 256, 0),
    )
    return (Release(versions.ARGO_WORKFLOWS, NAMESPACE, parts, base),)


def _controller(on: Standing) -> dict[str, Any]:
    defaults = {
        "serviceAccountName": ACCOUNT,
        # Without an end, finished workflows fill the cluster's own database.
        "ttlStrategy": {"secondsAfterCompletion": 7 * DAY, "secondsAfterSuccess": 2 * DAY},
        # Pods that failed stay to be looked at, until their workflow goes.
        "podGC": {"strategy": "OnPodSuccess"},
    }
    return {
        "replicas": on.replicas,
        "pdb": {"enabled": on.production, **({"minAvailable": 1} if on.production else {})},
        "workflowNamespaces": [],
        "workflowDefaults": {"spec": defaults},
        "metricsConfig": {"enabled": on.monitored},
        "serviceMonitor": {"enabled": on.monitored},
        **on.placed,
    }
