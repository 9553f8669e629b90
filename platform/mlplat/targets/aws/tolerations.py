"""Taints of nodes, and what tolerates them: said once, so that a taint and its toleration never differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

POOL = "mlplat/pool"
"""Label of every node: the pool that it belongs to."""
SYSTEM = "system"
SYSTEM_TAINT = "CriticalAddonsOnly"
GPU = "nvidia.com/gpu"
SHARED_GPU = "nvidia.com/gpu.shared"
GPU_PRESENT = "nvidia.com/gpu.present"
"""Label without which the device plugin's chart places nothing."""
TEAM = "mlplat/team"
"""Taint of a pool that only some teams may use; its value is the pool's name."""
TEAM_USES = "team.mlplat"
"""Domain of the labels that name the teams which may use a node: `team.mlplat/<team>: "true"`."""
WARM = "mlplat/warm"
EFA = "vpc.amazonaws.com/efa"
EFA_PRESENT = "vpc.amazonaws.com/efa.present"

EVERYTHING: Sequence[Mapping[str, str]] = [{"operator": "Exists"}]
"""For what runs on every node."""
SYSTEM_ONLY: Sequence[Mapping[str, str]] = [{"key": SYSTEM_TAINT, "operator": "Exists"}]
ON_SYSTEM_NODES: Mapping[str, Any] = {"nodeSelector": {POOL: SYSTEM}, "tolerations": SYSTEM_ONLY}
"""For what the platform itself runs: on nodes that Karpenter does not make, and so cannot take away."""


def tolerates(tolerations: Sequence[Mapping[str, Any]], taint: Mapping[str, Any]) -> bool:
    """Tell whether a pod with these tolerations may stand on a node with this taint, as Kubernetes decides it."""
    return any(_matches(each, taint) for each in tolerations)


def _matches(toleration: Mapping[str, Any], taint: Mapping[str, Any]) -> bool:
    if toleration.get("effect") not in (None, "", taint["effect"]):
        return False
    exists = bool(toleration.get("operator", "Equal") == "Exists")
    if not toleration.get("key"):
        return exists
    same = bool(toleration["key"] == taint["key"])
    return same and (exists or bool(toleration.get("value", "") == taint.get("value", "")))
