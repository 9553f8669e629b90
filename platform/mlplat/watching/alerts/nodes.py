"""Machines, disks and quotas."""

from __future__ import annotations

from collections.abc import Sequence

from mlplat.manifests import names
from mlplat.watching.rule import Alert, Group, in_namespace

GPU = "nvidia_com_gpu.*"
"""How kube-state-metrics writes `nvidia.com/gpu`, and `nvidia.com/gpu.shared` of a GPU that several use."""
NODE = "kubectl describe node {{ $labels.node }}"
POD = "kubectl describe pod --namespace {{ $labels.in_namespace }} {{ $labels.pod }}"


def groups(teams: Sequence[str], *, has_gpus: bool, has_karpenter: bool) -> tuple[Group, ...]:
    """Return the alerts of machines, and of what waits for one."""
    gpus = (Group("gpus", (_waits_for_gpu(teams), _gpu_error(), _gpu_hot())),) if has_gpus else ()
    karpenter = (Group("karpenter", (_pool_full(), _cloud_refuses())),) if has_karpenter else ()
    waits = _waits(teams, " unless on (namespace, pod) (" + _gpu_requests() + ")" if has_gpus else "")
    disks = (_disk_full(), _volume_full(), _volume_fills())
    return (Group("nodes", (_not_ready(), waits, *disks, _quota(teams))), *gpus, *karpenter)


def _within(teams: Sequence[str]) -> str:
    return "|".join([names.NAMESPACE, names.PROXIES, *sorted(teams)])


def _not_ready() -> Alert:
    return Alert(
        "NodeNotReady",
        'max by (node) (kube_node_status_condition{condition="Ready", status="true"}) == 0',
        "warning",
        "node {{ $labels.node }} is not ready",
        "Its pods are moved to others after five minutes, where there is room. Training on it begins again at its last"
        " checkpoint.",
        NODE,
        hold="10m",
    )


def _unschedulable(teams: Sequence[str]) -> str:
    # Pods that Kueue holds back for their quota are not among them: they are no matter for the scheduler yet.
    return f'max by (namespace, pod) (kube_pod_status_unschedulable{{namespace=~"{_within(teams)}"}}) == 1'


def _gpu_requests() -> str:
    return f'sum by (namespace, pod) (kube_pod_container_resource_requests{{resource=~"{GPU}"}}) > 0'


def _waits(teams: Sequence[str], beside: str) -> Alert:
    return Alert(
        "PodsPending",
        in_namespace(f"({_unschedulable(teams)}{beside})"),
        "warning",
        "{{ $labels.in_namespace }}/{{ $labels.pod }} fits on no node",
        "No node has the room, the labels or the taints that it asks for, and none is made for it.",
        POD,
        hold="20m",
    )


def _waits_for_gpu(teams: Sequence[str]) -> Alert:
    return Alert(
        "GpuPodsPending",
        in_namespace(f"({_unschedulable(teams)} and on (namespace, pod) ({_gpu_requests()}))"),
        "warning",
        "{{ $labels.in_namespace }}/{{ $labels.pod }} waits for a GPU",
        "Pools of GPUs are at their `max_size`, the cloud has none of these types to give, or the device plugin does"
        " not run on the nodes that have them.",
        POD,
        hold="20m",
    )


def _gpu_error() -> Alert:
    return Alert(
        "GpuError",
        "max by (Hostname, gpu) (DCGM_FI_DEV_XID_ERRORS) > 0",
        "warning",
        "GPU {{ $labels.gpu }} of {{ $labels.Hostname }}: driver error XID {{ $value }}",
        "NVIDIA's list of XID errors says whether the program or the card is to blame. A number stays until the driver"
        " is loaded again.",
        "kubectl drain --ignore-daemonsets --delete-emptydir-data {{ $labels.Hostname }}",
        hold="5m",
    )


def _gpu_hot() -> Alert:
    return Alert(
        "GpuHot",
        "max by (Hostname, gpu) (DCGM_FI_DEV_GPU_TEMP) > 88",
        "warning",
        "GPU {{ $labels.gpu }} of {{ $labels.Hostname }} is at {{ $value }} °C",
        "It slows itself down, and ends what runs on it a few degrees on.",
        "kubectl drain --ignore-daemonsets --delete-emptydir-data {{ $labels.Hostname }}",
        hold="15m",
    )


def _pool_full() -> Alert:
    return Alert(
        "NodePoolAtLimit",
        "max by (nodepool, resource_type) (karpenter_nodepools_usage)"
        " / (max by (nodepool, resource_type) (karpenter_nodepools_limit) > 0) > 0.95",
        "info",
        "pool {{ $labels.nodepool }} uses {{ $value | humanizePercentage }} of its {{ $labels.resource_type }}",
        "Further pods wait until others end: `max_size` is what the pool may cost.",
        "mlplat cost",
        hold="30m",
    )


def _cloud_refuses() -> Alert:
    return Alert(
        "NodesNotMade",
        # That a machine is gone is how Karpenter knows that it has ended it.
        'sum(increase(karpenter_cloudprovider_errors_total{error!="NodeClaimNotFoundError"}[15m])) > 5',
        "warning",
        "the cloud refused {{ $value | humanize }} of Karpenter's calls in 15 minutes",
        "A quota of the account may be reached, a type sold out, or a right missing. Pods wait for nodes.",
        "kubectl logs --namespace kube-system --selector app.kubernetes.io/name=karpenter",
        hold="15m",
    )


def _disk_full() -> Alert:
    of_roots = '{mountpoint="/", fstype!~"tmpfs|squashfs"}'
    return Alert(
        "NodeDiskFull",
        f"min by (instance) (node_filesystem_avail_bytes{of_roots} / node_filesystem_size_bytes{of_roots}) < 0.1",
        "warning",
        "the disk of {{ $labels.instance }} has {{ $value | humanizePercentage }} left",
        "Below what the kubelet keeps free, it ends pods of the node to make room.",
        "kubectl get nodes --output wide",
        hold="15m",
    )


VOLUME = "by (namespace, persistentvolumeclaim)"


def _left() -> str:
    available = f"min {VOLUME} (kubelet_volume_stats_available_bytes)"
    return f"{available} / min {VOLUME} (kubelet_volume_stats_capacity_bytes)"


def _volume_full() -> Alert:
    return Alert(
        "VolumeFull",
        in_namespace(f"({_left()} < 0.05)"),
        "critical",
        "{{ $labels.in_namespace }}/{{ $labels.persistentvolumeclaim }} has {{ $value | humanizePercentage }} left",
        "What writes to it fails when it is full.",
        "kubectl describe pvc --namespace {{ $labels.in_namespace }} {{ $labels.persistentvolumeclaim }}",
        hold="5m",
    )


def _volume_fills() -> Alert:
    soon = f"min {VOLUME} (predict_linear(kubelet_volume_stats_available_bytes[6h], 4 * 24 * 3600)) < 0"
    return Alert(
        "VolumeFills",
        in_namespace(f"({_left()} < 0.3 and {soon})"),
        "warning",
        "{{ $labels.in_namespace }}/{{ $labels.persistentvolumeclaim }} is full within four days",
        "That is, if the next days go on as the last six hours did. Where its storage class allows it, a larger request"
        " in its claim makes it larger.",
        "kubectl describe pvc --namespace {{ $labels.in_namespace }} {{ $labels.persistentvolumeclaim }}",
        hold="1h",
    )


def _quota(teams: Sequence[str]) -> Alert:
    def of(kind: str) -> str:
        return f'max by (namespace, resource) (kube_resourcequota{{type="{kind}", namespace=~"{_within(teams)}"}})'

    return Alert(
        "QuotaUsedUp",
        in_namespace(f"({of('used')} / ({of('hard')} > 0) > 0.95)"),
        "info",
        "{{ $labels.in_namespace }} uses {{ $value | humanizePercentage }} of its {{ $labels.resource }}",
        "Further pods of the team are refused until others end: `teams` in the stack file says how much there is.",
        "kubectl describe quota --namespace {{ $labels.in_namespace }}",
        hold="30m",
    )
