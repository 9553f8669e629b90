"""The AWS target: a whole foundation in one account and region, from the same spec."""

from __future__ import annotations

UNSUPPORTED = {
    "clock": "a cluster has the time of its nodes",
    "ports": "services have addresses of their own there",
    "tracking.port": "services have addresses of their own there",
    "gateway.port": "services have addresses of their own there",
    "gateway.admin_port": "services have addresses of their own there",
    "controller.port": "services have addresses of their own there",
    "serving.first_port": "services have addresses of their own there",
}
"""Keys of the spec that mean nothing here, and why."""
