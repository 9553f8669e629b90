"""Rules on charts' values: those on which something else depends, and those whose default is a trap."""

from __future__ import annotations

import json
from typing import Any

from clusterrules.base import Case, Found, at, charts, documents, leaves, namespace, rule, value

KNOWN_PASSWORDS = (None, "prom-operator", "admin", "strongpassword")
"""What Grafana's password is where nobody says, or what everybody tries; empty, the chart makes one up."""
MONITORS = ("serviceMonitor", "podMonitor", "rule", "probe", "scrapeConfig")
REPLACED = {
    "KubeNodeNotReady": ("NodeNotReady",),
    "KubeNodeUnreachable": ("NodeNotReady",),
    "KubePersistentVolumeFillingUp": ("VolumeFull", "VolumeFills"),
}
"""Alerts of the chart by those of the platform's that say the same of every node, or volume, of the cluster."""
OUT_OF_REACH = ("kubeControllerManager", "kubeEtcd", "kubeScheduler", "kubeProxy")
TRIMMED = ("ClusterExternalSecret", "ClusterPushSecret", "PushSecret", "ClusterGenerator")
OWN_BLOCKS = ("health", "metrics", "webhook", "leaderElection", "controller")


@rule
def secrets_are_the_platforms(case: Case) -> Found:
    """What reads the vault serves the platform's namespace alone, with the account that has the role."""
    for each in charts(case, "external-secrets"):
        scope = value(each, "scopedNamespace")
        if scope != "mlplat" or value(each, "scopedRBAC") is not True:
            yield each.key, f"serves {scope or 'every namespace'}: a team's store would read the platform's secrets"
        if value(each, "processClusterStore") is not False:
            yield each.key, "serves stores of the whole cluster"
        if namespace(each) != "mlplat" or value(each, "serviceAccount.name") != "external-secrets":
            yield each.key, "does not run as the account that has the role"
    for each in documents(case, "SecretStore", "ClusterSecretStore"):
        if any("serviceAccountRef" in path for path, _ in leaves(each.inputs.get("spec"))):
            yield each.key, "signs in as a service account of its own, which pod identities do not know"
        if each.inputs["kind"] == "ClusterSecretStore":
            yield each.key, "is a store for every namespace"


@rule
def kinds_are_looked_for_where_defined(case: Case) -> Found:
    """A controller that looks for a kind that is not defined never becomes ready."""
    for each in charts(case, "external-secrets"):
        for kind in TRIMMED:
            if value(each, f"crds.create{kind}") is False and value(each, f"process{kind}") is not False:
                yield each.key, f"looks for {kind}, which it does not define"


@rule
def argo_needs_no_way_out(case: Case) -> Found:
    """Argo's definitions are those in its chart, and stay when it goes: workflows go with them otherwise."""
    for each in charts(case, "argo-workflows"):
        if value(each, "crds.full") is not False:
            yield each.key, "downloads its definitions by a job, which fails on a cluster without a way out"
        if value(each, "crds.keep") is not True:
            yield each.key, "takes every workflow with it when it goes"
        if value(each, "useStaticCredentials") is not False:
            yield each.key, "asks for keys of a bucket that nobody gives"


@rule
def workflows_end(case: Case) -> Found:
    """Finished workflows and their pods go by themselves: else they fill the cluster's own database."""
    for each in charts(case, "argo-workflows"):
        defaults = value(each, "controller.workflowDefaults.spec") or {}
        if not at(defaults, "ttlStrategy.secondsAfterCompletion"):
            yield each.key, "keeps every workflow for ever"
        if at(defaults, "podGC.strategy") not in ("OnPodSuccess", "OnPodCompletion"):
            yield each.key, "keeps every pod of every step"


@rule
def kueue_has_all_of_its_configuration(case: Case) -> Found:
    """Ours takes the place of the chart's as a whole: what it leaves out is not there."""
    for each in charts(case, "kueue"):
        found = _kueue(value(each, "managerConfig.controllerManagerConfigYaml"))
        if found is None:
            yield each.key, "its configuration cannot be read"
            continue
        for block in OWN_BLOCKS:
            if not found.get(block):
                yield each.key, f"its configuration has no `{block}`"
        if not {"batch/job", "jobset.x-k8s.io/jobset", "pod"} <= {*(at(found, "integrations.frameworks") or [])}:
            yield each.key, "does not see every way in which training arrives"


@rule
def kueue_holds_up_nobody_else(case: Case) -> Found:
    """While Kueue is down, jobs are refused where its hooks hear of them: in teams' namespaces, and nowhere else."""
    spaces = {at(each.inputs, "metadata.name"): at(each.inputs, "metadata.labels") or {} for each in _namespaces(case)}
    for each in charts(case, "kueue"):
        found = _kueue(value(each, "managerConfig.controllerManagerConfigYaml")) or {}
        wanted = at(found, "managedJobsNamespaceSelector.matchLabels") or {}
        if not wanted:
            yield each.key, "hears of every namespace, its own among them"
            continue
        heard = {name for name, labels in spaces.items() if wanted.items() <= labels.items()}
        if heard != set(case.spec.teams):
            yield each.key, f"hears of {sorted(heard)}, not of the teams {sorted(case.spec.teams)}"
        if found.get("manageJobsWithoutQueueName"):
            yield each.key, "holds pods that name no queue, and so every model server"


@rule
def training_is_admitted(case: Case) -> Found:
    """Metaflow asks for disk each time: a resource that no quota covers is never admitted."""
    for each in charts(case, "kueue"):
        found = _kueue(value(each, "managerConfig.controllerManagerConfigYaml")) or {}
        excluded = at(found, "resources.excludeResourcePrefixes") or []
        if not any("ephemeral-storage".startswith(prefix) for prefix in excluded):
            yield each.key, "counts `ephemeral-storage`, which no queue covers: nothing of Metaflow's is admitted"


@rule
def quotas_are_measured(case: Case) -> Found:
    """Kueue says nothing of quotas and their use unless it is told to."""
    for each in charts(case, "kueue"):
        found = _kueue(value(each, "managerConfig.controllerManagerConfigYaml")) or {}
        if at(found, "metrics.enableClusterQueueResources") is not True:
            yield each.key, "says nothing of quotas and their use"


def _kueue(text: Any) -> dict[str, Any] | None:
    try:
        found = json.loads(text)
    except (TypeError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _namespaces(case: Case) -> list[Any]:
    return documents(case, "Namespace")


@rule
def every_monitor_is_read(case: Case) -> Found:
    """By default Prometheus reads only what its own chart has made, and no monitor of ours."""
    for each in charts(case, "kube-prometheus-stack"):
        for kind in MONITORS:
            if value(each, f"prometheus.prometheusSpec.{kind}SelectorNilUsesHelmValues") is not False:
                yield each.key, f"reads only its own: `{kind}SelectorNilUsesHelmValues`"


@rule
def metrics_fit_their_disk(case: Case) -> Found:
    """Prometheus stops when its disk is full: the oldest go before."""
    for each in charts(case, "kube-prometheus-stack"):
        spec = value(each, "prometheus.prometheusSpec") or {}
        disk = at(spec, "storageSpec.volumeClaimTemplate.spec.resources.requests.storage")
        if not disk:
            yield each.key, "keeps its metrics in memory, and loses them with its pod"
        elif not spec.get("retentionSize") or _mib(spec["retentionSize"]) > 0.9 * _mib(str(disk) + "B"):
            yield each.key, f"keeps {spec.get('retentionSize')} on a disk of {disk}"
        if not spec.get("retention"):
            yield each.key, "does not say for how long metrics are kept"


def _mib(size: str) -> float:
    for sign, factor in {"GiB": 1024.0, "MiB": 1.0, "TiB": 1024.0 * 1024}.items():
        if size.endswith(sign):
            return float(size.removesuffix(sign)) * factor
    return float("inf")


@rule
def alerts_are_routed(case: Case) -> Found:
    """A route hears of every namespace, and only the platform's routes are read."""
    for each in charts(case, "kube-prometheus-stack"):
        spec = value(each, "alertmanager.alertmanagerSpec") or {}
        if at(spec, "alertmanagerConfigMatcherStrategy.type") != "None":
            yield each.key, "lets each route hear of its own namespace alone"
        chosen = at(spec, "alertmanagerConfigNamespaceSelector.matchLabels") or {}
        if not chosen:
            yield each.key, "reads every team's routes, each of which would hear of all the others"
        for made in documents(case, "AlertmanagerConfig"):
            if chosen and chosen.get("kubernetes.io/metadata.name") != namespace(made):
                yield made.key, "stands where nobody reads it"


@rule
def one_trouble_is_told_once(case: Case) -> Found:
    """Of two alerts for one trouble the platform's own is told; the chart's is off only where that one is there."""
    told = {
        at(each, "alert")
        for made in documents(case, "PrometheusRule")
        for group in at(made.inputs, "spec.groups") or []
        for each in group["rules"]
    }
    for each in charts(case, "kube-prometheus-stack"):
        off = value(each, "defaultRules.disabled") or {}
        for theirs, ours in REPLACED.items():
            if off.get(theirs) is not True:
                yield each.key, f"tells of `{theirs}`, which {', '.join(ours)} tell too"
            elif missing := [alert for alert in ours if alert not in told]:
                yield each.key, f"is silent on `{theirs}`, and nobody tells of {missing[0]}"
        for theirs in sorted(off.keys() - REPLACED.keys()):
            yield each.key, f"is silent on `{theirs}`, which nothing else tells of"


@rule
def operator_waits_for_no_certificate(case: Case) -> Found:
    """Where the hook that makes its certificate is off, the operator must not wait for it."""
    for each in charts(case, "kube-prometheus-stack"):
        hook = value(each, "prometheusOperator.admissionWebhooks.enabled")
        if hook is not False:
            yield each.key, "has a hook whose certificate is made anew at each `up`"
        elif value(each, "prometheusOperator.tls.enabled") is not False:
            yield each.key, "waits for a certificate that nobody makes"


@rule
def nothing_unseen_is_missed(case: Case) -> Found:
    """Parts of Kubernetes that cannot be asked would be said to be down for ever."""
    for each in charts(case, "kube-prometheus-stack"):
        for part in OUT_OF_REACH:
            if value(each, f"{part}.enabled") is not False:
                yield each.key, f"asks {part}, which nobody can"


@rule
def dashboards_are_found(case: Case) -> Found:
    """Grafana takes dashboards from every namespace, by the label that ours have."""
    for each in charts(case, "kube-prometheus-stack"):
        sidecar = value(each, "grafana.sidecar.dashboards") or {}
        if sidecar.get("enabled") is not True or sidecar.get("searchNamespace") != "ALL":
            yield each.key, "looks for dashboards in its own namespace alone"
        for made in documents(case, "ConfigMap"):
            labels = at(made.inputs, "metadata.labels") or {}
            dashboard = any(str(name).endswith(".json") and "panels" in str(text) for name, text in _data(made))
            if dashboard and labels.get(sidecar.get("label")) != sidecar.get("labelValue"):
                yield made.key, "is a dashboard that Grafana does not look for"


def _data(made: Any) -> Any:
    return (made.inputs.get("data") or {}).items()


@rule
def nobody_knows_the_password(case: Case) -> Found:
    """Grafana's password is none of those that everybody knows, and none that the state keeps."""
    for each in charts(case, "kube-prometheus-stack"):
        given, kept = value(each, "grafana.adminPassword"), value(each, "grafana.admin.existingSecret")
        if kept is None and given != "":
            known = "which everybody knows" if given in KNOWN_PASSWORDS else "which the state keeps"
            yield each.key, f"`grafana.adminPassword` is one {known}"


@rule
def costs_are_of_this_cluster(case: Case) -> Found:
    """Idle cost is 0 where the name of the cluster is not that of its metrics, and all of it without Prometheus."""
    prometheus = next(iter(charts(case, "kube-prometheus-stack")), None)
    for each in charts(case, "opencost"):
        labels = value(prometheus, "prometheus.prometheusSpec.externalLabels") if prometheus else None
        if labels is not None and value(each, "opencost.exporter.defaultClusterId") != labels.get("cluster"):
            yield each.key, "is told of another cluster than metrics are"
        asked = value(each, "opencost.prometheus.internal") or {}
        if prometheus is None and not value(each, "opencost.prometheus.external.url"):
            yield each.key, "is told of no Prometheus"
        elif prometheus is not None and (
            asked.get("namespaceName") != namespace(prometheus)
            or asked.get("serviceName") != f"{prometheus.inputs.get('name')}-prometheus"
        ):
            yield each.key, "asks a Prometheus that is not there"
