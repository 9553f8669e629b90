"""Metrics that others give, with their labels: what rules and dashboards may read of a cluster.

A rule on a metric that nobody gives never fires, and nobody notices. Tests hold every expression against this table and
against what our own programs really print. Names were read in the sources named here, at the versions that are
installed; a newer one is to be looked up there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Exporter:
    """Who gives metrics."""

    name: str
    source: str
    """Where names and labels were read."""
    metrics: Mapping[str, tuple[str, ...]]
    """Labels by metric, beside those of the scraped pod."""
    addon: str = ""
    """Add-on that it comes with; empty, it is there with the target or with monitoring itself."""


TARGET = ("job", "instance", "namespace", "pod", "service", "container", "endpoint")
"""Labels of whatever Prometheus's operator has scraped. Its own of these names a series keeps as `exported_…`, unless
the monitor says `honorLabels`."""
PROMETHEUS = Exporter(
    "Prometheus",
    "prometheus.io, Alerting rules and Jobs and instances",
    {"up": (), "ALERTS": ("alertname", "alertstate", "severity", "endpoint", "in_namespace")},
)
ENVOY = Exporter(
    "Envoy's proxies",
    "what Envoy 1.40 itself prints at /stats/prometheus",
    {
        "envoy_cluster_upstream_rq_xx": ("envoy_cluster_name", "envoy_response_code_class"),
        "envoy_cluster_upstream_rq_time_bucket": ("envoy_cluster_name", "le"),
        "envoy_cluster_upstream_rq_time_count": ("envoy_cluster_name",),
        "envoy_http_downstream_rq_xx": ("envoy_http_conn_manager_prefix", "envoy_response_code_class"),
        "envoy_server_days_until_first_cert_expiring": (),
        "envoy_server_memory_allocated": (),
    },
    "gateway",
)
STATE = Exporter(
    "kube-state-metrics",
    "kubernetes/kube-state-metrics, docs/metrics, main branch of 2026",
    {
        "kube_deployment_spec_replicas": ("namespace", "deployment"),
        "kube_deployment_status_replicas_available": ("namespace", "deployment"),
        "kube_statefulset_replicas": ("namespace", "statefulset"),
        "kube_statefulset_status_replicas_ready": ("namespace", "statefulset"),
        "kube_node_status_allocatable": ("node", "resource", "unit"),
        "kube_node_status_condition": ("node", "condition", "status"),
        "kube_pod_container_resource_requests": ("namespace", "pod", "container", "node", "resource", "unit"),
        "kube_pod_container_status_restarts_total": ("namespace", "pod", "container"),
        "kube_pod_container_status_waiting_reason": ("namespace", "pod", "container", "reason"),
        "kube_pod_info": ("namespace", "pod", "node"),
        "kube_pod_status_unschedulable": ("namespace", "pod"),
        "kube_resourcequota": ("namespace", "resourcequota", "resource", "type"),
    },
    "monitoring",
)
NODES = Exporter(
    "kubelet and node-exporter",
    "kubernetes.io, Kubernetes Metrics Reference; prometheus/node_exporter, collector filesystem",
    {
        "kubelet_volume_stats_available_bytes": ("namespace", "persistentvolumeclaim"),
        "kubelet_volume_stats_capacity_bytes": ("namespace", "persistentvolumeclaim"),
        "node_filesystem_avail_bytes": ("device", "fstype", "mountpoint"),
        "node_filesystem_size_bytes": ("device", "fstype", "mountpoint"),
    },
    "monitoring",
)
ARGO = Exporter(
    "Argo Workflows",
    "argoproj/argo-workflows v4.0.6, docs/metrics.md and its exporter, which adds no `_total`",
    {
        "argo_workflows_total_count": ("phase", "namespace"),
        "argo_workflows_gauge": ("phase",),
        "argo_workflows_error_count": ("cause",),
    },
    "pipelines",
)
KUEUE = Exporter(
    "Kueue",
    "kubernetes-sigs/kueue v0.19.2, pkg/metrics/metrics.go",
    {
        "kueue_pending_workloads": ("cluster_queue", "status", "replica_role"),
        "kueue_admission_wait_time_seconds_bucket": ("cluster_queue", "priority_class", "replica_role", "le"),
        "kueue_cluster_queue_resource_usage": ("cohort", "cluster_queue", "flavor", "resource", "replica_role"),
        "kueue_cluster_queue_nominal_quota": ("cohort", "cluster_queue", "flavor", "resource", "replica_role"),
    },
    "queues",
)
SECRETS = Exporter(
    "External Secrets",
    "external-secrets.io 2.9, Metrics",
    {"externalsecret_status_condition": ("name", "namespace", "condition", "status")},
    "secrets",
)
KEDA = Exporter(
    "KEDA",
    "keda.sh 2.20, Integrate with Prometheus",
    {
        "keda_scaler_detail_errors_total": ("namespace", "scaledObject", "scaler", "type"),
    },
    "autoscaling",
)
KARPENTER = Exporter(
    "Karpenter",
    "karpenter.sh v1.13, Metrics",
    {
        "karpenter_nodepools_usage": ("nodepool", "resource_type"),
        "karpenter_nodepools_limit": ("nodepool", "resource_type"),
        "karpenter_cloudprovider_errors_total": ("controller", "method", "provider", "error"),
    },
)
DCGM = Exporter(
    "NVIDIA's driver",
    "NVIDIA/dcgm-exporter 4.5.3-4.8.2, etc/default-counters.csv",
    {
        f"DCGM_FI_DEV_{each}": ("gpu", "UUID", "device", "modelName", "Hostname")
        for each in ("GPU_UTIL", "FB_USED", "FB_FREE", "GPU_TEMP", "POWER_USAGE", "XID_ERRORS")
    },
)
OPENCOST = Exporter(
    "OpenCost",
    "opencost.io, OpenCost Metrics",
    {
        "node_total_hourly_cost": ("node", "instance"),
        "node_cpu_hourly_cost": ("node", "instance"),
        "node_ram_hourly_cost": ("node", "instance"),
        "node_gpu_hourly_cost": ("node", "instance"),
        "container_cpu_allocation": ("namespace", "pod", "container", "node"),
        "container_memory_allocation_bytes": ("namespace", "pod", "container", "node"),
        "container_gpu_allocation": ("namespace", "pod", "container", "node"),
    },
    "cost",
)
EXPORTERS = (PROMETHEUS, ENVOY, STATE, NODES, ARGO, KUEUE, SECRETS, KEDA, KARPENTER, DCGM, OPENCOST)
