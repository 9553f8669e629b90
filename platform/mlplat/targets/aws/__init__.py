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
    "features": "the feature store is there wherever it has a database",
    "kubernetes.context": "the account's own cluster is meant",
    "kubernetes.kubeconfig": "the account's own cluster is meant",
    "kubernetes.version": "`aws.cluster.version` says it",
    "kubernetes.production": "`aws.environment` says it",
    "kubernetes.storage_class": "it is made with the cluster",
    "kubernetes.databases": "`aws.database` makes them",
    "kubernetes.objects": "`aws.storage` makes the buckets",
}
"""Keys of the spec that mean nothing here, and why."""
