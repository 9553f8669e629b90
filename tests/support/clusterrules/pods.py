"""Rules on pods: what they ask for, where they may stand, which images they run, which secrets they read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from capture import Made
from clusterrules.base import (
    WORKLOADS,
    Case,
    Found,
    at,
    chart_name,
    charts,
    containers,
    documents,
    leaves,
    namespace,
    pod,
    rule,
    value,
)
from mlplat.targets.aws.tolerations import SYSTEM_TAINT, tolerates
from mlplat.targets.kubernetes import given

LOCKED = re.compile(r".+@sha256:[0-9a-f]{64}")
TAINT = {"key": SYSTEM_TAINT, "value": "true", "effect": "NoSchedule"}
ASKS: dict[str, tuple[str, ...]] = {
    "gateway-helm": ("deployment.envoyGateway.resources", "certgen.job.resources"),
    "external-secrets": ("resources", "webhook.resources", "certController.resources"),
    "keda": ("resources.operator", "resources.metricServer", "resources.webhooks"),
    "argo-workflows": ("controller.resources", "server.resources", "executor.resources"),
    "kueue": ("controllerManager.manager.resources",),
    "jobset": ("controller.resources",),
    "kube-prometheus-stack": (
        "prometheus.prometheusSpec.resources",
        "alertmanager.alertmanagerSpec.resources",
        "prometheusOperator.resources",
        "prometheusOperator.prometheusConfigReloader.resources",
        "grafana.resources",
        "grafana.sidecar.resources",
        "kube-state-metrics.resources",
        "prometheus-node-exporter.resources",
    ),
    "opencost": ("opencost.exporter.resources",),
}
"""By chart: where it is said what each of its containers asks for."""
STANDS: dict[str, tuple[str, ...]] = {
    "gateway-helm": ("deployment.pod", "certgen.job"),
    "external-secrets": ("global",),
    "keda": ("",),
    "argo-workflows": ("controller", "server"),
    "kueue": ("controllerManager",),
    "jobset": ("controller",),
    "kube-prometheus-stack": (
        *("prometheus.prometheusSpec", "alertmanager.alertmanagerSpec", "prometheusOperator", "grafana"),
        "kube-state-metrics",
    ),
    "opencost": ("opencost",),
}
"""By chart: where it is said on which nodes its pods stand."""


@rule
def charts_ask_for_what_they_need(case: Case) -> Found:
    """What asks for nothing is the first to be put off a full node; what has no limit takes the node with it."""
    for each in charts(case, *ASKS):
        for path in ASKS[chart_name(each)]:
            found = value(each, path) or {}
            missing = [name for name in ("requests.cpu", "requests.memory", "limits.memory") if not at(found, name)]
            if missing:
                yield each.key, f"`{path}` says nothing of {', '.join(missing)}"


@rule
def pods_ask_for_what_they_need(case: Case) -> Found:
    """The same of our own; a limit of processors would only slow down what could use an idle one."""
    for each in documents(case, *WORKLOADS):
        for container in containers(each):
            found = container.get("resources", {})
            missing = [name for name in ("requests.cpu", "requests.memory", "limits.memory") if not at(found, name)]
            if missing:
                yield each.key, f"`{container['name']}` says nothing of {', '.join(missing)}"
            if at(found, "limits.cpu"):
                yield each.key, f"`{container['name']}` may not use a processor that is idle"


@rule
def system_taints_are_tolerated(case: Case) -> Found:
    """In an account, what the platform runs stands on nodes that nothing takes away, and tolerates their taint."""
    if case.spec.aws is None:
        return
    for each in charts(case, *STANDS):
        for path in STANDS[chart_name(each)]:
            found = value(each, path) if path else each.inputs.get("values", {})
            yield from _misplaced(each, path or "values", found or {})
    for each in documents(case, "Deployment", "StatefulSet", "Job", "CronJob"):
        if namespace(each) == "mlplat":
            yield from _misplaced(each, "its pods", pod(each))


def _misplaced(made: Made, where: str, found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if not tolerates(found.get("tolerations") or [], TAINT):
        yield made.key, f"{where}: does not tolerate {SYSTEM_TAINT}, and stands nowhere until a pool comes"
    if not found.get("nodeSelector"):
        yield made.key, f"{where}: may stand on a node that is taken away"


@rule
def every_node_is_watched(case: Case) -> Found:
    """What reads a node's own metrics stands every taint: nodes with GPUs cost most."""
    for each in charts(case, "kube-prometheus-stack"):
        found = value(each, "prometheus-node-exporter.tolerations") or []
        for taint in (TAINT, {"key": "nvidia.com/gpu", "value": "true", "effect": "NoSchedule"}):
            if not tolerates(found, taint):
                yield each.key, f"watches no node with the taint {taint['key']}"


@rule
def images_are_locked(case: Case) -> Found:
    """In production the same reference is the same image for ever; nowhere is it whatever is newest."""
    for each in documents(case, *WORKLOADS):
        for container in containers(each):
            image = str(container.get("image"))
            if case.production and not LOCKED.fullmatch(image):
                yield each.key, f"`{container['name']}` runs {image}, which can change unseen"
            elif image.endswith(":latest") or ":" not in image.rpartition("/")[2]:
                yield each.key, f"`{container['name']}` runs whatever is newest of {image}"


@rule
def secrets_are_known(case: Case) -> Found:
    """Each secret that something reads is made by something here, or is one that people are asked for."""
    made = {(namespace(each), at(each.inputs, "metadata.name")) for each in documents(case, "Secret")}
    made |= {(namespace(each), at(each.inputs, "spec.target.name")) for each in documents(case, "ExternalSecret")}
    asked = {(each.namespace, each.name) for each in given.wanted(case.spec)}
    known = made | asked | _made_inside(case)
    for each in documents(case):
        for name in _reads(each):
            if (namespace(each), name) not in known:
                yield each.key, f"reads the secret {name} of {namespace(each)}, which nobody makes or is asked for"


READERS = re.compile(
    r"(secretKeyRef|secretRef|secret|certificateRefs\.\d+|credentialRefs\.\d+|imagePullSecrets\.\d+|\w+Secret)"
    r"\.(name|secretName)$|(apiURL|url|routingKey|serviceKey)\.name$"
)


def _reads(made: Made) -> Iterator[str]:
    if made.inputs["kind"] in ("Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding", "ConfigMap", "Namespace"):
        return
    for path, leaf in leaves({key: each for key, each in made.inputs.items() if key != "metadata"}):
        if READERS.search(path) and isinstance(leaf, str):
            yield leaf


def _made_inside(case: Case) -> set[tuple[str | None, str]]:
    # A job makes them in the cluster, so that no password is ever in the state; its rights say which.
    found: set[tuple[str | None, str]] = set()
    for each in documents(case, "Role"):
        rules = [one for one in each.inputs.get("rules", []) if "secrets" in one.get("resources", [])]
        if any("create" in one["verbs"] for one in rules):
            found |= {(namespace(each), name) for one in rules for name in one.get("resourceNames", [])}
    return found


@rule
def no_secret_is_in_the_state(case: Case) -> Found:
    """A secret's value that the program knows is kept in its state, for everybody who may read that."""
    for each in documents(case, "Secret"):
        if each.inputs.get("data") or each.inputs.get("stringData"):
            yield each.key, "holds its value, and so does the state"
    for each in charts(case):
        for path, leaf in leaves(each.inputs.get("values", {})):
            if re.search(r"(password|secretKey|token|clientSecret)$", path, re.IGNORECASE) and leaf:
                yield each.key, f"`{path}` is in the state"
