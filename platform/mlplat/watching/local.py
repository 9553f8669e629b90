"""The same rules on one computer: files for a Prometheus of one's own, which mlplat neither brings nor starts.

Rules are those of a cluster whose metrics exist here: the gateway's, the controller's and model servers'. What speaks
of pods, nodes and add-ons is left out, and where a text names a cluster's means, it names this computer's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mlplat.labels import Name
from mlplat.manifests import names
from mlplat.spec.platform import PlatformSpec
from mlplat.watching import gateway, monitors, objectives
from mlplat.watching.alerts import endpoints, platform
from mlplat.watching.rule import Alert, Group

FOLDER = "prometheus"
"""Folder of these files in a platform's state."""
RULES, CONFIG = "rules.yaml", "prometheus.yaml"
"""The second is a whole configuration, which names the first."""
PLATFORM, SERVERS = "targets/platform.json", "targets/model-servers.json"
"""What to fetch: the first is written by `up`, the second by the controller, as revisions come and go."""
HOST = "127.0.0.1"
HERE: Mapping[str, Mapping[str, Any]] = {
    "ControllerTrouble": {
        "description": "What serves goes on serving; no deployment, judgement or rollback is carried out. Its log and"
        " `/health` say why: usually a file cannot be written, or a service does not answer."
    },
    "DeployStuck": {
        "description": "The registry may not answer, or the computer is too busy to start the model. Whatever served"
        " before still does."
    },
    "GatewayDown": {"description": "No endpoint can be reached.", "command": "mlplat logs gateway"},
    "ModelServerOverloaded": {
        "description": "More is asked than one process answers on this computer: find who asks so much."
    },
}
"""What is told otherwise than on a cluster, by alert."""


def files(spec: PlatformSpec, state: Path) -> dict[str, Any]:
    """Return what `up` writes below `FOLDER` of a platform's state, as JSON by file name: JSON is YAML."""
    return {
        RULES: {"groups": [each.document(spec.kubernetes.monitoring.runbooks) for each in groups(spec)]},
        CONFIG: {"rule_files": [str(state / FOLDER / RULES)], "scrape_configs": [_scrape(spec, state)]},
        PLATFORM: [
            _target(spec.gateway.admin_port, monitors.PROXY_JOB, __metrics_path__="/stats/prometheus"),
            _target(spec.controller.port, "controller"),
        ],
    }


def groups(spec: PlatformSpec) -> tuple[Group, ...]:
    """Return the groups of rules whose metrics exist on one computer."""
    promised = spec.kubernetes.monitoring.objectives
    (services, _) = platform.groups([], has_gateway=True)
    made = (
        gateway.records(promised.latency_ms, gateway.HERE),
        *objectives.groups(promised),
        endpoints.group(has_gateway=True),
        endpoints.schedules(),
        replace(services, rules=tuple(each for each in services.alerts if each.name in OF_SERVICES)),
    )
    return tuple(_told(each) for each in made)


OF_SERVICES = ("ControllerDown", "ControllerTrouble", "ControllerHangs", "EndpointNotReconciled", "GatewayDown")


def servers(running: Iterable[tuple[Name, str, int]]) -> list[dict[str, Any]]:
    """Return the targets of model servers, by endpoint, revision and port, under the labels of a cluster's."""
    return [
        _target(port, monitors.SERVING, endpoint=str(endpoint), project=endpoint.project, revision=revision)
        for endpoint, revision, port in running
    ]


def _told(group: Group) -> Group:
    rules = (replace(each, **HERE.get(each.name, {})) if isinstance(each, Alert) else each for each in group.rules)
    return replace(group, rules=tuple(rules))


def _scrape(spec: PlatformSpec, state: Path) -> dict[str, Any]:
    return {
        "job_name": f"mlplat/{spec.name}",
        "scrape_interval": monitors.EVERY,
        "file_sd_configs": [{"files": [str(state / FOLDER / "targets" / "*.json")]}],
    }


def _target(port: int, job: str, **labels: str) -> dict[str, Any]:
    # The namespace that the platform's services have on a cluster, by which rules know them.
    return {"targets": [f"{HOST}:{port}"], "labels": {"job": job, "namespace": names.NAMESPACE, **labels}}
