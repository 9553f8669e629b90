"""Rules, routes, dashboards and monitors as Kubernetes' objects."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mlplat.manifests import names
from mlplat.spec.platform import PlatformSpec
from mlplat.watching import catalogue, dashboards, monitors, routes
from mlplat.watching.dashboards.panel import Board
from mlplat.watching.rule import Group

DASHBOARD = "grafana_dashboard"
"""Label by which Grafana's sidecar finds dashboards, whatever else is in a ConfigMap."""
FOLDER = "grafana_folder"


def documents(spec: PlatformSpec, *, topic: Any = None) -> list[dict[str, Any]]:
    """Return everything that Prometheus, Alertmanager and Grafana are told; nothing where there is no monitoring.

    `topic` is the ARN of the account's own topic, for receivers of the kind `sns` that name none; it may be an output.
    Raises `UsageError` for such a receiver where there is no topic.
    """
    on = spec.kubernetes
    if on.addons.monitoring == "off":
        return []
    made = [
        *(_rules(group, on.monitoring.runbooks) for group in catalogue.groups(spec)),
        routes.document(on.monitoring.receivers, topic=topic, region=spec.aws.region if spec.aws else None),
        *monitors.documents(
            sorted(spec.teams),
            has_gateway=on.addons.gateway != "off",
            has_gpus=catalogue.has_gpus(spec),
            has_karpenter=catalogue.has_karpenter(spec),
        ),
    ]
    labelled = [_with(each, on.monitoring.labels) for each in made]
    return [*labelled, *(_with(_dashboard(each), {}) for each in dashboards.boards(spec))]


def _rules(group: Group, runbooks: str | None) -> dict[str, Any]:
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": f"mlplat-{group.name}", "namespace": names.NAMESPACE},
        "spec": {"groups": [group.document(runbooks)]},
    }


def _dashboard(board: Board) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": f"dashboard-{board.uid}",
            "namespace": names.NAMESPACE,
            "labels": {DASHBOARD: "1"},
            "annotations": {FOLDER: "mlplat"},
        },
        "data": {f"{board.uid}.json": json.dumps(board.document(), sort_keys=True, separators=(",", ":")) + "\n"},
    }


def _with(document: dict[str, Any], labels: Mapping[str, str]) -> dict[str, Any]:
    metadata = document["metadata"]
    every = {**metadata.get("labels", {}), names.PART_OF: "mlplat", **labels}
    return {**document, "metadata": {**metadata, "labels": dict(sorted(every.items()))}}
