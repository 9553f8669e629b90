"""Whose metrics Prometheus fetches, beside the services', which bring monitors of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mlplat.manifests import names
from mlplat.watching import exported

EVERY = "30s"
PROXY = "envoy"
PROXY_JOB = f"{names.NAMESPACE}/{PROXY}"
"""What the operator calls whatever this monitor finds."""
SERVING = "model-servers"


def documents(teams: Sequence[str], *, has_gateway: bool, has_gpus: bool, has_karpenter: bool) -> list[dict[str, Any]]:
    """Return monitors of whatever of these there is; of model servers where there are teams."""
    return [
        *([proxies()] if has_gateway else []),
        *([model_servers(teams)] if teams else []),
        *([gpus()] if has_gpus else []),
        *([karpenter()] if has_karpenter else []),
    ]


def proxies() -> dict[str, Any]:
    """Return the monitor of Envoy's proxies: Envoy Gateway sets annotations, which the operator does not read."""
    # A proxy has some 300 series for each cluster, most of which nothing here reads.
    read = {"action": "keep", "sourceLabels": ["__name__"], "regex": "|".join(sorted(exported.ENVOY.metrics))}
    return _monitor(
        PROXY,
        {"matchNames": [names.PROXIES]},
        {"matchLabels": {names.APP: "envoy", names.COMPONENT: "proxy"}},
        {"port": "metrics", "path": "/stats/prometheus", "interval": EVERY, "metricRelabelings": [read]},
    )


def gpus() -> dict[str, Any]:
    """Return the monitor of NVIDIA's exporter, wherever it is: its chart comes before there are monitors."""
    return _monitor(
        "gpus",
        {"any": True},
        {"matchLabels": {names.APP: "dcgm-exporter"}},
        {"port": "metrics", "path": "/metrics", "interval": EVERY},
    )


def karpenter() -> dict[str, Any]:
    """Return the monitor of Karpenter, whose chart comes before there are monitors too."""
    return _monitor(
        "karpenter",
        {"matchNames": ["kube-system"]},
        {"matchLabels": {names.APP: "karpenter"}},
        {"port": "http-metrics", "path": "/metrics", "interval": EVERY},
    )


def model_servers(teams: Sequence[str]) -> dict[str, Any]:
    """Return the monitor of model servers: their series say which endpoint and revision they are of."""
    return _monitor(
        SERVING,
        {"matchNames": sorted(teams)},
        {"matchExpressions": [{"key": names.REVISION, "operator": "Exists"}]},
        {
            "port": "http",
            "path": "/metrics",
            "interval": EVERY,
            # A container that only fetches the model has no port, and one that ends answers nobody.
            "filterRunning": True,
            "relabelings": [
                _copied("mlplat_project", "project"),
                _copied("mlplat_revision", "revision"),
                # In place of the port's name, which the operator calls `endpoint`.
                {
                    "action": "replace",
                    "sourceLabels": [
                        "__meta_kubernetes_pod_label_mlplat_project",
                        "__meta_kubernetes_pod_label_mlplat_endpoint",
                    ],
                    "separator": "/",
                    "targetLabel": "endpoint",
                },
            ],
        },
    )


def _copied(label: str, target: str) -> dict[str, Any]:
    return {"action": "replace", "sourceLabels": [f"__meta_kubernetes_pod_label_{label}"], "targetLabel": target}


def _monitor(
    name: str, namespaces: dict[str, Any], selector: dict[str, Any], endpoint: dict[str, Any]
) -> dict[str, Any]:
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PodMonitor",
        "metadata": {"name": name, "namespace": names.NAMESPACE},
        "spec": {"namespaceSelector": namespaces, "selector": selector, "podMetricsEndpoints": [endpoint]},
    }
