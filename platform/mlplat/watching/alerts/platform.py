"""The platform's own services: controller, gateway, tracking, and whatever else stands in its namespace."""

from __future__ import annotations

from collections.abc import Sequence

from mlplat.manifests import names
from mlplat.watching import monitors
from mlplat.watching.rule import Alert, Group, Severity, copied, in_namespace

CONTROLLER = f'job="controller", namespace="{names.NAMESPACE}"'
LOGS = "mlplat logs controller"
OURS = f"{names.NAMESPACE}|{names.PROXIES}"
# Where Envoy has no certificate at all it says 4294967295, which is below neither.
CERTIFICATE_DAYS = 21
"""Most issuers renew with 30 days left: by then it has failed for more than a week."""
LAST_DAYS = 3


def groups(teams: Sequence[str], *, has_gateway: bool) -> tuple[Group, ...]:
    """Return the alerts of the platform's services, and of the pods of its teams."""
    ours = (_controller_down(), _controller_trouble(), _controller_hangs(), _not_reconciled(), _service_down())
    pods = (_restarts(teams), _no_image(teams), _not_scraped(teams), _blind())
    certificates = (_certificate("warning", CERTIFICATE_DAYS, "1h"), _certificate("critical", LAST_DAYS, "10m"))
    gateway = (_gateway_down(), *certificates) if has_gateway else ()
    return (Group("platform", ours + gateway), Group("pods", pods))


def _controller_down() -> Alert:
    return Alert(
        "ControllerDown",
        f"absent(up{{{CONTROLLER}}} == 1)",
        "critical",
        "the controller of endpoints does not run",
        "What serves goes on serving. Nothing new is deployed, no rollout is judged, none can be rolled back.",
        LOGS,
        hold="5m",
    )


def _controller_trouble() -> Alert:
    return Alert(
        "ControllerTrouble",
        "max(mlplat_controller_trouble) > 0",
        "critical",
        "the controller of endpoints can make no pass",
        "What serves goes on serving; no deployment, judgement or rollback is carried out. Its log and `/health` say"
        " why: usually the API of the cluster refuses or does not answer.",
        LOGS,
        hold="10m",
    )


def _controller_hangs() -> Alert:
    return Alert(
        "ControllerHangs",
        f"max(rate(mlplat_controller_passes_total{{{CONTROLLER}}}[10m])) == 0",
        "critical",
        "the controller of endpoints runs and makes no pass",
        "It waits for something that does not answer. No deployment, judgement or rollback is carried out.",
        LOGS,
        hold="5m",
    )


def _not_reconciled() -> Alert:
    failures = copied("mlplat_controller_failures", "exported_endpoint", "endpoint")
    return Alert(
        "EndpointNotReconciled",
        # A gauge of a count since the controller's start: it begins anew like a counter.
        f"sum by (endpoint) (increase(({failures})[15m:1m])) > 5",
        "warning",
        "{{ $labels.endpoint }}: the controller fails at it again and again",
        "Other endpoints go on. `status.trouble` of this one says what is in the way.",
        "mlplat endpoint show {{ $labels.endpoint }}",
        hold="5m",
    )


def _service_down() -> Alert:
    def none_ready(kind: str, ready: str, wanted: str) -> str:
        own = f'{{namespace="{names.NAMESPACE}"}}'
        without = f"{ready}{own} == 0 and on (namespace, {kind}) {wanted}{own} > 0"
        return copied(f"max by ({kind}) ({without})", kind, "workload")

    deployments = none_ready("deployment", "kube_deployment_status_replicas_available", "kube_deployment_spec_replicas")
    sets = none_ready("statefulset", "kube_statefulset_status_replicas_ready", "kube_statefulset_replicas")
    return Alert(
        "ServiceDown",
        f"max by (workload) ({deployments} or {sets})",
        "critical",
        "the platform's service {{ $labels.workload }} has no pod that is ready",
        "Whoever needs it waits or fails. Model servers need none of them to go on answering.",
        "mlplat logs {{ $labels.workload }}",
        hold="5m",
    )


def _gateway_down() -> Alert:
    return Alert(
        "GatewayDown",
        f'absent(up{{job="{monitors.PROXY_JOB}"}} == 1)',
        "critical",
        "no proxy of the gateway answers",
        "No endpoint can be reached from outside its namespace.",
        f"kubectl get pods --namespace {names.PROXIES}",
        hold="2m",
    )


def _certificate(severity: Severity, days: int, hold: str) -> Alert:
    return Alert(
        "CertificateExpires",
        f"min(envoy_server_days_until_first_cert_expiring) < {days}",
        severity,
        "a certificate of the gateway ends in {{ $value }} days",
        "Then nobody can reach any endpoint. It is the secret that `kubernetes.exposure.tls_secret` names, or Envoy"
        " Gateway's own for its proxies.",
        f"kubectl get secrets --namespace {names.NAMESPACE} --field-selector type=kubernetes.io/tls",
        hold=hold,
        labels={"days": str(days)},
    )


def _within(teams: Sequence[str]) -> str:
    return "|".join([OURS, *sorted(teams)])


def _restarts(teams: Sequence[str]) -> Alert:
    counted = f'increase(kube_pod_container_status_restarts_total{{namespace=~"{_within(teams)}"}}[30m])'
    return Alert(
        "ContainerRestarts",
        f"{in_namespace(f'sum by (namespace, pod, container) ({counted})')} > 3",
        "warning",
        "{{ $labels.in_namespace }}/{{ $labels.pod }}: {{ $labels.container }} ended {{ $value | humanize }} times in"
        " 30 minutes",
        "It crashes, is ended for its memory, or fails its probe.",
        "kubectl logs --previous --namespace {{ $labels.in_namespace }} {{ $labels.pod }} {{ $labels.container }}",
        hold="5m",
    )


def _no_image(teams: Sequence[str]) -> Alert:
    waiting = (
        f'kube_pod_container_status_waiting_reason{{namespace=~"{_within(teams)}",'
        ' reason=~"ErrImagePull|ImagePullBackOff|InvalidImageName|CreateContainerConfigError|CreateContainerError"}'
    )
    return Alert(
        "ContainerCannotStart",
        f"{in_namespace(f'max by (namespace, pod, container, reason) ({waiting})')} == 1",
        "warning",
        "{{ $labels.in_namespace }}/{{ $labels.pod }}: {{ $labels.reason }}",
        "The registry does not have the image or does not let the node read it, or a secret or setting that the"
        " container names is not there.",
        "kubectl describe pod --namespace {{ $labels.in_namespace }} {{ $labels.pod }}",
        hold="10m",
    )


def _not_scraped(teams: Sequence[str]) -> Alert:
    fetched = f'max by (namespace, job, pod) (up{{namespace=~"{_within(teams)}"}})'
    return Alert(
        "MetricsNotFetched",
        f"{in_namespace(fetched)} == 0",
        "warning",
        "{{ $labels.in_namespace }}/{{ $labels.pod }} gives no metrics",
        "Alerts on it cannot fire. It may hang, or a network policy keeps Prometheus out.",
        "kubectl describe pod --namespace {{ $labels.in_namespace }} {{ $labels.pod }}",
        hold="15m",
    )


def _blind() -> Alert:
    return Alert(
        "ClusterNotWatched",
        "absent(kube_pod_info)",
        "critical",
        "nothing is known of the cluster's pods and nodes",
        "kube-state-metrics does not run, or is not scraped: alerts on pods, nodes, quotas and disks cannot fire.",
        "kubectl get pods --all-namespaces --selector app.kubernetes.io/name=kube-state-metrics",
        hold="10m",
    )
