"""Every fault that is seeded into a captured layer."""

from __future__ import annotations

from clusterfaults.base import ClusterFault
from clusterfaults.charts import CHARTS
from clusterfaults.objects import OBJECTS

FAULTS: list[ClusterFault] = [*CHARTS, *OBJECTS]
