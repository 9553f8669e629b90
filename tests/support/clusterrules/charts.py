"""Rules on charts: which, of which version, and how they are installed."""

from __future__ import annotations

import re

import definitionfiles
from capture import Made
from clusterrules.base import Case, Found, ancestors, chart_name, charts, files, rule, value
from mlplat import versions

PINS = {each.name: each for each in versions.CHARTS}
SECONDS = 300
"""Least time in which the images of a chart are pulled onto a new node."""
APART: dict[str, tuple[str, ...]] = {
    "gateway-helm": (versions.GATEWAY_API.name, versions.ENVOY_GATEWAY_DEFINITIONS.name),
    "jobset": (versions.JOBSET_DEFINITIONS.name,),
    "kube-prometheus-stack": (versions.MONITORING_DEFINITIONS.name,),
    "karpenter": (versions.KARPENTER_CRDS.name,),
}
"""Charts whose definitions come apart from them, since Helm would never bring them up to date, and where from."""
SWITCHES = ("gateway-helm", "kube-prometheus-stack")
"""Those of them whose values say so too."""


@rule
def charts_are_pinned(case: Case) -> Found:
    """A chart is one of the compatibility table, of that version, and known to work on the cluster's Kubernetes."""
    minor = case.spec.aws.cluster.version if case.spec.aws else case.spec.kubernetes.version
    for each in charts(case):
        pin = PINS.get(chart_name(each))
        if pin is None:
            yield each.key, "is a chart that the table of versions does not have"
            continue
        if each.inputs.get("version") != pin.version:
            yield each.key, f"is of version {each.inputs.get('version')!r}, not {pin.version}"
        if minor not in pin.kubernetes:
            yield each.key, f"is not known to work on Kubernetes {minor}"
        found = _origin(each)
        if found != pin.repository:
            yield each.key, f"comes from {found!r}, not from {pin.repository}"


def _origin(made: Made) -> str | None:
    given = made.inputs.get("repositoryOpts") or {}
    address = given.get("repo") or made.inputs.get("chart")
    return None if address is None else str(address)


@rule
def definitions_are_pinned(case: Case) -> Found:
    """Definitions of others' kinds are what the files of the table say, each whole and once."""
    pinned = {definitionfiles.key(one): one for each in versions.DEFINITIONS for one in definitionfiles.small(each)}
    seen: set[str] = set()
    for each in files(case):
        name = definitionfiles.key(each.inputs)
        if name not in pinned:
            yield each.key, "is a definition that no file of the table has"
        elif each.inputs.get("spec") != pinned[name]["spec"]:
            yield each.key, "is otherwise than its file says"
        if name in seen:
            yield each.key, "is there twice"
        seen.add(name)


@rule
def no_component_is_remote(case: Case) -> Found:
    """What the provider would make as a component is in no plan of a cluster that is yet to be made."""
    for each in case.graph:
        if each.type.startswith("kubernetes:yaml/"):
            yield each.key, "is a component of the provider's, which an `up` of a new cluster may not make"


@rule
def releases_are_steady(case: Case) -> Found:
    """A release has a name of its own, waits until its pods are ready, and keeps little of what it was."""
    for each in charts(case):
        if each.inputs.get("name") != chart_name(each):
            yield each.key, "has no fixed name: its service accounts would be called otherwise at each install"
        if each.inputs.get("createNamespace"):
            yield each.key, "makes its own namespace, which then has no rules for pods and is left behind"
        if each.inputs.get("skipAwait"):
            yield each.key, "is not waited for"
        if (each.inputs.get("timeout") or 0) < SECONDS:
            yield each.key, f"is given up after {each.inputs.get('timeout')} seconds"
        if not 0 < (each.inputs.get("maxHistory") or 0) <= 5:
            yield each.key, "keeps every version of itself in the cluster"
        if not each.inputs.get("cleanupOnFail"):
            yield each.key, "leaves behind what a failed upgrade has made"


@rule
def hooks_run(case: Case) -> Found:
    """The newer class of charts runs no hooks, by which two of these make their certificates."""
    for each in case.graph:
        if each.type.startswith("kubernetes:helm.sh/v4:"):
            yield each.key, "is of a class that runs no hooks"


@rule
def definitions_come_apart(case: Case) -> Found:
    """Definitions that Helm would never bring up to date are there before, and after, the chart that uses them."""
    before = ancestors(case.graph)
    by_name = {each.name: {each.key} for each in charts(case)}
    made = {definitionfiles.key(each.inputs): each.key for each in files(case)}
    for pin in versions.DEFINITIONS:
        by_name[pin.name] = {made.get(definitionfiles.key(one), "") for one in definitionfiles.small(pin)}
    for each in charts(case, *APART):
        name = chart_name(each)
        if not each.inputs.get("skipCrds"):
            yield each.key, "brings its own definitions, which no upgrade changes"
        if name in SWITCHES and value(each, "crds.enabled") is not False:
            yield each.key, "renders its own definitions: `crds.enabled`"
        for needed in APART[name]:
            if not by_name.get(needed, {""}) <= before(each.key):
                yield each.key, f"does not wait for {needed}"


@rule
def budgets_let_nodes_go(case: Case) -> Found:
    """A budget that allows no pod to go would hold up every node that is drained."""
    for each in charts(case, *BUDGETS):
        for enabled, least, replicas in BUDGETS[chart_name(each)]:
            on = value(each, enabled)
            there = value(each, replicas)
            if on and (value(each, least) or 1) >= (1 if there is None else there):
                yield each.key, f"`{least}` keeps all {there} of its pods"


BUDGETS: dict[str, list[tuple[str, str, str]]] = {
    "gateway-helm": [
        ("podDisruptionBudget.minAvailable", "podDisruptionBudget.minAvailable", "deployment.replicas"),
    ],
    "external-secrets": [
        ("podDisruptionBudget.enabled", "podDisruptionBudget.minAvailable", "replicaCount"),
        ("webhook.podDisruptionBudget.enabled", "webhook.podDisruptionBudget.minAvailable", "webhook.replicaCount"),
    ],
    "keda": [
        ("podDisruptionBudget.operator", "podDisruptionBudget.operator.minAvailable", "operator.replicaCount"),
        ("podDisruptionBudget.webhooks", "podDisruptionBudget.webhooks.minAvailable", "webhooks.replicaCount"),
    ],
    "argo-workflows": [("controller.pdb.enabled", "controller.pdb.minAvailable", "controller.replicas")],
    "kueue": [
        (
            "controllerManager.podDisruptionBudget.enabled",
            "controllerManager.podDisruptionBudget.minAvailable",
            "controllerManager.replicas",
        )
    ],
}
"""By chart: what switches a budget on, how many pods it keeps, and how many there are."""
TWICE: dict[str, tuple[str, ...]] = {
    "gateway-helm": ("deployment.replicas",),
    "external-secrets": ("replicaCount", "webhook.replicaCount"),
    "keda": ("operator.replicaCount", "webhooks.replicaCount"),
    "argo-workflows": ("controller.replicas",),
    "kueue": ("controllerManager.replicas",),
    "jobset": ("controller.replicas",),
    "kube-prometheus-stack": ("alertmanager.alertmanagerSpec.replicas",),
}
"""By chart: what there are two of in production, because others stop without it."""


@rule
def hooks_of_the_cluster_have_two(case: Case) -> Found:
    """In production nothing that others wait for stands on one pod."""
    for each in charts(case, *TWICE) if case.production else []:
        for path in TWICE[chart_name(each)]:
            if (value(each, path) or 1) < 2:
                yield each.key, f"`{path}` is {value(each, path)}: nothing answers while its node is drained"


@rule
def nothing_is_pulled_anew(case: Case) -> Found:
    """Images are exact, and not asked for at each start: a registry that is down would stop what runs."""
    for each in charts(case, "argo-workflows"):
        tag = str(value(each, "images.tag"))
        if not re.fullmatch(r"v\d+\.\d+\.\d+", tag) or tag in ("v4.1.0", "v4.1.1"):
            yield each.key, f"`images.tag` is {tag}, which is none that works"
        if value(each, "images.pullPolicy") != "IfNotPresent":
            yield each.key, "asks the registry at each step"
