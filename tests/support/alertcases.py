"""When each alert fires and when it must not: series as they would be scraped, and what a person then reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Series = Mapping[str, str]
"""Values by series, one a minute, as promtool writes them: `0+1x60` grows by one each minute for an hour."""
ENDPOINT = 'endpoint="flights/late", in_namespace="flights"'
PHASE = 'mlplat_endpoint_phase{endpoint="http", exported_endpoint="flights/late", job="controller", phase="%s"}'
ALARM = 'mlplat_endpoint_alarm{endpoint="http", exported_endpoint="flights/late", job="controller", kind="%s"}'
RETRAINED = 'mlplat_endpoint_retraining_failed{endpoint="http", exported_endpoint="flights/late", job="controller"}'
SCHEDULED = 'mlplat_schedule_failed{project="flights", flow="%s", job="controller"}'
SERVER = 'endpoint="flights/late", revision="r3", namespace="flights", pod="late-r3-0"'
POD = 'namespace="flights", pod="train-0"'
CLAIM = 'namespace="mlplat", persistentvolumeclaim="data-database-0"'
ROOT = 'instance="10.0.0.1:9100", device="/dev/vda1", mountpoint="/", fstype="ext4"'
CARD = 'gpu="1", Hostname="node-1", UUID="GPU-0", device="nvidia1", modelName="L4"'


@dataclass(frozen=True)
class Case:
    """One alert's two sides."""

    key: str
    """The alert's name, and what its labels add."""
    labels: Mapping[str, str]
    """What tells its series apart, beside the rule's own labels."""
    says: str
    """Its summary, as a person reads it."""
    fires: Series
    quiet: Series
    """The nearest thing to a fault that is none."""
    at: str = "1h"
    every: str = "1m"
    """Between two looks of Prometheus: days of them, one a minute, take promtool a minute."""


def burns() -> list[Case]:
    """Return the cases of both promises in all pairs of windows."""
    ends = {"1h": "70m", "6h": "7h", "1d": "25h", "3d": "73h"}
    minutes = {"1h": 60, "6h": 360, "1d": 1440, "3d": 4320}
    shorts = {"1h": 5, "6h": 30, "1d": 120, "3d": 360}
    kinds = {
        "EndpointErrorBudgetBurn": (
            "endpoint:failures:rate5m",
            "endpoint:requests:rate5m",
            "answered with a status of 500 or above, or not at all",
        ),
        "EndpointLatencyBudgetBurn": (
            "endpoint:slow:rate5m",
            "endpoint:timed:rate5m",
            "answered after more than 500 ms",
        ),
    }
    return [
        Case(
            f"{name} {window}",
            {"endpoint": "flights/late", "in_namespace": "flights"},
            f"flights/late: 50% of the requests of {window} are {what}",
            {f"{bad}{{{ENDPOINT}}}": "1x5000", f"{every}{{{ENDPOINT}}}": "2x5000"},
            # It was as bad, and has ended: the short window knows.
            {
                f"{bad}{{{ENDPOINT}}}": f"1x{minutes[window] - shorts[window]} 0x1000",
                f"{every}{{{ENDPOINT}}}": "2x5400",
            },
            at=end,
            every={"1d": "10m", "3d": "30m"}.get(window, "1m"),
        )
        for name, (bad, every, what) in kinds.items()
        for window, end in ends.items()
    ]


ENDPOINTS = [
    Case(
        "EndpointWithoutTraffic",
        {"endpoint": "flights/late", "in_namespace": "flights"},
        "flights/late: no request for 30 minutes",
        {f"endpoint:requests:rate5m{{{ENDPOINT}}}": "1x1450 0x100"},
        {f"endpoint:requests:rate5m{{{ENDPOINT}}}": "0x1600"},
        at="25h",
    ),
    Case(
        "RolloutBreached",
        {"endpoint": "flights/late", "phase": "breached"},
        "flights/late: the new version failed more, or was slower, and gets no traffic",
        {PHASE % "breached": "1x60"},
        {PHASE % "rolling": "1x60"},
    ),
    Case(
        "RolloutInconclusive",
        {"endpoint": "flights/late", "phase": "inconclusive"},
        "flights/late: the rollout ended undecided, and the new version gets no traffic",
        {PHASE % "inconclusive": "1x60"},
        {PHASE % "aborted": "1x60"},
    ),
    Case(
        "ModelAlarm",
        {"endpoint": "flights/late", "kind": "drift"},
        "flights/late: its monitor raises an alarm of drift",
        {ALARM % "drift": "1x60"},
        {ALARM % "drift": "0x60"},
    ),
    Case(
        "RetrainingFailed",
        {"endpoint": "flights/late"},
        "flights/late: the newest retraining failed, or could not be begun",
        {RETRAINED: "1x60"},
        {RETRAINED: "0x60"},
    ),
    Case(
        "ScheduledRunFailed",
        {"project": "flights", "flow": "monitor"},
        "flights: the newest scheduled run of monitor failed",
        {SCHEDULED % "monitor": "1x60", SCHEDULED % "train": "0x60"},
        {SCHEDULED % "monitor": "0x60"},
    ),
    Case(
        "DeployFailed",
        {"endpoint": "flights/late", "phase": "refused"},
        "flights/late: the deployed version is refused",
        {PHASE % "refused": "1x60"},
        {PHASE % "serving": "1x60"},
    ),
    Case(
        "DeployStuck",
        {"endpoint": "flights/late", "phase": "starting"},
        "flights/late: starting for more than 20 minutes",
        {PHASE % "starting": "1x60"},
        {PHASE % "starting": "1x15 _x45", PHASE % "serving": "_x15 1x45"},
    ),
    Case(
        "PredictionLogDrops",
        {"endpoint": "flights/late", "revision": "r3"},
        "flights/late r3: 300 rows are missing from the prediction log",
        {f'mlplat_prediction_log_rows_total{{outcome="dropped", {SERVER}}}': "0+10x60"},
        {
            f'mlplat_prediction_log_rows_total{{outcome="dropped", {SERVER}}}': "7x60",
            f'mlplat_prediction_log_rows_total{{outcome="written", {SERVER}}}': "0+10x60",
        },
    ),
    Case(
        "FeaturesUnknown",
        {"endpoint": "flights/late", "revision": "r3", "group": "airport"},
        "flights/late r3: 75% of the rows are answered without `airport`",
        {
            f'mlplat_lookups_total{{group="airport", outcome="stale", {SERVER}}}': "0+60x60",
            f'mlplat_lookups_total{{group="airport", outcome="absent", {SERVER}}}': "0+30x60",
            f'mlplat_lookups_total{{group="airport", outcome="found", {SERVER}}}': "0+30x60",
        },
        {
            # Some keys are not known to anybody; of another group everything is found.
            f'mlplat_lookups_total{{group="airport", outcome="absent", {SERVER}}}': "0+30x60",
            f'mlplat_lookups_total{{group="airport", outcome="found", {SERVER}}}': "0+60x60",
            f'mlplat_lookups_total{{group="airframe", outcome="found", {SERVER}}}': "0+60x60",
        },
    ),
    Case(
        "ModelServerOverloaded",
        {"endpoint": "flights/late", "revision": "r3"},
        "flights/late r3: 25% of the requests wait too long to be computed",
        {
            f'mlplat_not_begun_total{{reason="deadline", {SERVER}}}': "0+30x60",
            f'mlplat_requests_total{{route="rows", status="200", {SERVER}}}': "0+120x60",
        },
        {
            f'mlplat_not_begun_total{{reason="gone", {SERVER}}}': "0+30x60",
            f'mlplat_not_begun_total{{reason="deadline", {SERVER}}}': "0x60",
            f'mlplat_requests_total{{route="rows", status="200", {SERVER}}}': "0+120x60",
        },
    ),
]
CONTROLLER = 'job="controller", namespace="mlplat", pod="controller-0", endpoint="http"'
PLATFORM = [
    Case(
        "ControllerDown",
        {},
        "the controller of endpoints does not run",
        {f"up{{{CONTROLLER}}}": "1x30 0x30"},
        {f"up{{{CONTROLLER}}}": "1x57 0 1x9"},
    ),
    Case(
        "ControllerTrouble",
        {},
        "the controller of endpoints can make no pass",
        {f"mlplat_controller_trouble{{{CONTROLLER}}}": "1x60"},
        {f"mlplat_controller_trouble{{{CONTROLLER}}}": "1x55 0x5"},
    ),
    Case(
        "ControllerHangs",
        {},
        "the controller of endpoints runs and makes no pass",
        {f"mlplat_controller_passes_total{{{CONTROLLER}}}": "0+60x20 1200x60"},
        {f"mlplat_controller_passes_total{{{CONTROLLER}}}": "0+1x60"},
    ),
    Case(
        "EndpointNotReconciled",
        {"endpoint": "flights/late"},
        "flights/late: the controller fails at it again and again",
        {f'mlplat_controller_failures{{{CONTROLLER}, exported_endpoint="flights/late"}}': "0+2x60"},
        {f'mlplat_controller_failures{{{CONTROLLER}, exported_endpoint="flights/late"}}': "500x60"},
    ),
    Case(
        "ServiceDown",
        {"workload": "database"},
        "the platform's service database has no pod that is ready",
        {
            'kube_statefulset_status_replicas_ready{namespace="mlplat", statefulset="database"}': "0x60",
            'kube_statefulset_replicas{namespace="mlplat", statefulset="database"}': "1x60",
        },
        # Somebody has sent it to sleep.
        {
            'kube_deployment_status_replicas_available{namespace="mlplat", deployment="tracking"}': "0x60",
            'kube_deployment_spec_replicas{namespace="mlplat", deployment="tracking"}': "0x60",
        },
    ),
    Case(
        "GatewayDown",
        {},
        "no proxy of the gateway answers",
        {'up{job="mlplat/envoy", namespace="envoy-gateway-system", pod="envoy-0"}': "1x30 0x30"},
        {
            'up{job="mlplat/envoy", namespace="envoy-gateway-system", pod="envoy-0"}': "1x30 0x30",
            'up{job="mlplat/envoy", namespace="envoy-gateway-system", pod="envoy-1"}': "1x60",
        },
    ),
    Case(
        "CertificateExpires 21",
        {},
        "a certificate of the gateway ends in 20 days",
        {'envoy_server_days_until_first_cert_expiring{pod="envoy-0"}': "20x120"},
        # Envoy without any certificate.
        {'envoy_server_days_until_first_cert_expiring{pod="envoy-0"}': "4294967295x120"},
        at="90m",
    ),
    Case(
        "CertificateExpires 3",
        {},
        "a certificate of the gateway ends in 2 days",
        {'envoy_server_days_until_first_cert_expiring{pod="envoy-0"}': "2x60"},
        {'envoy_server_days_until_first_cert_expiring{pod="envoy-0"}': "20x60"},
    ),
    Case(
        "ContainerRestarts",
        {"in_namespace": "flights", "pod": "train-0", "container": "main"},
        "flights/train-0: main ended 30 times in 30 minutes",
        {f'kube_pod_container_status_restarts_total{{{POD}, container="main"}}': "0+1x60"},
        {f'kube_pod_container_status_restarts_total{{{POD}, container="main"}}': "40x40 41x20"},
    ),
    Case(
        "ContainerCannotStart",
        {"in_namespace": "flights", "pod": "train-0", "container": "main", "reason": "ImagePullBackOff"},
        "flights/train-0: ImagePullBackOff",
        {f'kube_pod_container_status_waiting_reason{{{POD}, container="main", reason="ImagePullBackOff"}}': "1x60"},
        {f'kube_pod_container_status_waiting_reason{{{POD}, container="main", reason="ContainerCreating"}}': "1x60"},
    ),
    Case(
        "MetricsNotFetched",
        {"in_namespace": "flights", "pod": "late-r3-0", "job": "mlplat/model-servers"},
        "flights/late-r3-0 gives no metrics",
        {'up{job="mlplat/model-servers", namespace="flights", pod="late-r3-0"}': "0x60"},
        {'up{job="somebody-else", namespace="elsewhere", pod="late-r3-0"}': "0x60"},
    ),
    Case(
        "ClusterNotWatched",
        {},
        "nothing is known of the cluster's pods and nodes",
        {'up{job="something"}': "1x60"},
        {f"kube_pod_info{{{POD}}}": "1x60"},
    ),
]
ASKS_GPU = f'kube_pod_container_resource_requests{{{POD}, container="main", resource="nvidia_com_gpu", unit="integer"}}'
ASKS_CPU = f'kube_pod_container_resource_requests{{{POD}, container="main", resource="cpu", unit="core"}}'
WAITS = f"kube_pod_status_unschedulable{{{POD}}}"
NODES = [
    Case(
        "NodeNotReady",
        {"node": "node-1"},
        "node node-1 is not ready",
        {'kube_node_status_condition{node="node-1", condition="Ready", status="true"}': "1x30 0x30"},
        {'kube_node_status_condition{node="node-1", condition="Ready", status="true"}': "1x55 0x5"},
    ),
    Case(
        "PodsPending",
        {"in_namespace": "flights", "pod": "train-0"},
        "flights/train-0 fits on no node",
        {WAITS: "1x60", ASKS_CPU: "4x60"},
        # That is told of as what waits for a GPU.
        {WAITS: "1x60", ASKS_GPU: "1x60"},
    ),
    Case(
        "GpuPodsPending",
        {"in_namespace": "flights", "pod": "train-0"},
        "flights/train-0 waits for a GPU",
        {WAITS: "1x60", ASKS_GPU: "1x60"},
        {WAITS: "1x60", ASKS_CPU: "4x60"},
    ),
    Case(
        "NodeDiskFull",
        {"instance": "10.0.0.1:9100"},
        "the disk of 10.0.0.1:9100 has 5% left",
        {f"node_filesystem_avail_bytes{{{ROOT}}}": "5x60", f"node_filesystem_size_bytes{{{ROOT}}}": "100x60"},
        {f"node_filesystem_avail_bytes{{{ROOT}}}": "15x60", f"node_filesystem_size_bytes{{{ROOT}}}": "100x60"},
    ),
    Case(
        "VolumeFull",
        {"in_namespace": "mlplat", "persistentvolumeclaim": "data-database-0"},
        "mlplat/data-database-0 has 4% left",
        {
            f"kubelet_volume_stats_available_bytes{{{CLAIM}}}": "4x60",
            f"kubelet_volume_stats_capacity_bytes{{{CLAIM}}}": "100x60",
        },
        {
            f"kubelet_volume_stats_available_bytes{{{CLAIM}}}": "6x60",
            f"kubelet_volume_stats_capacity_bytes{{{CLAIM}}}": "100x60",
        },
    ),
    Case(
        "VolumeFills",
        {"in_namespace": "mlplat", "persistentvolumeclaim": "data-database-0"},
        "mlplat/data-database-0 is full within four days",
        {
            f"kubelet_volume_stats_available_bytes{{{CLAIM}}}": "30-0.02x600",
            f"kubelet_volume_stats_capacity_bytes{{{CLAIM}}}": "100x600",
        },
        # Little is left, and it stays so.
        {
            f"kubelet_volume_stats_available_bytes{{{CLAIM}}}": "20x600",
            f"kubelet_volume_stats_capacity_bytes{{{CLAIM}}}": "100x600",
        },
        at="8h",
    ),
    Case(
        "QuotaUsedUp",
        {"in_namespace": "flights", "resource": "requests.cpu"},
        "flights uses 96.88% of its requests.cpu",
        {
            'kube_resourcequota{namespace="flights", resource="requests.cpu", type="used"}': "31x60",
            'kube_resourcequota{namespace="flights", resource="requests.cpu", type="hard"}': "32x60",
        },
        # A quota of none is used by nobody.
        {
            'kube_resourcequota{namespace="flights", resource="requests.nvidia.com/gpu", type="used"}': "0x60",
            'kube_resourcequota{namespace="flights", resource="requests.nvidia.com/gpu", type="hard"}': "0x60",
        },
    ),
    Case(
        "GpuError",
        {"gpu": "1", "Hostname": "node-1"},
        "GPU 1 of node-1: driver error XID 79",
        {f"DCGM_FI_DEV_XID_ERRORS{{{CARD}}}": "79x60"},
        {f"DCGM_FI_DEV_XID_ERRORS{{{CARD}}}": "0x60"},
    ),
    Case(
        "GpuHot",
        {"gpu": "1", "Hostname": "node-1"},
        "GPU 1 of node-1 is at 91 °C",
        {f"DCGM_FI_DEV_GPU_TEMP{{{CARD}}}": "91x60"},
        {f"DCGM_FI_DEV_GPU_TEMP{{{CARD}}}": "91x50 80x10"},
    ),
    Case(
        "NodePoolAtLimit",
        {"nodepool": "gpu", "resource_type": "cpu"},
        "pool gpu uses 97% of its cpu",
        {
            'karpenter_nodepools_usage{nodepool="gpu", resource_type="cpu"}': "97x60",
            'karpenter_nodepools_limit{nodepool="gpu", resource_type="cpu"}': "100x60",
        },
        {
            'karpenter_nodepools_usage{nodepool="gpu", resource_type="cpu"}': "50x60",
            'karpenter_nodepools_limit{nodepool="gpu", resource_type="cpu"}': "100x60",
        },
    ),
    Case(
        "NodesNotMade",
        {},
        "the cloud refused 15 of Karpenter's calls in 15 minutes",
        {'karpenter_cloudprovider_errors_total{error="InsufficientCapacityError", method="Create"}': "0+1x60"},
        {'karpenter_cloudprovider_errors_total{error="NodeClaimNotFoundError", method="Get"}': "0+1x60"},
    ),
]
FAILED = 'argo_workflows_total_count{namespace="argo", exported_namespace="flights", phase="%s"}'
PENDING = 'kueue_pending_workloads{cluster_queue="flights", replica_role="leader", status="%s"}'
SCALER = 'keda_scaler_detail_errors_total{namespace="keda", exported_namespace="flights", scaledObject="late-r3"}'
SYNCED = (
    'externalsecret_status_condition{namespace="external-secrets", exported_namespace="mlplat",'
    ' name="tracking-database", condition="Ready", status="%s"}'
)
ADDONS = [
    Case(
        "PipelineFailed",
        {"in_namespace": "flights", "phase": "Failed"},
        "flights: a pipeline ended as Failed",
        # The first one since Argo's start: before it there was no series.
        {FAILED % "Failed": "_x50 1x20"},
        {FAILED % "Failed": "3x70", FAILED % "Succeeded": "0+1x70"},
    ),
    Case(
        "PipelinesTrouble",
        {"cause": "CronWorkflowSubmissionError"},
        "Argo Workflows: CronWorkflowSubmissionError",
        {'argo_workflows_error_count{cause="CronWorkflowSubmissionError", namespace="argo"}': "0x50 1x20"},
        {'argo_workflows_error_count{cause="CronWorkflowSubmissionError", namespace="argo"}': "1x70"},
    ),
    Case(
        "JobsNeverAdmitted",
        {"cluster_queue": "flights"},
        "flights: 2 jobs ask for more than the team's quota now has",
        {PENDING % "inadmissible": "2x200"},
        {PENDING % "inadmissible": "2x100 0x100"},
        at="3h",
    ),
    Case(
        "JobsWait",
        {"cluster_queue": "flights"},
        "flights: jobs have been waiting for six hours",
        {PENDING % "active": "1x500"},
        {PENDING % "active": "1x300 0 1x200"},
        at="7h",
    ),
    Case(
        "SecretNotSynced",
        {"in_namespace": "mlplat", "name": "tracking-database"},
        "mlplat/tracking-database cannot be read from the vault",
        {SYNCED % "False": "1x60", SYNCED % "True": "0x60"},
        {SYNCED % "False": "0x60", SYNCED % "True": "1x60"},
    ),
    Case(
        "AutoscalingBlind",
        {"in_namespace": "flights", "scaledObject": "late-r3"},
        "flights/late-r3 cannot be scaled: its figures cannot be read",
        {SCALER: "0+1x60"},
        {SCALER: "0x30 2x30"},
    ),
]
PRICES = {
    'node_cpu_hourly_cost{node="node-1", instance="10.0.0.1"}': "0.09x300",
    'node_ram_hourly_cost{node="node-1", instance="10.0.0.1"}': "0.01x300",
    'node_gpu_hourly_cost{node="node-1", instance="10.0.0.1"}': "0.5x300",
    f'container_memory_allocation_bytes{{{POD}, container="main", node="node-1"}}': "10737418240x300",
}
COST = [
    Case(
        "ClusterOverBudget",
        {},
        "the cluster costs 1.46k USD a month at the present rate",
        {'node_total_hourly_cost{node="node-1"}': "1x300", 'node_total_hourly_cost{node="node-2"}': "1x300"},
        {'node_total_hourly_cost{node="node-1"}': "1x300"},
        at="4h",
    ),
    Case(
        "TeamOverBudget flights",
        {"in_namespace": "flights"},
        "flights costs 730 USD a month at the present rate",
        {
            **PRICES,
            f'container_cpu_allocation{{{POD}, container="main", node="node-1"}}': "10x300",
        },
        # Two hours of it are no trend.
        {
            **PRICES,
            f'container_cpu_allocation{{{POD}, container="main", node="node-1"}}': "10x100 1x200",
        },
        at="4h",
    ),
]
CASES = {case.key: case for case in [*burns(), *ENDPOINTS, *PLATFORM, *NODES, *ADDONS, *COST]}
