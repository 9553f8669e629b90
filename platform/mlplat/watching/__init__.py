"""What is watched, and who is told: rules, dashboards, monitors and routes as values, without an engine or a cluster.

`catalogue.py` says which rules a stack has; `documents` writes everything as Kubernetes' objects. Prometheus, Grafana
and Alertmanager themselves are an add-on of the target.
"""

from __future__ import annotations

from mlplat.watching.objects import documents

__all__ = ["documents"]
