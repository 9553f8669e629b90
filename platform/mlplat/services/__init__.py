"""The platform's services as values, written once for every target."""

from __future__ import annotations

from mlplat.services.cluster import on_cluster
from mlplat.services.controller import controller
from mlplat.services.features import features
from mlplat.services.gateway import gateway
from mlplat.services.service import Http, Job, Open, Ref, Resources, SecretRef, Service, Volume
from mlplat.services.tracking import tracking
from mlplat.spec.platform import PlatformSpec

__all__ = ["Http", "Job", "Open", "Ref", "Resources", "SecretRef", "Service", "Volume", "of", "on_cluster"]


def of(spec: PlatformSpec) -> tuple[Service, ...]:
    """Return every service of a platform."""
    return (tracking(spec), gateway(spec), *features(spec), controller(spec))
