"""OpenCost: what teams cost, from what their pods ask for and what nodes are paid."""

from __future__ import annotations

from typing import Any

from mlplat import versions
from mlplat.targets.kubernetes.addons import monitoring
from mlplat.targets.kubernetes.addons.release import Part, Release
from mlplat.targets.kubernetes.addons.standing import Standing

NAMESPACE = "opencost"


def releases(on: Standing) -> tuple[Release, ...]:
    """Return what is installed."""
    opencost: dict[str, Any] = {
        # Idle cost is 0 where this is not the cluster that metrics are of.
        "exporter": {"defaultClusterId": on.cluster},
        "prometheus": _prometheus(on),
        "metrics": {"serviceMonitor": {"enabled": True}},
        "ui": {"enabled": on.production},
        **on.placed,
    }
    parts = [Part("exporter", "opencost.exporter.resources", 10, 64, 1024)]
    if on.production:
        parts.append(Part("pages", "opencost.ui.resources", 10, 55, 256))
    return (Release(versions.COST, NAMESPACE, tuple(parts), {"opencost": opencost}),)


def _prometheus(on: Standing) -> dict[str, Any]:
    if on.spec.monitoring.prometheus:
        return {
            "internal": {"enabled": False},
            "external": {"enabled": True, "url": on.spec.monitoring.prometheus},
        }
    return {
        "internal": {
            "enabled": True,
            "serviceName": monitoring.PROMETHEUS,
            "namespaceName": monitoring.NAMESPACE,
            "port": monitoring.PROMETHEUS_PORT,
        }
    }
