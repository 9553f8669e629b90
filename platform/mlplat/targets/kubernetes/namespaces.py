"""Namespaces, and what holds in all of those that are the platform's own."""

from __future__ import annotations

from typing import Any, Literal

from mlplat.manifests import names, network
from mlplat.manifests.network import Peer

Security = Literal["restricted", "baseline", "privileged"]
SECURITY = "pod-security.kubernetes.io"
IDENTITY = Peer((80,), addresses=("169.254.170.23/32", "fd00:ec2::23/128"))
"""EKS's agent on each node, which hands pods the credentials of their role."""


def namespace(name: str, security: Security, **labels: str) -> dict[str, Any]:
    """Return a namespace whose pods are held to a standard, and warned of what the strictest one would refuse."""
    held = {f"{SECURITY}/enforce": security, f"{SECURITY}/warn": "restricted"}
    made = {**held, names.PART_OF: "mlplat", **dict(sorted(labels.items()))}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": made}}


def closed(of: str) -> list[dict[str, Any]]:
    """Return the policies by which nothing in a namespace hears or reaches anybody, but for looking up names."""
    return [network.default_deny(of), network.names_allowed(of)]
