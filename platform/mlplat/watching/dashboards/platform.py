"""The platform: whether its services run, its machines have room, and its pipelines get through."""

from __future__ import annotations

from mlplat.manifests import names
from mlplat.spec.kubernetes import AddonsSpec
from mlplat.watching import gateway
from mlplat.watching.dashboards.panel import Board, Panel, Query, Row
from mlplat.watching.rule import copied, in_namespace

OURS = f'namespace="{names.NAMESPACE}"'


def board(addons: AddonsSpec) -> Board:
    """Return the page of the platform, without the rows of add-ons that are off."""
    rows = (
        _now(),
        _controller(),
        *([_gateway()] if addons.gateway != "off" else []),
        _machines(),
        *([_pipelines()] if addons.pipelines != "off" else []),
        *([_queues()] if addons.queues != "off" else []),
    )
    text = "Services, machines, pipelines and queues of the platform."
    return Board("mlplat-platform", "Platform", text, rows, alerts='severity=~"critical|warning"')


def _now() -> Row:
    ready = f"sum by (deployment) (kube_deployment_status_replicas_available{{{OURS}}})"
    wanted = f"sum by (deployment) (kube_deployment_spec_replicas{{{OURS}}})"
    return Row(
        "Now",
        (
            Panel(
                "What people are told of",
                (Query('sum by (alertname, severity, endpoint, in_namespace) (ALERTS{alertstate="firing"})'),),
                kind="table",
                width=12,
            ),
            Panel(
                "Pods that are ready",
                (Query(f"{ready} / ({wanted} > 0)", "{{deployment}}"),),
                "percentunit",
                "bargauge",
                width=6,
                most=1,
                steps=((0, "red"), (0.5, "orange"), (1, "green")),
            ),
            Panel(
                "Containers that ended",
                (
                    Query(
                        "sum by (pod, container) (increase(kube_pod_container_status_restarts_total"
                        f"{{{OURS}}}[$__rate_interval])) > 0",
                        "{{pod}} {{container}}",
                    ),
                ),
                width=6,
            ),
        ),
    )


def _controller() -> Row:
    failures = copied("mlplat_controller_failures", "exported_endpoint", "endpoint")
    buckets = "sum by (le) (rate(mlplat_controller_pass_seconds_bucket[$__rate_interval]))"
    return Row(
        "Controller",
        (
            Panel("Passes", (Query("sum(rate(mlplat_controller_passes_total[$__rate_interval]))", "passes"),), "ops"),
            Panel(
                "Time of a pass",
                tuple(Query(f"histogram_quantile({each}, {buckets})", f"p{round(each * 100)}") for each in (0.5, 0.95)),
                "s",
            ),
            Panel(
                "In trouble",
                (
                    Query("max(mlplat_controller_trouble)", "no pass can be made"),
                    Query(f"sum by (endpoint) ({failures})", "{{endpoint}}"),
                ),
                description="Passes that failed for an endpoint since the controller's start.",
            ),
        ),
    )


def _gateway() -> Row:
    proxies = f'namespace="{names.PROXIES}"'
    return Row(
        "Gateway",
        (
            Panel("Requests", (Query(f"sum({gateway.REQUESTS})", "all endpoints"),), "reqps"),
            Panel(
                "Answers by class",
                (
                    Query(
                        "sum by (envoy_response_code_class)"
                        f" (rate(envoy_http_downstream_rq_xx{{{proxies}}}[$__rate_interval]))",
                        "{{envoy_response_code_class}}xx",
                    ),
                ),
                "reqps",
                stacked=True,
            ),
            Panel(
                "Memory of proxies",
                (Query(f"max by (pod) (envoy_server_memory_allocated{{{proxies}}})", "{{pod}}"),),
                "bytes",
            ),
        ),
    )


def _machines() -> Row:
    return Row(
        "Machines",
        (
            Panel(
                "Nodes that are ready",
                (
                    Query('sum(kube_node_status_condition{condition="Ready", status="true"})', "ready"),
                    Query('count(kube_node_status_condition{condition="Ready", status="true"})', "all"),
                ),
                width=6,
            ),
            Panel(
                "Asked of what there is",
                tuple(
                    Query(
                        f'sum(kube_pod_container_resource_requests{{resource="{each}", node!=""}})'
                        f' / sum(kube_node_status_allocatable{{resource="{each}"}})',
                        each,
                    )
                    for each in ("cpu", "memory")
                ),
                "percentunit",
                width=6,
            ),
            Panel(
                "Pods that fit nowhere",
                (Query("sum by (namespace) (kube_pod_status_unschedulable)", "{{namespace}}"),),
                width=6,
            ),
            Panel(
                "Volumes",
                (
                    Query(
                        "1 - min by (namespace, persistentvolumeclaim) (kubelet_volume_stats_available_bytes)"
                        " / min by (namespace, persistentvolumeclaim) (kubelet_volume_stats_capacity_bytes)",
                        "{{namespace}}/{{persistentvolumeclaim}}",
                    ),
                ),
                "percentunit",
                width=6,
                most=1,
            ),
        ),
    )


def _pipelines() -> Row:
    ended = in_namespace("increase(argo_workflows_total_count[$__rate_interval])")
    return Row(
        "Pipelines",
        (
            Panel("Under way", (Query("sum by (phase) (argo_workflows_gauge)", "{{phase}}"),), width=12),
            Panel(
                "By what became of them",
                (Query(f"sum by (in_namespace, phase) ({ended})", "{{in_namespace}} {{phase}}"),),
                width=12,
            ),
        ),
    )


def _queues() -> Row:
    waited = "sum by (le, cluster_queue) (rate(kueue_admission_wait_time_seconds_bucket[$__rate_interval]))"
    return Row(
        "Queues",
        (
            Panel(
                "Jobs that wait",
                (
                    Query(
                        "max by (cluster_queue, status) (kueue_pending_workloads)",
                        "{{cluster_queue}} {{status}}",
                    ),
                ),
            ),
            Panel(
                "Time until admission, 95th percentile",
                (Query(f"histogram_quantile(0.95, {waited})", "{{cluster_queue}}"),),
                "s",
            ),
            Panel(
                "Use of quotas",
                (
                    Query(
                        "max by (cluster_queue, resource) (kueue_cluster_queue_resource_usage)"
                        " / (max by (cluster_queue, resource) (kueue_cluster_queue_nominal_quota) > 0)",
                        "{{cluster_queue}} {{resource}}",
                    ),
                ),
                "percentunit",
                description="Above 100 % a team uses what others have left.",
            ),
        ),
    )
