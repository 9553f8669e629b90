"""Every rule over a captured layer, from all of their modules."""

from __future__ import annotations

from clusterrules import charts, identities, names, order, pods, queues, values
from clusterrules.base import RULES, Case, broken

AREAS = (charts, identities, names, order, pods, queues, values)

__all__ = ["AREAS", "RULES", "Case", "broken"]
