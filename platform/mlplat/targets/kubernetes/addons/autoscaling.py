"""KEDA: it keeps as many model servers as requests ask for, and none where nobody asks."""

from __future__ import annotations

from mlplat import versions
from mlplat.targets.kubernetes.addons.release import Part, Release
from mlplat.targets.kubernetes.addons.standing import Standing

NAMESPACE = "keda"


def releases(on: Standing) -> tuple[Release, ...]:
    """Return what is installed."""
    watched = {"enabled": True, "serviceMonitor": {"enabled": True}}
    base = {
        "operator": {"replicaCount": on.replicas},
        # Only one of them ever answers.
        "metricsServer": {"replicaCount": 1},
        "webhooks": {"replicaCount": on.replicas},
        **({"podDisruptionBudget": {"operator": _one_stays(), "webhooks": _one_stays()}} if on.production else {}),
        **({"prometheus": {"operator": watched, "metricServer": watched}} if on.monitored else {}),
        **on.placed,
    }
    parts = (
        Part("operator", "resources.operator", 100, 128, 512, on.replicas),
        Part("metrics", "resources.metricServer", 50, 100, 512),
        Part("webhooks", "resources.webhooks", 10, 32, 128, on.replicas),
    )
    return (Release(versions.KEDA, NAMESPACE, parts, base),)


def _one_stays() -> dict[str, int]:
    return {"minAvailable": 1}
