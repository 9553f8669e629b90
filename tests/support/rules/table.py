"""Every rule, from all of their modules."""

from __future__ import annotations

from rules import (
    buckets,
    cluster,
    data,
    governance,
    identities,
    karpenter,
    names,
    network,
    nodes,
    options,
    spend,
    stores,
)
from rules.base import RULES, broken

AREAS = (buckets, cluster, data, governance, identities, karpenter, names, network, nodes, options, spend, stores)

__all__ = ["AREAS", "RULES", "broken"]
