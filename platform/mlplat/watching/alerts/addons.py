"""What stands on add-ons: pipelines, queues, secrets, autoscaling. Each is told of only where its add-on is there."""

from __future__ import annotations

from mlplat.watching.rule import Alert, Group, in_namespace


def pipelines() -> Group:
    """Return the alerts of pipelines."""
    return Group("pipelines", (_failed(), _trouble()))


def queues() -> Group:
    """Return the alerts of queues."""
    return Group("queues", (_inadmissible(), _waits()))


def secrets() -> Group:
    """Return the alerts of secrets that come from a vault."""
    return Group("secrets", (_not_synced(),))


def autoscaling() -> Group:
    """Return the alerts of autoscaling."""
    return Group("autoscaling", (_no_figures(),))


def _grown(counter: str) -> str:
    """Return by how much a counter grew in 15 minutes, where it grew.

    Argo's counters begin to exist at one: for Prometheus that is no growth, and the first failure would be missed.
    """
    return f"(increase({counter}[15m]) > 0.5 or ({counter} unless {counter} offset 15m))"


def _failed() -> Alert:
    counted = _grown('argo_workflows_total_count{phase=~"Failed|Error"}')
    return Alert(
        "PipelineFailed",
        f"sum by (in_namespace, phase) ({in_namespace(counted)}) > 0.5",
        "warning",
        "{{ $labels.in_namespace }}: a pipeline ended as {{ $labels.phase }}",
        "Models, features or scores of today may be missing; what serves is not touched. `Error` is the cluster's"
        " fault, `Failed` a step's own.",
        "kubectl get workflows --namespace {{ $labels.in_namespace }} --sort-by .metadata.creationTimestamp",
    )


def _trouble() -> Alert:
    return Alert(
        "PipelinesTrouble",
        f"sum by (cause) ({_grown('argo_workflows_error_count')}) > 0.5",
        "warning",
        "Argo Workflows: {{ $labels.cause }}",
        "It could not carry out what a workflow or a schedule asks for: pipelines may not have started.",
        "mlplat open workflows",
    )


def _inadmissible() -> Alert:
    return Alert(
        "JobsNeverAdmitted",
        'max by (cluster_queue) (kueue_pending_workloads{status="inadmissible"}) > 0',
        "info",
        "{{ $labels.cluster_queue }}: {{ $value }} jobs ask for more than the team's quota now has",
        "They wait until others of the team, or teams that it borrows from, end; one that asks for more than the quota"
        " as a whole waits for ever.",
        "kubectl get workloads --all-namespaces",
        hold="2h",
    )


def _waits() -> Alert:
    return Alert(
        "JobsWait",
        'max by (cluster_queue) (kueue_pending_workloads{status="active"}) > 0',
        "info",
        "{{ $labels.cluster_queue }}: jobs have been waiting for six hours",
        "The team's quota is in use, or the nodes for it are not to be had.",
        "kubectl get workloads --all-namespaces",
        hold="6h",
    )


def _not_synced() -> Alert:
    condition = 'externalsecret_status_condition{condition="Ready", status="False"}'
    return Alert(
        "SecretNotSynced",
        f"max by (name, in_namespace) ({in_namespace(condition)}) == 1",
        "critical",
        "{{ $labels.in_namespace }}/{{ $labels.name }} cannot be read from the vault",
        "The copy in the cluster stays as it was: after the next change of the password, services cannot log in.",
        "kubectl describe externalsecret --namespace {{ $labels.in_namespace }} {{ $labels.name }}",
        hold="15m",
    )


def _no_figures() -> Alert:
    failed = "increase(keda_scaler_detail_errors_total[10m])"
    return Alert(
        "AutoscalingBlind",
        f"sum by (in_namespace, scaledObject) ({in_namespace(failed)}) > 5",
        "warning",
        "{{ $labels.in_namespace }}/{{ $labels.scaledObject }} cannot be scaled: its figures cannot be read",
        "The number of replicas stays as it is, whatever is asked of them.",
        "kubectl describe scaledobject --namespace {{ $labels.in_namespace }} {{ $labels.scaledObject }}",
        hold="10m",
    )
