"""Prometheus, Alertmanager and Grafana, with what exports the cluster's own metrics."""

from __future__ import annotations

from typing import Any

from mlplat import versions
from mlplat.manifests import names
from mlplat.manifests.network import namespace
from mlplat.spec.kubernetes import KubernetesSpec
from mlplat.targets.kubernetes.addons.release import Part, Release
from mlplat.targets.kubernetes.addons.standing import Standing

NAMESPACE = "monitoring"
ALERTS_ACCOUNT = "alertmanager"
"""Service account whose role may publish to the account's topic."""
PROMETHEUS = f"{versions.MONITORING.name}-prometheus"
PROMETHEUS_PORT = 9090
DISK_PERCENT = 80
"""Part of the disk after which the oldest metrics go: a full one stops Prometheus."""
GIB = 1024
SELECTORS = ("serviceMonitor", "podMonitor", "rule", "probe", "scrapeConfig")
DEFINITIONS = Release(versions.MONITORING_DEFINITIONS, NAMESPACE)
"""A release of its own: monitors of other charts need it before there is a Prometheus."""
OUT_OF_REACH = ("kubeControllerManager", "kubeEtcd", "kubeScheduler", "kubeProxy")
"""Parts of Kubernetes that nobody can ask: a cloud hides them, and elsewhere they listen on their own node alone."""

REPLACED = ("KubeNodeNotReady", "KubeNodeUnreachable", "KubePersistentVolumeFillingUp")
"""The chart's own alerts whose every case is one of `NodeNotReady`, `VolumeFull` or `VolumeFills` as well.

Others stay, though some overlap: ours on pods and services look at the platform's and teams' namespaces, the chart's at
add-ons' too; and `NodeDiskFull` knows one disk of a node, the chart's all of them.
"""


def address(spec: KubernetesSpec) -> str:
    """Return Prometheus's address in the cluster."""
    given = spec.monitoring.prometheus
    return given or f"http://{PROMETHEUS}.{NAMESPACE}.svc:{PROMETHEUS_PORT}"


def releases(on: Standing) -> tuple[Release, ...]:
    """Return what is installed."""
    base: dict[str, Any] = {
        "crds": {"enabled": False},
        "defaultRules": {"disabled": dict.fromkeys(REPLACED, True)},
        "prometheus": {"prometheusSpec": _prometheus(on)},
        "alertmanager": {"serviceAccount": {"name": ALERTS_ACCOUNT}, "alertmanagerSpec": _alertmanager(on)},
        "prometheusOperator": {
            # Its hook makes a certificate, and the operator waits for it also where the hook is off.
            "admissionWebhooks": {"enabled": False},
            "tls": {"enabled": False},
            **on.placed,
        },
        "grafana": _grafana(on),
        "kube-state-metrics": {
            "metricLabelsAllowlist": [f"namespaces=[{names.TEAM}]", "nodes=[mlplat/pool]"],
            **on.placed,
        },
        # On every node, whatever its taint: those with GPUs cost most.
        "prometheus-node-exporter": {"tolerations": [{"operator": "Exists"}]},
        **{each: {"enabled": False} for each in OUT_OF_REACH},
    }
    return (Release(versions.MONITORING, NAMESPACE, _parts(on), base, skip_crds=True),)


def _parts(on: Standing) -> tuple[Part, ...]:
    prometheus = (200, 2048, 4096) if on.production else (100, 512, 1536)
    return (
        Part("prometheus", "prometheus.prometheusSpec.resources", *prometheus),
        Part("alertmanager", "alertmanager.alertmanagerSpec.resources", 10, 64, 256, on.replicas),
        Part("operator", "prometheusOperator.resources", 50, 128, 256),
        # One beside Prometheus and one beside each Alertmanager.
        Part("reloader", "prometheusOperator.prometheusConfigReloader.resources", 5, 32, 64, 1 + on.replicas),
        Part("grafana", "grafana.resources", 50, 192, 512),
        Part("dashboards", "grafana.sidecar.resources", 10, 96, 256, 2),
        Part("cluster-metrics", "kube-state-metrics.resources", 20, 96, 384),
        Part("node-metrics", "prometheus-node-exporter.resources", 10, 32, 128, everywhere=True),
    )


def _prometheus(on: Standing) -> dict[str, Any]:
    kept = on.spec.monitoring
    return {
        # True, as by default, it reads only monitors and rules that this chart itself has made.
        **{f"{each}SelectorNilUsesHelmValues": False for each in SELECTORS},
        "retention": f"{kept.retention_days}d",
        "retentionSize": f"{kept.storage_gib * GIB * DISK_PERCENT // 100}MiB",
        "externalLabels": {"cluster": on.cluster},
        "storageSpec": _volume(on, kept.storage_gib),
        **on.placed,
    }


def _alertmanager(on: Standing) -> dict[str, Any]:
    return {
        "replicas": on.replicas,
        # Otherwise each route hears only of its own namespace, and ours is where no endpoint is.
        "alertmanagerConfigMatcherStrategy": {"type": "None"},
        # And so only ours is read: a route of a team's would hear of every other team.
        "alertmanagerConfigNamespaceSelector": namespace(names.NAMESPACE),
        # Silences outlive a restart.
        "storage": _volume(on, 1),
        **on.placed,
    }


def _volume(on: Standing, gib: int) -> dict[str, Any]:
    named = {"storageClassName": on.storage_class} if on.storage_class else {}
    asked = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": f"{gib}Gi"}}}
    return {"volumeClaimTemplate": {"spec": {**named, **asked}}}


def _grafana(on: Standing) -> dict[str, Any]:
    pages = on.spec.exposure.pages
    # What its links and its sign-in's redirects begin with.
    own = {"server": {"root_url": f"https://grafana.{pages.domain}"}} if pages else {}
    return {
        # Empty, the chart makes one up and keeps it in the cluster; by default it is one that everybody knows.
        "adminPassword": "",
        "sidecar": {
            "dashboards": {
                "enabled": True,
                "searchNamespace": "ALL",
                "label": "grafana_dashboard",
                "labelValue": "1",
            }
        },
        # A pod that only Helm's own test starts.
        "testFramework": {"enabled": False},
        "grafana.ini": {"analytics": {"check_for_updates": False, "reporting_enabled": False}, **own},
        **on.placed,
    }
