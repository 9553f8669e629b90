"""Envoy Gateway: it makes proxies of `Gateway` and `HTTPRoute`, in its own namespace."""

from __future__ import annotations

from mlplat import versions
from mlplat.manifests import names
from mlplat.targets.kubernetes.addons.release import Part, Release
from mlplat.targets.kubernetes.addons.standing import Standing

DEFINITIONS = (versions.GATEWAY_API, versions.ENVOY_GATEWAY_DEFINITIONS)


def releases(on: Standing) -> tuple[Release, ...]:
    """Return what is installed."""
    base = {
        # Definitions come as files: with them in it, a release is larger than the secret in which Helm keeps it.
        "crds": {"enabled": False},
        "deployment": {"replicas": on.replicas, "pod": on.placed},
        # With one replica, a budget of one would hold up every node that is drained.
        "podDisruptionBudget": {"minAvailable": on.replicas - 1},
        # A hook that makes its certificates before anything else runs.
        "certgen": {"job": on.placed},
    }
    parts = (
        Part("envoy-gateway", "deployment.envoyGateway.resources", 100, 256, 1024, on.replicas),
        # It has ended by the time that anything else starts.
        Part("certificates", "certgen.job.resources", 10, 64, 128, 0),
    )
    return (Release(versions.ENVOY_GATEWAY, names.PROXIES, parts, base, skip_crds=True),)
