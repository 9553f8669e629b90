"""Rules on what has to be there before something else, and so goes after it."""

from __future__ import annotations

from collections import defaultdict

from clusterrules.base import (
    Case,
    Found,
    ancestors,
    at,
    chart_name,
    charts,
    documents,
    group,
    leaves,
    namespace,
    rule,
)
from mlplat.manifests.names import PROXIES

KUBERNETES = (
    *("", "apps", "batch", "autoscaling", "policy", "networking.k8s.io", "rbac.authorization.k8s.io"),
    *("scheduling.k8s.io", "storage.k8s.io", "apiextensions.k8s.io", "coordination.k8s.io"),
    *("admissionregistration.k8s.io", "apiregistration.k8s.io"),
)
"""Groups that every cluster has."""
OF_CHARTS: dict[str, str] = {
    "external-secrets.io": "external-secrets",
    "keda.sh": "keda",
    "argoproj.io": "argo-workflows",
    "kueue.x-k8s.io": "kueue",
    "monitoring.coreos.com": "prometheus-operator-crds",
    "karpenter.sh": "karpenter-crd",
    "karpenter.k8s.aws": "karpenter-crd",
}
"""Groups and the charts that define them."""
ADDON_OF: dict[str, str] = {
    "external-secrets.io": "secrets",
    "keda.sh": "autoscaling",
    "argoproj.io": "pipelines",
    "kueue.x-k8s.io": "queues",
    "jobset.x-k8s.io": "queues",
    "monitoring.coreos.com": "monitoring",
    "gateway.networking.k8s.io": "gateway",
    "gateway.envoyproxy.io": "gateway",
}
"""Groups and the key of `kubernetes.addons` under which somebody else may keep them."""
ALWAYS_THERE = ("default", "kube-system", "kube-public", "kube-node-lease")
RUNNING: dict[str, tuple[str, ...]] = {
    "kueue.x-k8s.io": ("kueue",),
    "external-secrets.io": ("external-secrets",),
    "gateway.networking.k8s.io": ("gateway-helm",),
    "gateway.envoyproxy.io": ("gateway-helm",),
}
"""Groups whose objects need more than their definition: hooks that answer, and whoever takes their finalizers away."""


@rule
def kinds_come_before_objects(case: Case) -> Found:
    """A kind is defined before the first object of it, and not taken away before the last one has gone."""
    before = ancestors(case.graph)
    by_chart = {chart_name(each): each.key for each in charts(case)}
    made: dict[str, set[str]] = defaultdict(set)
    for each in documents(case, "CustomResourceDefinition"):
        made[str(at(each.inputs, "spec.group"))].add(each.key)
    for each in documents(case):
        name = group(each)
        if name in KUBERNETES or (name in ADDON_OF and case.adopted(ADDON_OF[name])):
            continue
        chart = by_chart.get(OF_CHARTS.get(name, ""))
        definitions = made[name] or ({chart} if chart else set())
        if not definitions:
            yield each.key, f"is of the group {name}, which nothing here defines"
        elif missing := sorted(definitions - before(each.key)):
            yield each.key, f"does not wait for {missing[0]}, which defines it"


@rule
def hooks_answer_before_objects(case: Case) -> Found:
    """What refuses or finishes objects runs before the first of them, and until the last of them has gone."""
    before = ancestors(case.graph)
    by_chart = {chart_name(each): each.key for each in charts(case)}
    for each in documents(case):
        for chart in RUNNING.get(group(each), ()):
            if chart in by_chart and by_chart[chart] not in before(each.key):
                yield each.key, f"does not wait for {by_chart[chart]}"


@rule
def monitors_come_after_their_kind(case: Case) -> Found:
    """A chart that makes monitors fails where nobody has defined them."""
    before = ancestors(case.graph)
    kinds = [each.key for each in charts(case, "prometheus-operator-crds")]
    for each in charts(case):
        asks = any(
            path.endswith(("erviceMonitor.enabled", "odMonitor.enabled", "enablePrometheus", "prometheus.enable"))
            and found is True
            for path, found in leaves(each.inputs.get("values", {}))
        )
        if asks and not case.adopted("monitoring") and not any(key in before(each.key) for key in kinds):
            yield each.key, "makes monitors, and does not wait for what defines them"


@rule
def namespaces_come_first(case: Case) -> Found:
    """Each namespace that something is put into is made before, or is one that every cluster has."""
    before = ancestors(case.graph)
    made = {at(each.inputs, "metadata.name"): each.key for each in documents(case, "Namespace")}
    for each in [*documents(case), *charts(case)]:
        space = namespace(each)
        if space is None or space in ALWAYS_THERE:
            continue
        if space == PROXIES and case.adopted("gateway"):
            # Whoever keeps Envoy Gateway has made it: its proxies run beside it.
            continue
        if space not in made:
            yield each.key, f"stands in the namespace {space}, which nothing here makes"
        elif made[space] not in before(each.key):
            yield each.key, f"does not wait for its namespace {space}"


@rule
def namespaces_hold_their_pods(case: Case) -> Found:
    """Each namespace says which pods it admits, and teams' admit only harmless ones."""
    for each in documents(case, "Namespace"):
        held = (at(each.inputs, "metadata.labels") or {}).get("pod-security.kubernetes.io/enforce")
        if held is None:
            yield each.key, "admits every pod"
        name = at(each.inputs, "metadata.name")
        if name in {"mlplat", *case.spec.teams} and held not in (None, "restricted"):
            yield each.key, f"admits pods that are {held}"


@rule
def providers_are_explicit(case: Case) -> Found:
    """No object goes to a context that a kubeconfig happens to be set to."""
    for each in case.graph:
        if each.type.startswith("kubernetes:") and each.custom and each.provider is None:
            yield each.key, "has no explicit provider"
