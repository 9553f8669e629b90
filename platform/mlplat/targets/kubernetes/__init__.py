"""The Kubernetes target: the platform's services on any conformant cluster, entered by a context of a kubeconfig."""

from __future__ import annotations

from mlplat.targets.aws import UNSUPPORTED as ON_AWS

_NO_ACCOUNT = "it makes nothing in an account"
UNSUPPORTED = {
    **{key: reason for key, reason in ON_AWS.items() if not key.startswith("kubernetes.")},
    "aws": _NO_ACCOUNT,
    "foundation": "the cluster is the foundation",
    "cost": "what a cluster costs is known to whoever keeps it",
}
"""Keys of the spec that mean nothing here, and why."""
